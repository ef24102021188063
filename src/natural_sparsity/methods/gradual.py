"""Gradual magnitude pruning while a model trains: sparsity rises as a cubic of the time (Zhu & Gupta 2017).

From epoch ``begin`` to epoch ``end``, which need not be whole numbers, the share of pruned weights is
s = s_f (1 − (1 − (t − begin)/(end − begin))³), where s_f is the level's. Every ``every`` steps, the smallest of the
remaining weights are pruned until that share is reached.
"""

from typing import Any

from torch import Tensor

from natural_sparsity.methods.base import Masked, Method, Place
from natural_sparsity.methods.masks import all_kept, apply, by_magnitude, prunable
from natural_sparsity.model.recurrent import RecurrentModel


def sparsity(time: float, begin: float, end: float, final: float) -> float:
    """Compute the share that is pruned at ``time``: 0 until ``begin``, ``final`` from ``end``; all times in epochs."""
    progress = min(max((time - begin) / (end - begin), 0.0), 1.0)
    return final * (1 - (1 - progress) ** 3)


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Return masks that keep everything: training starts from the dense weights."""
    return all_kept(prunable(model, settings["tensors"]))


class Gradual(Masked):
    """Prunes more weights as training goes on."""

    def before_step(self, step: int) -> None:
        """Prune every ``every`` steps."""
        if step % self.settings["every"] == 0:
            self.prune(self.place.epoch - 1 + step / self.place.steps)

    def prune(self, time: float) -> None:
        """Prune to the share that is due at ``time``, in epochs."""
        settings = self.settings
        kept = 1 - sparsity(time, settings["begin"], settings["end"], 1 - settings["density"])
        weights = prunable(self.model, settings["tensors"])
        for name, mask in by_magnitude(weights, self.masks, kept, settings["scope"]).items():
            self.masks[name].copy_(mask)
        apply(self.model, self.masks)

    def close(self) -> None:
        """Prune to the share that is due at the end of the epoch."""
        self.prune(self.place.epoch)


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Make the hooks."""
    return Gradual(settings, model, tensors, place)
