"""Moduli regularisation of the recurrent weights (Mackey et al., arXiv 2406.06290), with magnitude pruning in a ramp.

The units of each layer lie at random points of a space, drawn once. The loss gets R = strength · mean(K · |W_hh|), with
K[i, j] = f(distance of units i and j), the same for every gate; K and the points lie beside the parameters in the
checkpoint. At the start of epoch e, from the second on, weights are pruned by magnitude to the sparsity
``sparsity`` · e / ``ramp``; the masks hold for the epoch. To see what the masks alone are worth, newly drawn weights
are trained under the last ones, fixed, with the same K.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify import spaces
from natural_sparsity.sparsify.masks import all_kept, apply, by_magnitude, prunable
from natural_sparsity.sparsify.method import Gradients, Masked, Method, Place

INHIBITION, POINTS = "inhibition.", "points."


def start(
    settings: dict[str, Any],
    rewound: LanguageModel,
    decides: LanguageModel | None,
    decided: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Draw each layer's points and K, from the seed alone; nothing is pruned yet.

    In the role ``retrained``, masks, points and K are those ``decided`` by the model whose masks are kept, and the
    weights of ``rewound`` are drawn anew.

    Raises:
        UserError: a layer of which no weight would be penalised.
    """
    if settings.get("role") == "retrained":
        seed_everything(seed, "retrained")
        rewound.load_state_dict(rewound.fresh().state_dict())
        apply(rewound, {name: tensor for name, tensor in decided.items() if tensor.dtype == torch.bool})
        return decided
    tensors: dict[str, Tensor] = all_kept(prunable(rewound, settings["tensors"]))
    for name, weight in prunable(rewound, ["recurrent"]).items():
        seed_everything(seed, "moduli", name)
        points = spaces.points(settings["space"], weight.shape[1], torch.default_generator)
        tensors[POINTS + name] = points
        k = inhibition(settings, points)
        if not bool(k.any()):
            raise UserError(f"{name}: K is 0 everywhere, so nothing would be penalised; give the layer more units")
        tensors[INHIBITION + name] = k
    return tensors


def inhibition(settings: dict[str, Any], points: Tensor) -> Tensor:
    """K (units, units) of a layer, or of the control that the settings ask for."""
    distances = spaces.distances(settings["space"], points, points)
    k = spaces.inhibition(distances, settings["inhibitor"], settings["inverted"])
    if settings["control"] == "permuted":
        return spaces.permuted(k, torch.default_generator)
    return spaces.matched(k) if settings["control"] == "matched" else k


class Moduli(Masked):
    """The regulariser's gradient, and pruning between epochs."""

    def __init__(self, settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors, place)
        due = settings["sparsity"] * min(place.epoch / settings["ramp"], 1.0)
        if place.epoch > 1 and settings.get("role") != "retrained":
            weights = prunable(model, settings["tensors"])
            for name, mask in by_magnitude(weights, self.masks, 1 - due, "global").items():
                self.masks[name].copy_(mask)
            apply(model, self.masks)
        self.penalised = {
            name: (parameter.detach(), scaled(settings["strength"], tensors[INHIBITION + name], parameter))
            for name, parameter in model.named_parameters()
            if INHIBITION + name in tensors
        }

    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Add the regulariser's gradient, and drop that of what is pruned."""
        for name, (weight, k) in self.penalised.items():
            gradients[name].add_(k * weight.sign())
        super().adjust(gradients, words)


def scaled(strength: float, k: Tensor, weight: Tensor) -> Tensor:
    """strength · K / n for the n entries of a layer's recurrent weights, K once for each gate, below each other."""
    return strength / weight.numel() * k.repeat(len(weight) // len(k), 1)


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """The regulariser with its ramp of pruning."""
    return Moduli(settings, model, tensors, place)
