"""Quantisation-aware training: the loss is taken at weights of a few bits, and weights in single precision are trained.

A quantised weight is q · s: q is an integer from −n to n, n = 2^(``bits`` − 1) − 1; s is the largest magnitude among
the weights that share it, divided by n. These are the weights of a row (``scope: channel``) or of the whole tensor. The
gradient with respect to the quantised weight updates the weight in single precision unchanged (straight-through). Since
s follows the largest weight, no weight is out of range. All weight matrices are quantised; biases are not, nor are
activations while training.

The parameters of a checkpoint are the quantised weights, so that every reader sees the model that training aims at. The
weights in single precision and the scales are the method's tensors.

A model that another method has pruned keeps its masks. A pruned weight gets no gradient and is exactly 0, in single
precision as on the grid, of which 0 is a point. The largest magnitude is that of a kept weight, so the scales are those
of the kept weights alone. Han et al. (2016) prune first, too, and quantise what is kept; the other way round, rounding
would blur which weights are small (Harma et al. 2025). A kept weight may round to 0, and can come back.

The role ``rounded`` is the control: it trains in single precision and is rounded when it is measured.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import Gradients, Masked, Method, Place
from natural_sparsity.methods.masks import TENSORS, carry_over, prunable
from natural_sparsity.model.recurrent import RecurrentModel

# Prefixes of the method's tensors in a checkpoint; the parameter's name follows.
SINGLE, SCALE = "single.", "scale."
# The role of the control.
ROUNDED = "rounded"


def quantise(weight: Tensor, bits: int, scope: str) -> tuple[Tensor, Tensor]:
    """Return the quantised weights q · s (rows, columns) and their scales s, (rows,) or (1,)."""
    largest = weight.abs().amax(1) if scope == "channel" else weight.abs().amax().view(1)
    n = 2 ** (bits - 1) - 1
    scale = (largest / n).clamp(min=torch.finfo(weight.dtype).tiny)
    zero = torch.zeros(len(scale), dtype=torch.int32, device=weight.device)
    if scope == "channel":
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -n, n), scale
    return torch.fake_quantize_per_tensor_affine(weight, scale, zero, -n, n), scale


def integers(model: RecurrentModel, tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the integers q (int8) and scales s of a checkpoint's quantised parameters, by name.

    q · s is the parameter, bit for bit. ``tensors`` are the method's, by name; without scales, the result is empty.

    Raises:
        UserError: the parameters are not those that the scales belong to.
    """
    numbers = {}
    for name, scale in tensors.items():
        if name.startswith(SCALE):
            weight = model.get_parameter(name.removeprefix(SCALE)).detach()
            q = (weight / scale[:, None]).round().to(torch.int8)
            if not torch.equal(q * scale[:, None], weight):
                raise UserError(
                    f"{name.removeprefix(SCALE)}: its weights are not on the grid of its scales; train again"
                )
            numbers[name.removeprefix(SCALE)] = q, scale
    return numbers


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Quantise the weights in place; return the masks of the donor, the weights in single precision, and the scales.

    In the role ``rounded``, the weights stay as they are, and there are no tensors besides the masks.
    """
    tensors: dict[str, Tensor] = carry_over(model, donor_tensors)
    if settings["role"] == ROUNDED:
        return tensors
    for name, weight in prunable(model, list(TENSORS)).items():
        tensors[SINGLE + name] = weight.clone()
        values, tensors[SCALE + name] = quantise(weight, settings["bits"], settings["scope"])
        weight.copy_(values)
    return tensors


class QuantisationAware(Masked):
    """Takes the loss at quantised weights and updates weights in single precision; pruned ones stay 0."""

    @torch.no_grad()
    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Put the weights in single precision in the place of the quantised ones, for the update."""
        super().adjust(gradients, words)
        for name, single in self.list_singles():
            self.model.get_parameter(name).copy_(single)

    @torch.no_grad()
    def after_update(self) -> None:
        """Quantise the updated weights."""
        super().after_update()
        for name, single in self.list_singles():
            weight = self.model.get_parameter(name)
            single.copy_(weight)
            values, scale = quantise(single, self.settings["bits"], self.settings["scope"])
            self.tensors[SCALE + name].copy_(scale)
            weight.copy_(values)

    def list_singles(self) -> list[tuple[str, Tensor]]:
        """Return the names of the quantised parameters, and their weights in single precision."""
        return [(name.removeprefix(SINGLE), tensor) for name, tensor in self.tensors.items() if name.startswith(SINGLE)]


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Make the hooks; those of the control do nothing but keep the masks."""
    chosen = Masked if settings["role"] == ROUNDED else QuantisationAware
    return chosen(settings, model, tensors, place)
