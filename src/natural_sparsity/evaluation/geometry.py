"""Distances between units joined by surviving recurrent weights, in the space of a moduli-regularised model."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.methods import spaces
from natural_sparsity.methods.moduli import INHIBITION, POINTS


def kept_pairs(weights: Tensor, space: str, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distances of all pairs of units that a nonzero weight joins, and those of all pairs.

    ``weights``: (gates · units, units); ``points``: (units, ·), where the units lie in the ``space``.
    """
    distances = spaces.distances(space, points, points).repeat(len(weights) // len(points), 1)
    return distances[weights != 0], distances.flatten()


def geometry(model: torch.nn.Module, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, float]:
    """Return means over the recurrent weights of all layers: distance and penalty K, over kept weights and over all.

    Empty for a model whose units lie in no space. ``tensors`` are the method's, ``settings`` its block.
    """
    values: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        if POINTS + name not in tensors:
            continue
        kept, every = kept_pairs(weight.detach(), settings["space"], tensors[POINTS + name])
        k = tensors[INHIBITION + name].repeat(len(weight) // weight.shape[1], 1)
        parts = {"distance_kept": kept, "distance_all": every, "k_kept": k[weight != 0], "k_all": k.flatten()}
        for key, part in parts.items():
            values.setdefault(key, []).append(part)
    means = {key: torch.cat(parts).double().mean() for key, parts in values.items()}
    return {key: float(mean) for key, mean in means.items() if bool(mean.isfinite())}
