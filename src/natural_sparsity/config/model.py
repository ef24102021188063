"""A block ``models.NAME``: an architecture, its training, and how it is made sparse."""

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Field, Tag

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.base import Block
from natural_sparsity.config.methods.base import Method
from natural_sparsity.config.training import Training
from natural_sparsity.registry import METHODS, load


def read_method(value: Any) -> str | None:
    """Return the method that a block names."""
    if isinstance(value, Method):
        return value.method
    return str(value["method"]) if isinstance(value, dict) and "method" in value else None


if TYPE_CHECKING:
    Sparsify = Method
else:
    Sparsify = Annotated[
        Union[tuple(Annotated[load(entry.settings).Settings, Tag(name)] for name, entry in METHODS.items())],  # noqa: UP007
        Discriminator(read_method),
    ]


class Model(Block):
    """A model: its architecture, its training, and how it is made sparse."""

    architecture: Architecture = Field(default_factory=Architecture, description="The layers.")
    training: Training = Field(default_factory=Training, description="How the model is trained.")
    sparsify: Sparsify | None = Field(
        None, description="How the model is made sparse: a method and its settings. Without it, the model is dense."
    )
