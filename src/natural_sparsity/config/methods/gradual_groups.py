"""The settings of ``method: gradual_groups``: pruning of gates or neurons during training."""

from typing import Literal

from pydantic import Field

from natural_sparsity.config.methods.base import Needs
from natural_sparsity.config.methods.pruning import Gradual


class Settings(Gradual):
    """Gradual pruning of whole gates or neurons of an LSTM."""

    needs = Needs(cells=("lstm",))

    method: Literal["gradual_groups"] = Field(
        description="Prune gates or neurons during training, to the density of each level."
    )
    groups: Literal["gates", "neurons"] = Field(
        description="What is pruned; those with the smallest root mean square of their weights go first."
    )
