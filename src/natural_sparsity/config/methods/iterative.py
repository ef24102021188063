"""The settings of ``method: iterative``: lottery tickets."""

from typing import Literal

from pydantic import Field

from natural_sparsity.config.methods.pruning import Lottery


class Settings(Lottery):
    """Iterative magnitude pruning, which gives lottery tickets.

    Each level prunes the trained weights of the level before; training then starts again from early weights.
    """

    method: Literal["iterative"] = Field(description="Prune, rewind and train again, level by level.")
