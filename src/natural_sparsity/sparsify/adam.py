"""A dense model trained by Adam, at a constant rate: ``training.optimiser``.

It is :mod:`natural_sparsity.sparsify.sparse_vd` without random variables; Adam's state is in the checkpoint.
"""

import math
from typing import Any

from torch import Tensor

from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify.method import Method, Place
from natural_sparsity.sparsify.sparse_vd import SparseVD


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Adam with the learning rate, clipping and dropout of the settings."""
    return SparseVD({**settings, "groups": [], "threshold": math.inf}, model, tensors, place)
