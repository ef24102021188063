"""A model trained again from one of its earlier states, with other dropout and another order of the data.

The procedure of Frankle, Dziugaite, Roy & Carbin (2020, arXiv 1912.05671), with the original run as one of the two
copies. All else is the original's: weights, masks, the optimizer's memory, the hidden state, the learning rates, and
the number of steps.
"""

from typing import Any

from torch import Tensor

from natural_sparsity.methods.base import Masked, Method, Place
from natural_sparsity.model.device import seed_of
from natural_sparsity.model.recurrent import RecurrentModel

# Without milestones, the learning rate goes on as the original's: by the best dev loss so far.
KEEPS_BEST = True


def choose_seed(seed: int) -> int:
    """Return the seed of dropout and of the order of the data, for a run with ``seed``."""
    return seed_of("twin", seed)


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Leave the ``model`` as it is, and keep its masks."""
    return donor_tensors


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Make the hooks, which leave the masks as they are; a dense model has none."""
    return Masked(settings, model, tensors, place)
