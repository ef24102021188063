"""The settings of ``method: sparse_vd``: sparse variational dropout."""

from typing import Annotated, Literal

from pydantic import Field

from natural_sparsity.config.base import UNIQUE, UNIQUE_ITEMS, Rate
from natural_sparsity.config.methods.base import Method, Needs, Rewind


class Settings(Method):
    """Sparse variational dropout: it learns which weights of an LSTM, and which groups of them, can be removed.

    It trains with Adam at a constant rate. Its own `learning_rate`, `clip` and `dropout` take the place of the model's.
    """

    needs = Needs(cells=("lstm",))
    follows_steps = False
    needs_of_values = {("groups", "vocabulary"): Needs(vocabulary=True)}
    replaces = {
        "training.optimizer": "Adam",
        "training.learning_rate": "sparsify.learning_rate",
        "training.clip": "sparsify.clip",
        "training.decay": "a constant rate",
        "training.milestones": "a constant rate",
        "architecture.dropout": "sparsify.dropout",
    }

    method: Literal["sparse_vd"] = Field(description="Learn which weights and groups of weights can be removed.")
    of: str | None = Field(
        None,
        description=(
            "Name of the dense model whose weights training starts from. Its architecture and training are taken"
            " over. Without it, the model has its own, and starts untrained."
        ),
    )
    rewind: Rewind = 0
    groups: Annotated[list[Literal["weights", "gates", "neurons", "vocabulary"]], UNIQUE, UNIQUE_ITEMS] = Field(
        ["weights", "gates", "neurons"],
        min_length=1,
        description=(
            "What gets its own random variables, and so can be removed: each weight; the preactivation of each gate;"
            " the output of each neuron and of each unit of the embedding; the embedding of each word."
        ),
    )
    threshold: float = Field(
        3.0, ge=-20, lt=8, description="A variable whose log α is this or more counts as 0; log α stays below 8."
    )
    learning_rate: Rate = Field(0.002, description="Learning rate of Adam, in place of the training's.")
    clip: Rate = Field(10.0, description="Bound on the ℓ2 norm of the gradient, in place of the training's.")
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Dropout, in place of the architecture's; 0 by default, since the variables already add noise.",
    )
