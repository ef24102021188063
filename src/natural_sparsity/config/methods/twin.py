"""The settings of ``method: twin``: the same model, trained again with other random numbers."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from natural_sparsity.config.base import Rate
from natural_sparsity.config.methods.base import LAST, Method, Parent, RewindToStep, Variant


class Settings(Method):
    """A twin, for the stability test of rewinding (Frankle et al. 2020).

    The same model trains again from one of its earlier states. Only dropout and the order of the data are drawn from
    another seed; nothing is made sparse. Text is read in the same order in every epoch, so its models need dropout.
    """

    keeps_masks = "of"
    prunes = False
    copies = True

    method: Literal["twin"] = Field(description="Train again from an earlier state, with other random numbers.")
    of: str = Field(
        description=(
            "Name of the model that is trained again: a dense one, or a ticket such as `tickets-level2`. Its run must"
            " be at least as long."
        )
    )
    rewind: RewindToStep = 0
    margin: Rate = Field(
        0.05,
        description=(
            "Margin of the verdict, in the unit of the loss (nats for words): the model is stable if its error barrier"
            " is shown to be smaller. State it before you look at results; changing it trains nothing again."
        ),
    )

    def list_variants(self, name: str, base: str) -> Iterator[Variant]:
        """Yield the twin, whose end is compared with that of the original."""
        for model in super().list_variants(name, base):
            yield model._replace(parents={**model.parents, "original": Parent(base, LAST)})
