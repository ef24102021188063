"""The settings of ``kind: shuffled``: a text whose tokens are in random order, the control for what needs language."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from natural_sparsity.config.base import Seed
from natural_sparsity.config.data.base import Kind
from natural_sparsity.errors import UserError


class Settings(Kind):
    """The tokens of a text in random order, as the control for what needs language.

    Vocabulary, word counts, parts of speech and the sizes of the splits are those of the text. The order is drawn for
    each split on its own; `<eos>` and `<unk>` move like words. A model's run on this data is the control of its run on
    the text, and needs the same seeds, probes and epochs, or more. With a control for each `within`, figures and claims
    compare with `stream`.
    """

    vocabulary = True
    categorical = True
    streams = True
    generated = False
    probed = True
    targets = "words"

    kind: Literal["shuffled"] = Field(description="The tokens of a text in random order.")
    of: str = Field(description="Name of the text, an entry of `data` of kind `text`.")
    within: Literal["stream", "document"] = Field(
        "stream",
        description=(
            "`stream`: tokens move anywhere in their split, so that all a model can carry over to other text is"
            " how frequent words are. `document`: they stay in their document: its topic remains, its syntax does not."
        ),
    )
    seed: Seed = Field(1, description="Seed of the order.")

    def check_references(self, key: str, data: Mapping[str, Kind]) -> None:
        """Check that ``of`` names a text."""
        texts = [name for name, other in data.items() if other.kind == "text"]
        if self.of not in texts:
            what = f"is of kind {data[self.of].kind}" if self.of in data else "is not among data"
            raise UserError(
                f"{key}.of: {self.of!r} {what}; name one of kind text ({', '.join(texts) or 'there is none'})"
            )
