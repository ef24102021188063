"""Quantisation-aware training: the loss is taken at weights of a few bits, which are trained in single precision.

A quantised weight is q · s, q a whole number from −n to n, n = 2^(``bits`` − 1) − 1, and s the largest magnitude among
the weights that share it, over n: those of a row (``scope: channel``) or of the whole tensor. The gradient by the
quantised weight moves the one in single precision as it is (straight-through); as s follows the largest weight, none is
out of range. All weight matrices are quantised, biases are not; activations are not while training.

The parameters of a checkpoint are the quantised weights, so that whatever reads it sees the model that is trained for;
those in single precision and the scales stand beside them.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify.masks import TENSORS, prunable
from natural_sparsity.sparsify.method import Gradients, Method, Place

# Names of tensors of a checkpoint: these, then the parameter's.
SINGLE, SCALE = "single.", "scale."


def quantise(weight: Tensor, bits: int, scope: str) -> tuple[Tensor, Tensor]:
    """The quantised weights, as they compute (rows, columns), and their scales, (rows,) or (1,)."""
    largest = weight.abs().amax(1) if scope == "channel" else weight.abs().amax().view(1)
    n = 2 ** (bits - 1) - 1
    scale = (largest / n).clamp(min=torch.finfo(weight.dtype).tiny)
    zero = torch.zeros(len(scale), dtype=torch.int32, device=weight.device)
    if scope == "channel":
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -n, n), scale
    return torch.fake_quantize_per_tensor_affine(weight, scale, zero, -n, n), scale


def integers(model: LanguageModel, beside: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """The quantised parameters of a checkpoint, by name: q (int8) and s; q · s is the parameter, bit for bit.

    Raises:
        UserError: it is not, so that the parameters are not those of the scales.
    """
    found = {}
    for name, scale in beside.items():
        if name.startswith(SCALE):
            weight = model.get_parameter(name.removeprefix(SCALE)).detach()
            q = (weight / scale[:, None]).round().to(torch.int8)
            if not torch.equal(q * scale[:, None], weight):
                raise UserError(
                    f"{name.removeprefix(SCALE)}: its weights are not on the grid of its scales; train again"
                )
            found[name.removeprefix(SCALE)] = q, scale
    return found


def start(
    settings: dict[str, Any],
    rewound: LanguageModel,
    decides: LanguageModel | None,
    decided: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Quantise the dense weights, in place; return them as they were, and the scales."""
    tensors = {}
    for name, weight in prunable(rewound, list(TENSORS)).items():
        tensors[SINGLE + name] = weight.clone()
        values, tensors[SCALE + name] = quantise(weight, settings["bits"], settings["scope"])
        weight.copy_(values)
    return tensors


class QuantisationAware(Method):
    """Quantised weights for the loss, weights in single precision for the update."""

    @torch.no_grad()
    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Now that the gradients are known, the weights in single precision take the place of the quantised."""
        for name, single in self.singles():
            self.model.get_parameter(name).copy_(single)

    @torch.no_grad()
    def after_update(self) -> None:
        """Quantise anew."""
        for name, single in self.singles():
            weight = self.model.get_parameter(name)
            single.copy_(weight)
            values, scale = quantise(single, self.settings["bits"], self.settings["scope"])
            self.tensors[SCALE + name].copy_(scale)
            weight.copy_(values)

    def singles(self) -> list[tuple[str, Tensor]]:
        """The quantised parameters' names, and their weights in single precision."""
        return [(name.removeprefix(SINGLE), t) for name, t in self.tensors.items() if name.startswith(SINGLE)]


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Quantised weights for the loss, weights in single precision for the update."""
    return QuantisationAware(settings, model, tensors, place)
