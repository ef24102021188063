"""Moduli regularisation of the recurrent weights (Mackey et al., arXiv 2406.06290), with magnitude pruning in a ramp.

The units of each layer lie at random points of a space, drawn once. R = strength · mean(K · |W_hh|) is added to the
loss, with K[i, j] = f(distance of units i and j), the same for every gate. The checkpoint holds K and the points as
well as the parameters. The paper's language models have a second penalty: with the setting ``l1``, it is l1 · (mean
|W| of the embedding + that of each layer's input weights + that of the output). At the start of epoch e, from the
second on, weights are pruned by magnitude to the sparsity ``sparsity`` · e / ``ramp``, and the masks hold for the
epoch. To see what the masks alone are worth, the role ``retrained`` trains newly drawn weights under the final masks,
with the same K.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.methods import spaces
from natural_sparsity.methods.base import Gradients, Masked, Method, Place
from natural_sparsity.methods.masks import all_kept, apply, by_magnitude, carry_over, prunable
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.recurrent import RecurrentModel

INHIBITION, POINTS = "inhibition.", "points."


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Draw each layer's points and K from the seed alone; nothing is pruned yet.

    In the role ``retrained``, masks, points and K are the donor's, and the weights of ``model`` are newly drawn.

    Raises:
        UserError: no weight of some layer would be penalised.
    """
    if settings.get("role") == "retrained":
        seed_everything(seed, "retrained")
        model.load_state_dict(model.fresh().state_dict())
        carry_over(model, donor_tensors)
        return donor_tensors
    tensors: dict[str, Tensor] = all_kept(prunable(model, settings["tensors"]))
    for name, weight in prunable(model, ["recurrent"]).items():
        seed_everything(seed, "moduli", name)
        points = spaces.points(settings["space"], weight.shape[1], torch.default_generator)
        tensors[POINTS + name] = points
        k = inhibition(settings, points)
        if not bool(k.any()):
            raise UserError(
                f"{name}: K is 0 for every pair of units, so nothing would be penalised; give the layer more units, or"
                " take a space of fewer dimensions"
            )
        tensors[INHIBITION + name] = k
    return tensors


def inhibition(settings: dict[str, Any], points: Tensor) -> Tensor:
    """Compute K (units, units) of a layer, or of the control that the settings ask for."""
    distances = spaces.distances(settings["space"], points, points)
    k = spaces.inhibition(distances, settings["inhibitor"], settings["inverted"])
    if settings["control"] == "permuted":
        return spaces.permuted(k, torch.default_generator)
    return spaces.matched(k) if settings["control"] == "matched" else k


class Moduli(Masked):
    """Adds the regulariser's gradient, and prunes between epochs."""

    def __init__(self, settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors, place)
        due = settings["sparsity"] * min(place.epoch / settings["ramp"], 1.0)
        if place.epoch > 1 and settings.get("role") != "retrained":
            weights = prunable(model, settings["tensors"])
            for name, mask in by_magnitude(weights, self.masks, 1 - due, "global").items():
                self.masks[name].copy_(mask)
            apply(model, self.masks)
        self.penalised = {
            name: (parameter.detach(), scale_penalty(settings["strength"], tensors[INHIBITION + name], parameter))
            for name, parameter in model.named_parameters()
            if INHIBITION + name in tensors
        }
        # The embedding's penalty is on the rows of all words, also of those that a batch lacks.
        self.whole_embedding = "l1" in settings
        self.by_mean = list(prunable(model, ["embedding", "input", "output"])) if self.whole_embedding else []

    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Add the regulariser's gradient, and drop the gradient of pruned weights."""
        for name, (weight, k) in self.penalised.items():
            gradients[name].add_(k * weight.sign())
        for name in self.by_mean:
            weight = self.model.get_parameter(name).detach()
            gradients[name].add_(weight.sign(), alpha=self.settings["l1"] / weight.numel())
        super().adjust(gradients, words)


def scale_penalty(strength: float, k: Tensor, weight: Tensor) -> Tensor:
    """Return strength · K / n for the n entries of a layer's recurrent weights, with K repeated for each gate."""
    return strength / weight.numel() * k.repeat(len(weight) // len(k), 1)


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Make the hooks."""
    return Moduli(settings, model, tensors, place)
