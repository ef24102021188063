"""The footprint of a language model: size on disk and latency on a CPU, in each form in which it can be exported.

A form is written as ``natural-sparsity export`` writes it, and the model that is measured is read from that file. Forms
are single precision; eight bits, by torch's post-training dynamic quantisation of the recurrent layers and the output
layer; and, if asked for, both of these folded. A model trained with quantised
weights has one form, its own integers. Its control is the dense model with its weights rounded to the same number of
bits and not trained afterwards. Integers compute in torch's layers of eight bits.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from natural_sparsity import files
from natural_sparsity.data.base import Split
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation.export import describe, make_form
from natural_sparsity.evaluation.latency import first_steps, step_by_step, time_in_turns
from natural_sparsity.evaluation.subject import Subject, add_split_arguments, open_subject
from natural_sparsity.methods.base import read_trained_integers
from natural_sparsity.model import exported
from natural_sparsity.model.device import select_device
from natural_sparsity.model.exported import Exported
from natural_sparsity.settings import parse_json_object, parse_positive

REPEATS = 5
# What a form is called by the weights that share a scale.
SCOPES = {"channel": "", "tensor": " by tensor"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_split_arguments(parser)
    parser.add_argument("--timed-tokens", type=parse_positive, default=200, help="tokens that are timed, one at a time")
    parser.add_argument(
        "--rounded",
        type=parse_json_object,
        nargs="*",
        default=[],
        help="JSON, bits and scope: measure the model with weights rounded so, too",
    )
    parser.add_argument("--folded", action="store_true", help="measure the model (an LSTM) folded, too")


def run(args: argparse.Namespace) -> None:
    """Write the footprint of a checkpoint, on one CPU thread.

    Raises:
        UserError: a model of other data than running text.
    """
    subject = open_subject(args.checkpoint, select_device("cpu", 1), args.expect)
    check_kind(subject)
    split = subject.open_split("test", args.test, args.batch, args.window)
    rows = measure_footprints(subject, split, args.timed_tokens, list_forms(subject, args.rounded, args.folded))
    files.write_json(args.output, subject.identify() | {"footprints": rows})


def check_kind(subject: Subject) -> None:
    """Refuse a model that does not read running text, token by token.

    Raises:
        UserError: a line that names the kind of its data.
    """
    if subject.model.embedding is None or not subject.data.carries_state:
        raise UserError(
            f"{subject.folder}: its data are of kind {subject.state['kind']}; footprint takes models of running text,"
            " which read token by token"
        )


def list_forms(
    subject: Subject, roundings: Sequence[Mapping[str, Any]] = (), folded: bool = False
) -> dict[str, dict[str, Any]]:
    """Return the forms of a checkpoint: the options of :func:`make_form` by name.

    Each of ``roundings``, bits and scope, is one more; ``folded`` adds the smaller model, also in eight bits.
    """
    sparsify = subject.state["sparsify"]
    if read_trained_integers(sparsify, subject.model, subject.tensors):
        return {f"int{sparsify['bits']}, trained{SCOPES[sparsify['scope']]}": {}}
    forms: dict[str, dict[str, Any]] = {"float32": {}}
    if subject.model.architecture.cell != "rnn":  # torch has no layer of eight bits for it
        forms["int8"] = {"int8": True}
    if folded:
        forms |= {"float32, folded": {"fold": True}, "int8, folded": {"fold": True, "int8": True}}
    for rounding in roundings:
        name = f"int{rounding['bits']}, rounded{SCOPES[rounding['scope']]}"
        forms[name] = {"bits": rounding["bits"], "scope": rounding["scope"]}
    return forms


@torch.no_grad()
def measure_footprints(
    subject: Subject, split: Split, timed: int, forms: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row per form: its ``precision``, loss (nats per token), nonzero weights, bytes, seconds per token.

    Times are of the first ``timed`` tokens of the split, one after the other, and of its first batch at once.
    """
    rows, models = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, options in forms.items():
            path = Path(folder) / exported.FILE
            model, numbers = make_form(subject, **options)
            exported.write(path, model, numbers, describe(subject, **options))
            matrices = [parameter for parameter in exported.load(path).parameters() if parameter.dim() > 1]
            nonzero = sum(int(matrix.count_nonzero()) for matrix in matrices)
            models.append(exported.load(path, int8=bool(numbers)))
            rows.append({"precision": name, "loss": measure_loss(models[-1], split), "nonzero": nonzero})
            rows[-1]["bytes"] = path.stat().st_size
    steps, batch = first_steps(split, timed), next(iter(split.batches(torch.device("cpu")))).inputs
    one_by_one = time_in_turns([step_by_step(model, steps) for model in models], REPEATS).min(0) / len(steps)
    at_once = time_in_turns([partial(model, batch) for model in models], REPEATS).min(0) / batch.numel()
    for row, single, window in zip(rows, one_by_one, at_once, strict=True):
        row |= {"seconds_per_token": float(single), "seconds_per_token_at_once": float(window)}
    return rows


@torch.no_grad()
def measure_loss(model: Exported, split: Split) -> float:
    """Return the mean loss over the split, nats."""
    total, state = 0.0, None
    for batch in split.batches(torch.device("cpu")):
        logits, state = model(batch.inputs, state)
        losses = functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")
        total += float(losses.double())
    return total / split.examples
