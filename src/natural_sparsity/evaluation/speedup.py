"""What folding gains: weights, bytes and time of a sparsified LSTM and of its folded form, measured in one process.

Times are for one CPU thread in dense arithmetic. The unfolded model takes as long as the dense one, whose shapes it
has.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from natural_sparsity import files
from natural_sparsity.data.base import Batch, Split
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation.latency import first_steps, step_by_step, time_in_turns
from natural_sparsity.evaluation.subject import add_split_arguments, open_subject
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import select_device
from natural_sparsity.model.exported import Exported
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.settings import parse_positive

TOLERANCE = 1e-5
REPEATS = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_split_arguments(parser)
    parser.add_argument("--folded", type=Path, required=True, help="folder of the checkpoint, folded")
    parser.add_argument(
        "--timed-tokens", type=parse_positive, default=200, help="tokens (or input vectors) timed one at a time"
    )


def run(args: argparse.Namespace) -> None:
    """Write what folding gains.

    Raises:
        UserError: the folded model was made from another checkpoint, or gives other outputs.
    """
    cpu = select_device("cpu", 1)
    subject = open_subject(args.checkpoint, cpu, args.expect)
    small, state = checkpoint.load(args.folded, cpu)
    if state.get("folded_from") != subject.state["parameters"]:
        raise UserError(f"{args.folded}: not folded from {args.checkpoint}; delete it and run again")
    split = subject.open_split("test", args.test, args.batch, args.window)
    files.write_json(args.output, subject.identify() | measure_speedup(subject.model, small, split, args.timed_tokens))


def measure_speedup(model: RecurrentModel, small: RecurrentModel, split: Split, timed: int) -> dict[str, Any]:
    """Return weights, bytes and times of the model and of the ``small`` one, and how far apart their outputs are.

    Times are of the first ``timed`` steps of the split, one after the other, and of the first batch.

    Raises:
        UserError: their outputs differ.
    """
    batch = next(iter(split.batches(torch.device("cpu"))))
    difference = compare_outputs(model, small, batch)
    if difference > TOLERANCE:
        raise UserError(f"the folded model's outputs differ by {difference:g} of the largest; delete it and run again")
    steps = first_steps(split, timed)
    each_step = time_in_turns([step_by_step(Exported(one), steps) for one in (model, small)], REPEATS)
    recurrence = time_in_turns([run_recurrence(one, batch) for one in (model, small)], REPEATS)
    whole, folded = each_step.min(0) / len(steps)
    return {
        "difference": difference,
        "whole": measure_size(model) | {"seconds_per_token": float(whole)},
        "folded": measure_size(small) | {"seconds_per_token": float(folded)},
        "speedup": compare_times(each_step),
        "speedup_recurrence": compare_times(recurrence),
    }


@torch.no_grad()
def compare_outputs(model: RecurrentModel, small: RecurrentModel, batch: Batch) -> float:
    """Return the largest difference between two models' outputs, as a share of the largest output or of 1."""
    outputs = []
    for one in (model, small):
        _, features, _ = one.eval()(batch.inputs, one.initial_state(batch.inputs.shape[1], batch.start))
        outputs.append(one.output(features))
    return float((outputs[0] - outputs[1]).abs().max() / outputs[0].abs().max().clamp(min=1))


def run_recurrence(model: RecurrentModel, batch: Batch) -> Callable[[], Any]:
    """Return a function that runs embedding and recurrent layers over a batch."""
    return lambda: model(batch.inputs, model.initial_state(batch.inputs.shape[1], batch.start))


def measure_size(model: RecurrentModel) -> dict[str, Any]:
    """Return the number of weights, the bytes of all parameters as they are stored, and the layers' widths."""
    tensors = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    weights = sum(tensor.numel() for tensor in tensors.values() if tensor.dim() > 1)
    return {
        "weights": weights,
        "bytes": len(safetensors.torch.save(tensors)),
        "hidden": list(model.architecture.hidden),
    }


def compare_times(seconds: np.ndarray) -> float:
    """Return how many times longer the first of two functions takes: the median over turns."""
    return float(np.median(seconds[:, 0] / seconds[:, 1]))
