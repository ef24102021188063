"""The settings that methods with levels of sparsity share."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from natural_sparsity.config.methods.base import (
    INIT,
    LAST,
    PRUNABLE,
    Begin,
    Controls,
    DenseModel,
    End,
    Every,
    Levels,
    Method,
    Parent,
    PrunedFraction,
    PrunedTensors,
    PruningScope,
    RewindToStep,
    Variant,
)

# The controls whose weights are newly drawn.
REDRAWN = ("random_init", "equal_size")


class Levelled(Method):
    """Pruning to one density per level, each of which gives a model, ``NAME-levelN``."""

    of: DenseModel
    levels: Levels
    fraction: PrunedFraction = 0.2
    scope: PruningScope = "global"

    def list_places(self, role: str) -> Iterator[dict[str, Any]]:
        """Yield the place of each level in the family."""
        for level in range(1, self.levels + 1):
            yield {"level": level, "density": (1 - self.fraction) ** level, "role": role}


class Gradual(Levelled):
    """Pruning during training, from the untrained weights of the dense model."""

    masked = ("gradual",)

    begin: Begin = 0.0
    end: End
    every: Every = 100

    def list_variants(self, name: str, base: str) -> Iterator[Variant]:
        """Yield a model per level."""
        for place in self.list_places("gradual"):
            yield Variant(f"{name}-level{place['level']}", place, {"start": Parent(base, INIT)})


class Lottery(Levelled):
    """Magnitude pruning to levels of sparsity, and training again from early weights of the dense model."""

    masks_alone = True
    masked = ("ticket", "random_mask", "random_mask_global", "random_init")

    rewind: RewindToStep = 0
    tensors: PrunedTensors = Field(PRUNABLE)
    controls: Controls = Field([])

    def find_donor(self, name: str, base: str, level: int) -> str:
        """The model whose trained weights a level prunes: that of the level before."""
        return base if level == 1 else f"{name}-level{level - 1}"

    def list_variants(self, name: str, base: str) -> Iterator[Variant]:
        """Yield a ticket per level, and one more model for each of its controls."""
        start = {"start": Parent(base, self.rewind)}
        for place in self.list_places("ticket"):
            ticket = f"{name}-level{place['level']}"
            donor = self.find_donor(name, base, place["level"])
            yield Variant(ticket, place, {**start, "masks": Parent(donor, LAST)})
            for control in self.controls:
                changed, begin = {**place, "role": control}, start
                if control in REDRAWN:
                    # Trained from the first epoch on, as were the weights that the ticket rewinds to.
                    changed["rewind"], begin = INIT, {"start": Parent(base, INIT)}
                yield Variant(f"{ticket}-{control}", changed, {**begin, "masks": Parent(ticket, INIT)})
