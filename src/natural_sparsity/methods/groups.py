"""Groups of an LSTM's weights: those of a gate, and those of a neuron (arXiv 1911.05585; Wen et al. 2018).

A gate's group is its row of the input weights and its row of the recurrent weights. A neuron's group, its intrinsic
sparse structure, is the groups of its four gates, its column of the recurrent weights, and its column of the weights
that read the layer: the input weights of the next layer, or the output layer's. A weight counts once in a group. Biases
belong to no group.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from natural_sparsity.model.recurrent import RecurrentModel

GATES = 4
INPUT, RECURRENT = "recurrent.{}.weight_ih_l0", "recurrent.{}.weight_hh_l0"


def select_matrices(model: RecurrentModel) -> dict[str, Tensor]:
    """Return the matrices that have groups, of the LSTM layers and the output layer, by name and detached."""
    names = [kind.format(layer) for layer in range(len(model.recurrent)) for kind in (INPUT, RECURRENT)]
    return {name: model.get_parameter(name).detach() for name in [*names, "output.weight"]}


def name_layers(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, str, str]]:
    """Yield, for each layer, the names of its input weights, its recurrent weights, and the weights that read it."""
    count = len(weights) // 2
    for layer in range(count):
        above = INPUT.format(layer + 1) if layer + 1 < count else "output.weight"
        yield INPUT.format(layer), RECURRENT.format(layer), above


def sum_gate_squares(weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Sum the squares of every gate's group, (4 · hidden,) per layer."""
    return [
        weights[input_].square().sum(1) + weights[recurrent].square().sum(1)
        for input_, recurrent, _ in name_layers(weights)
    ]


def sum_neuron_squares(weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Sum the squares of every neuron's group, (hidden,) per layer."""
    sums = []
    for gates, (_, recurrent, reading) in zip(sum_gate_squares(weights), name_layers(weights), strict=True):
        squares = weights[recurrent].view(GATES, -1, weights[recurrent].shape[1]).square()
        own = squares.diagonal(dim1=1, dim2=2).sum(0)  # these are in the neuron's rows and in its column
        sums.append(gates.view(GATES, -1).sum(0) + squares.sum((0, 1)) - own + weights[reading].square().sum(0))
    return sums


def mask_gates(kept: list[Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return masks that drop the weights of the gates that are not ``kept``, booleans (4 · hidden,) per layer."""
    masks: dict[str, Tensor] = {}
    for gates, (input_, recurrent, _) in zip(kept, name_layers(weights), strict=True):
        masks |= {name: gates[:, None].expand_as(weights[name]).clone() for name in (input_, recurrent)}
    return masks


def mask_neurons(kept: list[Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return masks that drop the weights and biases of the neurons that are not ``kept``, booleans (hidden,) per layer.

    The biases are dropped so that the output of a pruned neuron is 0.
    """
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    for neurons, (input_, recurrent, reading) in zip(kept, name_layers(weights), strict=True):
        rows = neurons.repeat(GATES)
        for name in (input_, recurrent):
            masks[name] &= rows[:, None]
            masks[name.replace("weight", "bias")] = rows.clone()
        masks[recurrent] &= neurons
        masks[reading] &= neurons
    return masks
