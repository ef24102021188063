"""Magnitude pruning in levels, iterative or one-shot, with rewinding, and its controls: lottery tickets.

The procedure (arXiv 2112.11480 and the work that it reviews): prune the weights of the trained network, set the
remaining ones back to their values at epoch ``rewind``, and train again. Iterative pruning starts from the masks of the
level before; one-shot pruning prunes the dense network at once to the density of the level.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.methods import equal_size
from natural_sparsity.methods.base import Masked, Method, Place
from natural_sparsity.methods.masks import all_kept, apply, by_magnitude, prunable, shuffle
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.recurrent import RecurrentModel

# The roles whose masks are shuffled, and within what.
SHUFFLES = {"random_mask": "layer", "random_mask_global": "global"}


def rebuild(
    settings: dict[str, Any], model: RecurrentModel, donor_tensors: dict[str, Tensor], seed: int
) -> RecurrentModel:
    """The model to prune: ``model``, but in the role ``equal_size`` a newly drawn one as small as the donor."""
    if settings["role"] != "equal_size":
        return model
    seed_everything(seed, "equal_size")
    return equal_size.shrink(model, equal_size.count_left(model, donor_tensors))


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Prune ``model`` in place and return its masks.

    The role of the settings decides what is kept. ``ticket``: the largest weights of the ``donor``, within its masks,
    the ``donor_tensors``. ``random_mask``: the donor's masks, shuffled within each tensor by the same permutation at
    every level; ``random_mask_global``: shuffled over all tensors together. ``random_init``: the donor's masks, on
    newly drawn weights. ``equal_size``: everything; see :func:`rebuild`.
    """
    if donor is None:
        raise UserError(
            f"--masks: {settings['method']} prunes by the weights or masks of a checkpoint; give its folder"
        )
    if settings["role"] == "ticket":
        weights = prunable(donor, settings["tensors"])
        kept = by_magnitude(weights, donor_tensors or all_kept(weights), settings["density"], settings["scope"])
    elif settings["role"] in SHUFFLES:
        seed_everything(seed, "random_mask")
        kept = shuffle(donor_tensors, torch.default_generator, SHUFFLES[settings["role"]])
    elif settings["role"] == "equal_size":
        return {}
    else:
        kept = donor_tensors
        seed_everything(seed, "random_init")
        model.load_state_dict(model.fresh().state_dict())
    apply(model, kept)
    return kept


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Make the hooks, which leave the masks as they are."""
    return Masked(settings, model, tensors, place)
