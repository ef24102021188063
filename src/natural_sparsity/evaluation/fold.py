"""Cut removed units out of a sparsified LSTM: a smaller model with the same outputs.

What :mod:`natural_sparsity.evaluation.structure` finds removed is cut out of every tensor that touches it: a neuron's
four rows and its columns, an embedding unit's column. A constant gate keeps its bias and rows of zeros. The result is a
dense model with an architecture of its own, for any command that reads checkpoints.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from natural_sparsity.evaluation.structure import Masks, read_masks, remove_dead
from natural_sparsity.evaluation.subject import open_subject, require_lstm
from natural_sparsity.model import checkpoint
from natural_sparsity.model.gates import GATES
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.settings import add_expect_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--from", type=Path, required=True, dest="source", help="folder of a sparsified LSTM")
    parser.add_argument("--checkpoint", type=Path, required=True, help="out: folder of the smaller model")
    add_expect_option(parser)


def run(args: argparse.Namespace) -> None:
    """Write the smaller model.

    Raises:
        UserError: a model of other cells.
    """
    subject = open_subject(args.source, torch.device("cpu"), args.expect)
    require_lstm(subject, "can be folded")
    masks = read_masks(subject.model, subject.tensors, subject.state["sparsify"])
    small = fold(subject.model, remove_dead(masks))
    about = {"folded": True, "folded_from": subject.state["parameters"]}
    checkpoint.save(args.checkpoint, small, subject.state | about)


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
        small.get_parameter("embedding.weight").copy_((model.embedding.weight * masks.embedding)[:, units])
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


def find_kept(kept: Tensor) -> Tensor:
    """Return the places where ``kept`` is true; the first place if there are none, since a layer needs a unit."""
    return torch.nonzero(kept).flatten() if kept.any() else torch.zeros(1, dtype=torch.int64, device=kept.device)
