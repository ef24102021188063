"""A sparsified LSTM as a smaller one, with the same outputs.

What :mod:`natural_sparsity.sparsify.structure` finds removed is cut out of every tensor that touches it: a neuron's
four rows and its columns, an embedding unit's column. A gate that is constant keeps its bias and rows of zeros. What is
left is a dense model of its own architecture, for any command that reads checkpoints.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify.gates import GATES
from natural_sparsity.sparsify.structure import Masks, masks_of, settled


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--from-parameters", type=Path, required=True, help="safetensors of a sparsified LSTM")
    parser.add_argument("--from-state", type=Path, required=True, help="JSON of the same")
    parser.add_argument("--parameters", type=Path, required=True, help="out: safetensors")
    parser.add_argument("--state", type=Path, required=True, help="out: JSON")


def indices(kept: Tensor) -> Tensor:
    """Where ``kept`` is true; the first place where it nowhere is, since a layer has one unit at least."""
    return torch.nonzero(kept).flatten() if kept.any() else torch.zeros(1, dtype=torch.int64, device=kept.device)


@torch.no_grad()
def folded(model: LanguageModel, left: Masks) -> LanguageModel:
    """A model without the units that ``left``, from :func:`settled`, has not; its outputs are the same."""
    units, neurons = indices(left.units), [indices(kept) for kept in left.neurons]
    rows = [
        torch.cat([kept + gate * width for gate in range(len(GATES))])
        for kept, width in zip(neurons, model.architecture.hidden, strict=True)
    ]
    hidden = [len(kept) for kept in neurons]
    architecture = replace(model.architecture, embedding=len(units), hidden=hidden)
    small = LanguageModel(len(model.embedding.weight), architecture, len(model.output.weight)).to(model.output.weight)
    small.embedding.weight.copy_((model.embedding.weight * left.embedding)[:, units])
    below = [units, *neurons]
    for i, columns in enumerate(below[:-1]):
        parts = {
            "weight_ih": (model.get_parameter(f"recurrent.{i}.weight_ih_l0") * left.into[i])[rows[i]][:, columns],
            "weight_hh": (model.get_parameter(f"recurrent.{i}.weight_hh_l0") * left.again[i])[rows[i]][:, neurons[i]],
            "bias_ih": model.get_parameter(f"recurrent.{i}.bias_ih_l0")[rows[i]],
            "bias_hh": model.get_parameter(f"recurrent.{i}.bias_hh_l0")[rows[i]],
        }
        for kind, value in parts.items():
            small.get_parameter(f"recurrent.{i}.{kind}_l0").copy_(value)
    small.output.weight.copy_((model.output.weight * left.output)[:, below[-1]])
    small.output.bias.copy_(model.output.bias)
    return small


def run(args: argparse.Namespace) -> None:
    """Write the smaller model.

    Raises:
        UserError: a model without LSTMs.
    """
    cpu = torch.device("cpu")
    model, state = checkpoint.load(args.from_parameters, args.from_state, cpu)
    if model.architecture.cell != "lstm":
        raise UserError(f"{args.from_state}: its cell is {model.architecture.cell}; only an LSTM can be folded")
    beside = checkpoint.load_beside(args.from_parameters, cpu)
    small = folded(model, settled(masks_of(model, beside, state.get("sparsify", {}))))
    of = {key: value for key, value in state.items() if key != "sha256"}
    checkpoint.save(small, args.parameters, args.state, {**of, "folded_from": state["sha256"]})
