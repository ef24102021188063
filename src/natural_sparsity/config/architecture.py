"""The block ``models.NAME.architecture``: the layers of a model."""

from typing import Annotated, Literal

from pydantic import Field

from natural_sparsity.config.base import Block

# A recurrent layer of 16,384 units has 2 billion weights, 8 GB.
Width = Annotated[int, Field(ge=1, le=16_384)]
Cell = Literal["lstm", "gru", "rnn"]


class Architecture(Block):
    """The layers of a model: an embedding where the data have a vocabulary, recurrent layers, a linear output."""

    embedding: Width = Field(
        200,
        description="Width of the embedding, in units.",
        json_schema_extra={"only": "vocabulary"},
    )
    hidden: list[Width] = Field(
        [200, 200],
        min_length=1,
        max_length=100,
        description="Width of each recurrent layer, in units, from the first to the last; one layer or more.",
    )
    cell: Cell = Field(
        "lstm",
        description="Kind of the recurrent layers, as PyTorch computes them; `rnn` is Elman's network.",
    )
    activation: Literal["tanh", "relu"] = Field("tanh", description="Activation of `cell: rnn`; other cells have none.")
    dropout: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Probability of dropout: on the embedding, between the layers, and before the output.",
    )

    def list_moot_keys(self) -> dict[str, str]:
        """Only Elman's network has a choice of activation."""
        return {} if self.cell == "rnn" else {"activation": f"only cell rnn has one, and the cell is {self.cell}"}
