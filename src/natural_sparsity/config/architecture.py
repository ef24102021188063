"""The block ``models.NAME.architecture``: the layers of a model."""

from typing import Annotated, Literal

from pydantic import Field

from natural_sparsity.config.base import Block, Printable

# A recurrent layer of 16,384 units has 2 billion weights, 8 GB.
Width = Annotated[int, Field(ge=1, le=16_384)]
Cell = Literal["lstm", "gru", "rnn"]


class Vectors(Block):
    """Word vectors that were trained elsewhere."""

    path: Printable = Field(
        description="The file, relative to the folder that Snakemake runs in; it may be compressed with gzip or bzip2."
    )
    format: Literal["word2vec", "word2vec_binary", "glove"] = Field(
        description=(
            "`word2vec` is text whose first line has the number of words and the width, as fastText's `.vec` has too;"
            " `word2vec_binary` is the same with binary numbers; `glove` is text without such a line."
        )
    )


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

    recurrent_start: Literal["uniform", "orthogonal"] = Field(
        "uniform",
        description=(
            "How recurrent weights are drawn: each on its own, as PyTorch does, or as one random orthogonal matrix per"
            " gate (Saxe et al. 2014)."
        ),
    )
    forget_bias: float | None = Field(
        None,
        ge=-100,
        le=100,
        description=(
            "Bias of an LSTM's forget gates before training, the sum of PyTorch's two; `null` draws it as PyTorch does."
        ),
    )
    vectors: Vectors | None = Field(
        None,
        description=(
            "Word vectors that the embedding starts from; training changes them. A word without one starts at random."
        ),
        json_schema_extra={"only": "vocabulary"},
    )

    def list_moot_keys(self) -> dict[str, str]:
        """Only Elman's network has a choice of activation, and only an LSTM has forget gates."""
        moot = {}
        if self.cell != "rnn":
            moot["activation"] = f"only cell rnn has one, and the cell is {self.cell}"
        if self.cell != "lstm":
            moot["forget_bias"] = f"only cell lstm has forget gates, and the cell is {self.cell}"
        return moot
