"""Gradual pruning of whole gates or neurons of an LSTM by the size of their weights: a control for other group methods.

The share of pruned groups rises as in :mod:`natural_sparsity.methods.gradual`. The groups are those of
:mod:`natural_sparsity.methods.groups`; those whose weights have the smallest root mean square are pruned first.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.methods import groups
from natural_sparsity.methods.base import Masked, Method, Place, require_lstm
from natural_sparsity.methods.gradual import sparsity
from natural_sparsity.methods.masks import apply, by_magnitude
from natural_sparsity.model.recurrent import RecurrentModel

SUM_SQUARES = {"gates": groups.sum_gate_squares, "neurons": groups.sum_neuron_squares}
MASK = {"gates": groups.mask_gates, "neurons": groups.mask_neurons}


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Return masks that keep everything: training starts from the dense weights."""
    weights = groups.select_matrices(model)
    kept = [torch.ones_like(squares, dtype=torch.bool) for squares in SUM_SQUARES[settings["groups"]](weights)]
    return MASK[settings["groups"]](kept, weights)


class GradualGroups(Masked):
    """Prunes more groups as training goes on."""

    def before_step(self, step: int) -> None:
        """Prune every ``every`` steps."""
        if step % self.settings["every"] == 0:
            self.prune(self.place.epoch - 1 + step / self.place.steps)

    def prune(self, time: float) -> None:
        """Prune to the share that is due at ``time``, in epochs."""
        settings, weights = self.settings, groups.select_matrices(self.model)
        share = 1 - sparsity(time, settings["begin"], settings["end"], 1 - settings["density"])
        sum_squares = SUM_SQUARES[settings["groups"]]
        sums = sum_squares(weights)
        sizes = sum_squares({name: torch.ones_like(weight) for name, weight in weights.items()})
        scores = {str(i): (total / size).sqrt() for i, (total, size) in enumerate(zip(sums, sizes, strict=True))}
        kept = by_magnitude(scores, self.find_kept(), share, settings["scope"])
        for name, mask in MASK[settings["groups"]](list(kept.values()), weights).items():
            self.masks[name].copy_(mask)
        apply(self.model, self.masks)

    def find_kept(self) -> dict[str, Tensor]:
        """Return which groups the masks still keep, by layer."""
        kept = {}
        for layer, width in enumerate(self.model.architecture.hidden):
            rows = self.masks[groups.INPUT.format(layer)][:, 0]
            if self.settings["groups"] == "neurons":
                rows = self.masks[f"recurrent.{layer}.bias_ih_l0"][:width]
            kept[str(layer)] = rows
        return kept

    def close(self) -> None:
        """Prune to the share that is due at the end of the epoch."""
        self.prune(self.place.epoch)


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Make the hooks.

    Raises:
        UserError: the model is not an LSTM.
    """
    require_lstm(model, "gradual_groups")
    return GradualGroups(settings, model, tensors, place)
