"""Cut removed units out of a sparsified LSTM: a smaller model with the same outputs.

What :mod:`natural_sparsity.evaluation.structure` finds removed is cut out of every tensor that touches it: a neuron's
four rows and its columns, an embedding unit's column. Words without weights share one row of zeros. A constant gate
keeps its bias and rows of zeros. The result is a dense model with an architecture of its own, for any command that
evaluates checkpoints.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.evaluation.structure import Masks, read_masks, remove_dead
from natural_sparsity.evaluation.subject import Subject, open_subject, require_lstm
from natural_sparsity.model import checkpoint
from natural_sparsity.model.gates import GATES
from natural_sparsity.model.recurrent import ROWS, RecurrentModel
from natural_sparsity.settings import add_expect_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--from", type=Path, required=True, dest="source", help="folder of a sparsified LSTM")
    parser.add_argument("--checkpoint", type=Path, required=True, help="out: folder of the smaller model")
    add_expect_option(parser)


def run(args: argparse.Namespace) -> None:
    """Write the smaller model.

    Raises:
        UserError: as :func:`fold_subject`.
    """
    subject = open_subject(args.source, torch.device("cpu"), args.expect)
    small = fold_subject(subject)
    about = {"folded": True, "folded_from": subject.state["parameters"]}
    checkpoint.save(args.checkpoint, small, subject.state | about)


def fold_subject(subject: Subject) -> RecurrentModel:
    """Return the smaller model.

    Raises:
        UserError: a model of other cells, or one that is folded already.
    """
    require_lstm(subject, "can be folded")
    if subject.state.get("folded"):
        raise UserError(f"{subject.folder}: is folded already; use it as it is")
    masks = read_masks(subject.model, subject.tensors, subject.state["sparsify"])
    return fold(subject.model, remove_dead(masks))


@torch.no_grad()
def fold(model: RecurrentModel, masks: Masks) -> RecurrentModel:
    """Return a model without the units that ``masks``, from :func:`remove_dead`, drop; its outputs are the same."""
    units, neurons = find_kept(masks.units), [find_kept(kept) for kept in masks.neurons]
    rows = [
        torch.cat([kept + gate * width for gate in range(len(GATES))])
        for kept, width in zip(neurons, model.architecture.hidden, strict=True)
    ]
    widths = {"hidden": [len(kept) for kept in neurons]} | ({"embedding": len(units)} if model.embedding else {})
    small = RecurrentModel(model.interface, model.architecture.model_copy(update=widths), model.tuning).to(
        model.output.weight
    )
    if model.embedding is not None:
        copy_embedding((model.embedding.weight * masks.embedding)[:, units], small)
    if model.initial is not None:
        small.get_parameter("initial.weight").copy_((model.initial.weight * masks.initial)[neurons[0]])
    below = [units, *neurons]
    for i, columns in enumerate(below[:-1]):
        parts = {
            "weight_ih": (model.get_parameter(f"recurrent.{i}.weight_ih_l0") * masks.input[i])[rows[i]][:, columns],
            "weight_hh": (model.get_parameter(f"recurrent.{i}.weight_hh_l0") * masks.recurrent[i])[rows[i]][
                :, neurons[i]
            ],
            "bias_ih": model.get_parameter(f"recurrent.{i}.bias_ih_l0")[rows[i]],
            "bias_hh": model.get_parameter(f"recurrent.{i}.bias_hh_l0")[rows[i]],
        }
        for name, value in parts.items():
            small.get_parameter(f"recurrent.{i}.{name}_l0").copy_(value)
    small.output.weight.copy_((model.output.weight * masks.output)[:, below[-1]])
    small.output.bias.copy_(model.output.bias)
    return small


def copy_embedding(weight: Tensor, small: RecurrentModel) -> None:
    """Copy the embedding (words, units) into ``small``; words whose weights are all 0 share one row, if that is fewer.

    ``weight`` is of a model whose words have rows of their own.
    """
    living = weight.any(1)
    if living.sum() + 1 < len(weight):
        rows = living.cumsum(0) * living
        weight = torch.cat([torch.zeros_like(weight[:1]), weight[living]])
        small.share_rows(len(weight))
        small.get_buffer(ROWS).copy_(rows)
    small.get_parameter("embedding.weight").copy_(weight)


def find_kept(kept: Tensor) -> Tensor:
    """Return the places where ``kept`` is true; the first place if there are none, since a layer needs a unit."""
    return torch.nonzero(kept).flatten() if kept.any() else torch.zeros(1, dtype=torch.int64, device=kept.device)
