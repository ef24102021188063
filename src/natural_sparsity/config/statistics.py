"""The block ``statistics``: the bootstrap."""

from pydantic import Field

from natural_sparsity.config.base import Block, Seed


class Statistics(Block):
    """The bootstrap over words, which gives every correlation and difference its interval."""

    resamples: int = Field(1000, ge=100, le=100_000, description="Resamples of the words; claims take at least 10,000.")
    level: float = Field(0.95, ge=0.5, le=0.999, description="Level of the percentile intervals.")
    seed: Seed = Field(1, description="Seed of the resamples.")
