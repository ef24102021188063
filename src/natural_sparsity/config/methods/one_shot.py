"""The settings of ``method: one_shot``: pruning at once."""

from typing import Literal

from pydantic import Field

from natural_sparsity.config.methods.pruning import Lottery


class Settings(Lottery):
    """One-shot magnitude pruning: each level prunes the trained dense model at once, rewinds and trains again."""

    method: Literal["one_shot"] = Field(description="Prune at once to the density of each level, rewind, train again.")

    def find_donor(self, name: str, base: str, level: int) -> str:
        """The model whose trained weights a level prunes: the dense one."""
        return base
