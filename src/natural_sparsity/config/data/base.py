"""What the settings of every kind of data have in common, and the facts that other blocks depend on."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, get_args

from pydantic import Field

from natural_sparsity.config.base import Block

# A share that leaves room for others.
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Kind(Block):
    """A kind of data. Its facts say what models need to know about it.

    ``vocabulary``: inputs are ids of words, not vectors. ``categorical``: targets are classes under a softmax.
    ``streams``: the data are read as contiguous streams, window by window. ``generated``: the data are drawn during
    training, so that the training says how long an epoch is. ``probed``: there are words by which to probe a model.
    ``targets``: what the targets are, in one word. ``training_keys``: the settings that training needs besides the
    files; for generated data, all.
    """

    vocabulary: ClassVar[bool]
    categorical: ClassVar[bool]
    streams: ClassVar[bool]
    generated: ClassVar[bool]
    probed: ClassVar[bool]
    targets: ClassVar[str]
    training_keys: ClassVar[tuple[str, ...]] = ()

    kind: str

    @classmethod
    def label(cls) -> str:
        """Return the name of the kind."""
        return str(get_args(cls.model_fields["kind"].annotation)[0])

    @classmethod
    def has(cls, fact: str) -> bool:
        """Tell whether a fact is true of the kind; with "not " before it, whether it is false."""
        return not getattr(cls, fact.removeprefix("not ")) if fact.startswith("not ") else bool(getattr(cls, fact))

    def check_references(self, key: str, data: "Mapping[str, Kind]") -> None:
        """Check that what the block names is among ``data`` and of the right kind; ``key`` is the block's.

        Raises:
            UserError: it is not.
        """

    def check_files(self, key: str) -> None:
        """Check that the files and packages that the block names exist; ``key`` is the block's.

        Raises:
            UserError: one does not.
        """


class RunningText(Kind):
    """A kind whose models read one word after another, and predict the next."""

    vocabulary = True
    categorical = True
    streams = True
    generated = False
    probed = True
    targets = "words"
