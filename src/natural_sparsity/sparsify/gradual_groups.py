"""Gradual pruning of whole gates or neurons of an LSTM by the size of their weights; a control for group methods.

The share of groups pruned rises as in :mod:`natural_sparsity.sparsify.gradual`; those go whose weights have the least
root mean square, with the groups of :mod:`natural_sparsity.sparsify.groups`.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify import groups
from natural_sparsity.sparsify.gradual import sparsity
from natural_sparsity.sparsify.masks import apply, by_magnitude
from natural_sparsity.sparsify.method import Masked, Method, Place

SQUARES = {"gates": groups.gate_squares, "neurons": groups.neuron_squares}
MASKS = {"gates": groups.gate_masks, "neurons": groups.neuron_masks}


def start(
    settings: dict[str, Any],
    rewound: LanguageModel,
    decides: LanguageModel | None,
    decided: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Training starts dense, from the weights of the dense model."""
    weights = groups.matrices(rewound)
    kept = [torch.ones_like(squares, dtype=torch.bool) for squares in SQUARES[settings["groups"]](weights)]
    return MASKS[settings["groups"]](kept, weights)


class GradualGroups(Masked):
    """Masks that lose groups as training goes on."""

    def before_step(self, step: int) -> None:
        """Prune, if it is time."""
        if step % self.settings["every"] == 0:
            self.prune(self.place.epoch - 1 + step / self.place.steps)

    def prune(self, time: float) -> None:
        """Prune to what is due at ``time``, epochs."""
        settings, weights = self.settings, groups.matrices(self.model)
        share = 1 - sparsity(time, settings["begin"], settings["end"], 1 - settings["density"])
        squares = SQUARES[settings["groups"]]
        sums, sizes = squares(weights), squares({name: torch.ones_like(weight) for name, weight in weights.items()})
        scores = {str(i): (total / size).sqrt() for i, (total, size) in enumerate(zip(sums, sizes, strict=True))}
        kept = by_magnitude(scores, self.alive(), share, settings["scope"])
        for name, mask in MASKS[settings["groups"]](list(kept.values()), weights).items():
            self.masks[name].copy_(mask)
        apply(self.model, self.masks)

    def alive(self) -> dict[str, Tensor]:
        """The groups of each layer that have not gone, as the masks say."""
        found = {}
        for layer, width in enumerate(self.model.architecture.hidden):
            rows = self.masks[groups.INPUT.format(layer)][:, 0]
            if self.settings["groups"] == "neurons":
                rows = self.masks[f"recurrent.{layer}.bias_ih_l0"][:width]
            found[str(layer)] = rows
        return found

    def close(self) -> None:
        """At the end of the epoch: what is due then."""
        self.prune(self.place.epoch)


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Masks that lose gates or neurons.

    Raises:
        UserError: the model has no LSTM.
    """
    if model.architecture.cell != "lstm":
        raise UserError(f"gradual_groups is for LSTMs, and this model's cell is {model.architecture.cell}")
    return GradualGroups(settings, model, tensors, place)
