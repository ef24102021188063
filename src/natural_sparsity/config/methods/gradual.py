"""The settings of ``method: gradual``: pruning during training."""

from typing import Literal

from pydantic import Field

from natural_sparsity.config.methods.base import PRUNABLE, PrunedTensors
from natural_sparsity.config.methods.pruning import Gradual


class Settings(Gradual):
    """Gradual magnitude pruning: the density falls during training, along a cubic curve."""

    method: Literal["gradual"] = Field(description="Prune during training, to the density of each level.")
    tensors: PrunedTensors = Field(PRUNABLE)
