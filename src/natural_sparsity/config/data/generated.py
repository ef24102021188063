"""The keys that all kinds of generated data share."""

from pydantic import Field

from natural_sparsity.config.base import Seed
from natural_sparsity.config.data.base import Kind


class Generated(Kind):
    """Sequences that are drawn while a model trains, from the seed of the model."""

    vocabulary = False
    categorical = False
    streams = False
    generated = True
    probed = False

    seed: Seed = Field(
        1,
        description="Seed of the held-out sequences. Training sequences are drawn from the seed of the run.",
    )
    held_out: int = Field(1000, ge=1, le=10**6, description="Sequences in each of the two held-out sets, dev and test.")
