"""The settings of ``method: qat``: quantisation-aware training."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from natural_sparsity.config.base import UNIQUE, UNIQUE_ITEMS, Rate
from natural_sparsity.config.methods.base import Method, Needs, Rewind, Variant


class Settings(Method):
    """Quantisation-aware training: the forward pass uses weights of a few bits. Weights that were pruned stay 0."""

    needs = Needs(cells=("lstm", "gru"))
    keeps_masks = "of"
    prunes = False

    method: Literal["qat"] = Field(description="Train with weights of a few bits.")
    of: str = Field(
        description=(
            "Name of the model that is quantised: a dense one, or a pruned one such as `tickets-level2`. Its"
            " architecture and training are taken over."
        )
    )
    rewind: Rewind = 0
    bits: int = Field(8, ge=2, le=8, description="Bits per weight.")
    scope: Literal["channel", "tensor"] = Field(
        "channel", description="One scale per row of a weight matrix, or one for the whole matrix."
    )
    learning_rate: Rate | None = Field(
        None,
        description=(
            "Learning rate of the first epoch after `rewind`. The dense model's `milestones` after that, or without"
            " these the dev loss, lower it. `null` goes on with that of the model `of`."
        ),
    )
    controls: Annotated[list[Literal["rounded"]], UNIQUE, UNIQUE_ITEMS] = Field(
        [],
        description=(
            "`rounded` adds a model that trains for the same epochs at the same rates in single precision and is"
            " rounded after that, `NAME-rounded`."
        ),
    )

    def list_variants(self, name: str, base: str) -> Iterator[Variant]:
        """Yield the quantised model, and its controls, which start from the same weights."""
        for model in super().list_variants(name, base):
            yield model
            for control in self.controls:
                yield Variant(f"{name}-{control}", {"role": control}, model.parents)
