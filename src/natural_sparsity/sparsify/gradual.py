"""Gradual pruning by magnitude within one training: sparsity rises by a cubic (Zhu & Gupta 2017).

From epoch ``begin`` to epoch ``end``, both of which may be fractions, the share of weights that is pruned is
s = s_f (1 − (1 − (t − begin)/(end − begin))³), with s_f of the level; every ``every`` steps the smallest of the weights
that are left go.
"""

from typing import Any

from torch import Tensor

from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify.masks import all_kept, apply, by_magnitude, prunable
from natural_sparsity.sparsify.method import Masked, Method, Place


def sparsity(time: float, begin: float, end: float, final: float) -> float:
    """The share pruned at ``time``, in epochs from the start of training: 0 until ``begin``, ``final`` from ``end``."""
    progress = min(max((time - begin) / (end - begin), 0.0), 1.0)
    return final * (1 - (1 - progress) ** 3)


def start(
    settings: dict[str, Any],
    rewound: LanguageModel,
    decides: LanguageModel | None,
    decided: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Training starts dense, from the weights of the dense model."""
    return all_kept(prunable(rewound, settings["tensors"]))


class Gradual(Masked):
    """Masks that lose weights as training goes on."""

    def before_step(self, step: int) -> None:
        """Prune, if it is time."""
        if step % self.settings["every"] == 0:
            self.prune(self.place.epoch - 1 + step / self.place.steps)

    def prune(self, time: float) -> None:
        """Prune to what is due at ``time``."""
        settings = self.settings
        kept = 1 - sparsity(time, settings["begin"], settings["end"], 1 - settings["density"])
        weights = prunable(self.model, settings["tensors"])
        for name, mask in by_magnitude(weights, self.masks, kept, settings["scope"]).items():
            self.masks[name].copy_(mask)
        apply(self.model, self.masks)

    def close(self) -> None:
        """At the end of the epoch: what is due then."""
        self.prune(self.place.epoch)


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Masks that lose weights as training goes on."""
    return Gradual(settings, model, tensors, place)
