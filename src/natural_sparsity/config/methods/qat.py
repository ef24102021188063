"""The settings of ``method: qat``: quantisation-aware training."""

from typing import Literal

from pydantic import Field

from natural_sparsity.config.methods.base import DenseModel, Method, Needs, Rewind


class Settings(Method):
    """Quantisation-aware training: the forward pass uses weights of a few bits."""

    needs = Needs(cells=("lstm", "gru"))
    prunes = False

    method: Literal["qat"] = Field(description="Train with weights of a few bits.")
    of: DenseModel
    rewind: Rewind = 0
    bits: int = Field(8, ge=2, le=8, description="Bits per weight.")
    scope: Literal["channel", "tensor"] = Field(
        "channel", description="One scale per row of a weight matrix, or one for the whole matrix."
    )
