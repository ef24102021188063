"""What the settings of every sparsification method have in common, and the keys that several of them share."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from natural_sparsity.config.base import UNIQUE, UNIQUE_ITEMS, WORDS, Block
from natural_sparsity.config.data.base import Kind

INIT, LAST, STEP = 0, "last", "step"


class Parent(NamedTuple):
    """A checkpoint that a model needs: whose, and after which epoch.

    ``LAST`` is the last epoch of its run, and ``step64`` a step inside the first.
    """

    model: str
    epoch: int | str

    @property
    def step(self) -> int:
        """The step inside the first epoch; 0 for the end of an epoch."""
        name = str(self.epoch)
        return int(name.removeprefix(STEP)) if name.startswith(STEP) else 0


class Variant(NamedTuple):
    """A model that a block stands for: its name, its place in the family, and the checkpoints that it needs, by role.

    The roles are ``start`` (the weights and the state that training starts with), ``masks`` (what is kept) and
    ``teacher``; ``original`` is what a twin is compared with.
    """

    name: str
    place: dict[str, Any]
    parents: dict[str, Parent]


class Needs(NamedTuple):
    """What a method needs: one of some ``cells`` (empty: any), targets that are ``classes``, a ``vocabulary``."""

    cells: tuple[str, ...] = ()
    classes: bool = False
    vocabulary: bool = False


class Method(Block):
    """A sparsification method.

    ``needs``: what it needs of the model and the data. ``needs_of_values``: what single values of its keys need.
    ``masked``: the roles of its models that carry masks. ``keeps_masks``: the key that may name such a model of another
    method, whose masks then hold while this one trains; empty if it keeps none.
    ``replaces``: keys of the model for which it has settings of its own, and what these are. ``prunes``: whether its
    models lose weights. ``follows_steps``: whether its models are there after every step, not only after an epoch.
    ``masks_alone``: whether its models train as the dense one does, but for masks that stay as they are.
    ``copies``: whether its models only show how far training depends on chance, so that no other table has them.
    """

    needs: ClassVar[Needs] = Needs()
    needs_of_values: ClassVar[Mapping[tuple[str, str], Needs]] = {}
    masked: ClassVar[tuple[str, ...]] = ()
    keeps_masks: ClassVar[str] = ""
    replaces: ClassVar[Mapping[str, str]] = {}
    prunes: ClassVar[bool] = True
    follows_steps: ClassVar[bool] = True
    masks_alone: ClassVar[bool] = False
    copies: ClassVar[bool] = False

    method: str

    @property
    def own_architecture(self) -> bool:
        """Whether its models have another architecture than the model that they are made from."""
        return False

    def find_source(self) -> tuple[str, str | None]:
        """Return the key that names the model whose training is taken over, and that name; None if there is none."""
        key = self.keeps_masks if getattr(self, self.keeps_masks, None) else "of"
        return key, getattr(self, key, None)

    def list_variants(self, name: str, base: str) -> Iterator[Variant]:
        """Yield the models that the block ``name`` stands for, made from the model ``base``.

        By default there is one, which starts from that model's weights. If that model has masks, they are added.
        """
        yield Variant(name, {"role": self.method}, {"start": Parent(base, getattr(self, "rewind", INIT))})

    def collect_needs(self) -> dict[str, Needs]:
        """Return what the method and the values of its keys need, by what needs it, in words."""
        values = {
            f"{self.method} with {key}: {value}": needs
            for (key, value), needs in self.needs_of_values.items()
            if value in getattr(self, key)
        }
        if getattr(self, "tensors", None) == ["embedding"]:
            values[f"{self.method} with tensors: [embedding]"] = Needs(vocabulary=True)
        return {self.method: self.needs, **values}


def find_lack(needs: Needs, kind: type[Kind]) -> tuple[str, str]:
    """Say which need a kind of data does not meet, and what it has instead; two empty texts if it meets all."""
    if needs.classes and not kind.categorical:
        return "targets that are classes", f"those of {kind.label()} are {kind.targets}"
    if needs.vocabulary and not kind.vocabulary:
        return "a vocabulary", f"{kind.label()} has none"
    return "", ""


DenseModel = Annotated[
    str,
    Field(description="Name of the dense model that is made sparse. Its architecture and training are taken over."),
]
Rewind = Annotated[
    int,
    Field(
        ge=0,
        le=10_000,
        description="Epoch after which training takes the weights of the model `of`; 0 is before its first epoch.",
    ),
]
StepName = Annotated[str, Field(pattern="^step[1-9][0-9]{0,8}$", json_schema_extra={WORDS: "stepN, such as step64"})]
RewindToStep = Annotated[
    Annotated[int, Field(ge=0, le=10_000)] | StepName,
    Field(
        description=(
            "Where training starts again: with the weights of the model `of` after this epoch, or after a step inside"
            " its first epoch, `step64`; 0 is before its first epoch."
        ),
    ),
]
Levels = Annotated[
    int, Field(ge=1, le=100, description="Number of levels of sparsity. Each becomes a model, `NAME-levelN`.")
]
PrunedFraction = Annotated[
    float,
    Field(
        gt=0,
        lt=1,
        description="Share of the remaining weights that each level prunes: level n keeps (1 − fraction)ⁿ of all.",
    ),
]
PruningScope = Annotated[
    Literal["global", "layer"],
    Field(description="Prune by one threshold over all tensors together, or the same share of each tensor."),
]
Prunable = Literal["embedding", "input", "recurrent", "output"]
PRUNABLE: list[Prunable] = ["embedding", "input", "recurrent", "output"]
PrunedTensors = Annotated[
    list[Prunable],
    UNIQUE,
    UNIQUE_ITEMS,
    Field(
        min_length=1,
        description=(
            "The weights that may be pruned. `input` and `recurrent` are those of the recurrent layers. In a model"
            " without a vocabulary, `embedding` is the map to the initial state, if there is one. Biases are never"
            " pruned."
        ),
    ),
]
Controls = Annotated[
    list[Literal["random_mask", "random_mask_global", "random_init", "equal_size"]],
    UNIQUE,
    UNIQUE_ITEMS,
    Field(
        description=(
            "Controls, each of which adds one model per level, `NAME-levelN-CONTROL`. `random_mask` shuffles the"
            " mask within each tensor, `random_mask_global` over all tensors together; `random_init` applies the mask"
            " to newly drawn weights; `equal_size` is a dense model with as many weights as the ticket has left."
        )
    ),
]
Begin = Annotated[float, Field(ge=0, le=10_000, description="When pruning begins, in epochs.")]
End = Annotated[float, Field(gt=0, le=10_000, description="When each level's density is reached, in epochs.")]
Every = Annotated[int, Field(ge=1, le=10**9, description="Steps from one pruning to the next.")]
