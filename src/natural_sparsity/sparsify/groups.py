"""Groups of an LSTM's weights: those into a gate, and all that a neuron touches (arXiv 1911.05585; Wen et al. 2018).

A gate's group is its row of the input and its row of the recurrent weights. A neuron's group, its intrinsic sparse
structure, is the groups of its four gates, its column of the recurrent weights, and its column of what reads the layer:
the input weights of the next, or the output layer's. A weight counts once in a group. Biases are in none.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from natural_sparsity.model.language_model import LanguageModel

GATES = 4
INPUT, RECURRENT = "recurrent.{}.weight_ih_l0", "recurrent.{}.weight_hh_l0"


def matrices(model: LanguageModel) -> dict[str, Tensor]:
    """The matrices that some group is in, by their parameters' names, detached: of the LSTM layers and the output."""
    names = [kind.format(layer) for layer in range(len(model.recurrent)) for kind in (INPUT, RECURRENT)]
    return {name: model.get_parameter(name).detach() for name in [*names, "output.weight"]}


def layers(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, str, str]]:
    """Of each layer the names of its input weights, its recurrent weights, and what reads its outputs."""
    count = len(weights) // 2
    for layer in range(count):
        above = INPUT.format(layer + 1) if layer + 1 < count else "output.weight"
        yield INPUT.format(layer), RECURRENT.format(layer), above


def gate_squares(weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Of each layer the sum of squares of every gate's group, (4 · hidden,)."""
    return [weights[into].square().sum(1) + weights[again].square().sum(1) for into, again, _ in layers(weights)]


def neuron_squares(weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Of each layer the sum of squares of every neuron's group, (hidden,)."""
    sums = []
    for gates, (_, again, above) in zip(gate_squares(weights), layers(weights), strict=True):
        recurrent = weights[again].view(GATES, -1, weights[again].shape[1]).square()
        own = recurrent.diagonal(dim1=1, dim2=2).sum(0)  # in the neuron's rows and in its column
        sums.append(gates.view(GATES, -1).sum(0) + recurrent.sum((0, 1)) - own + weights[above].square().sum(0))
    return sums


def gate_masks(kept: list[Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks of the weights, all but those of the gates that are not ``kept`` (booleans, (4 · hidden,) a layer)."""
    masks: dict[str, Tensor] = {}
    for gates, (into, again, _) in zip(kept, layers(weights), strict=True):
        masks |= {name: gates[:, None].expand_as(weights[name]).clone() for name in (into, again)}
    return masks


def neuron_masks(kept: list[Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks of the weights and biases, all but those of the neurons that are not ``kept`` ((hidden,) a layer).

    Without its biases too, a neuron's output is 0.
    """
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    for neurons, (into, again, above) in zip(kept, layers(weights), strict=True):
        rows = neurons.repeat(GATES)
        for name in (into, again):
            masks[name] &= rows[:, None]
            masks[name.replace("weight", "bias")] = rows.clone()
        masks[again] &= neurons
        masks[above] &= neurons
    return masks
