"""Pruning by magnitude in levels, iterative or one-shot, with rewinding; and its controls.

The lottery-ticket procedure (arXiv 2112.11480 and what it reviews): prune the weights of the trained network, put what
is left back to its values at epoch ``rewind``, train again. Iterative pruning goes on from the level before; one-shot
pruning prunes the dense network at once to the density of the level.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify.masks import all_kept, apply, by_magnitude, prunable, shuffled
from natural_sparsity.sparsify.method import Masked, Method, Place


def start(
    settings: dict[str, Any],
    rewound: LanguageModel,
    decides: LanguageModel | None,
    decided: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Turn ``rewound`` into what training starts from, in place, and return its masks.

    ``role`` says which: the ``ticket`` prunes by the weights of ``decides`` within its masks ``decided``;
    ``random_mask`` shuffles the ticket's masks ``decided`` within each tensor, by the same permutation at every level;
    ``random_init`` keeps them and draws new weights.
    """
    assert decides is not None
    if settings["role"] == "ticket":
        weights = prunable(decides, settings["tensors"])
        kept = by_magnitude(weights, decided or all_kept(weights), settings["density"], settings["scope"])
    elif settings["role"] == "random_mask":
        seed_everything(seed, "random_mask")
        kept = shuffled(decided, torch.default_generator)
    else:
        kept = decided
        seed_everything(seed, "random_init")
        rewound.load_state_dict(rewound.fresh().state_dict())
    apply(rewound, kept)
    return kept


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """The masks stay as they are."""
    return Masked(settings, model, tensors, place)
