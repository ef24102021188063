"""Masks, which say which weights are kept: by magnitude or at random, nested or shuffled.

A mask is a boolean tensor, true where the weight is kept. Masks have the names of their parameters.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from natural_sparsity.errors import UserError

Masks = dict[str, Tensor]

# The parameters that each name of the configuration's ``tensors`` stands for. Biases are never pruned.
TENSORS = {
    "embedding": r"(embedding|initial)\.weight",
    "input": r".*\.weight_ih_l\d+",
    "recurrent": r".*\.weight_hh_l\d+",
    "output": r"output\.weight",
}


def prunable(model: nn.Module, tensors: list[str]) -> dict[str, Tensor]:
    """Return the parameters that ``tensors`` (keys of ``TENSORS``) stand for, by name and detached.

    A parameter that is tied to another is returned once. ``embedding`` is left out for a model that has neither an
    embedding nor a map to the initial state.

    Raises:
        UserError: the model has no parameter for another key, or for ``embedding`` alone.
    """
    weights: dict[str, Tensor] = {}
    for key in tensors:
        matching = {name: p.detach() for name, p in model.named_parameters() if re.fullmatch(TENSORS[key], name)}
        if not matching and (key != "embedding" or len(tensors) == 1):
            raise UserError(f"sparsify.tensors: the model has no {key} weights to prune; name others")
        weights.update(matching)
    return weights


def all_kept(weights: Mapping[str, Tensor]) -> Masks:
    """Return masks that keep every weight."""
    return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}


def by_magnitude(weights: Mapping[str, Tensor], masks: Masks, density: float, scope: str) -> Masks:
    """Return masks that keep the share ``density`` of all weights, those of largest magnitude, within ``masks``.

    ``scope`` is ``global``, one threshold over all tensors, or ``layer``, the same share of each tensor. The number of
    kept weights is exact, rounded to a whole weight; among equal magnitudes, the first ones are kept. A weight that
    ``masks`` already drop stays dropped, whatever its value.

    Raises:
        UserError: ``masks`` keep fewer weights than ``density`` asks for, or a weight is not finite.
    """
    if scope == "layer":
        return {name: keep_largest([weights[name]], [masks[name]], density)[0] for name in weights}
    kept = keep_largest(list(weights.values()), [masks[name] for name in weights], density)
    return dict(zip(weights, kept, strict=True))


def keep_largest(weights: list[Tensor], masks: list[Tensor], density: float) -> list[Tensor]:
    """Return masks by one threshold over all ``weights``; see :func:`by_magnitude`."""
    pairs = zip(weights, masks, strict=True)
    magnitudes = torch.cat([weight.abs().masked_fill(~mask, -1.0).flatten() for weight, mask in pairs])
    if not bool(magnitudes.isfinite().all()):
        raise UserError("weights that are not finite cannot be pruned by magnitude; lower the learning rate")
    keep = round(density * len(magnitudes))
    if keep > int((magnitudes >= 0).sum()):
        raise UserError(f"a density of {density:g} asks for more weights than the masks of the level before keep")
    kept = torch.zeros(len(magnitudes), dtype=torch.bool, device=magnitudes.device)
    kept[magnitudes.sort(descending=True, stable=True).indices[:keep]] = True
    parts = kept.split([mask.numel() for mask in masks])
    return [part.view_as(mask) for part, mask in zip(parts, masks, strict=True)]


def shuffle(masks: Masks, generator: torch.Generator, scope: str) -> Masks:
    """Return masks that keep as many weights at random positions.

    ``scope`` is ``layer``, as many in each tensor, or ``global``, as many over all tensors together.
    """
    if scope == "layer":
        return {name: permute(mask.flatten(), generator).view_as(mask) for name, mask in masks.items()}
    everywhere = permute(torch.cat([mask.flatten() for mask in masks.values()]), generator)
    parts = everywhere.split([mask.numel() for mask in masks.values()])
    return {name: part.view_as(mask) for (name, mask), part in zip(masks.items(), parts, strict=True)}


def permute(values: Tensor, generator: torch.Generator) -> Tensor:
    """Put the entries of a vector into a random order."""
    return values[torch.randperm(len(values), generator=generator)]


@torch.no_grad()
def apply(model: nn.Module, masks: Masks) -> None:
    """Set the weights that the masks drop to exactly 0, whatever they were."""
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        parameters[name].masked_fill_(~mask, 0.0)


def carry_over(model: nn.Module, tensors: Mapping[str, Tensor]) -> Masks:
    """Apply the masks among the tensors of another method to ``model``, and return them."""
    masks = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.bool}
    apply(model, masks)
    return masks


def density(masks: Masks) -> float:
    """Compute the share of weights that are kept, over all tensors together."""
    return sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())
