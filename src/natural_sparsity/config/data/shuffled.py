"""The settings of ``kind: shuffled``: a text with its tokens in random order, to test what needs language."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from natural_sparsity.config.base import Seed
from natural_sparsity.config.data.base import Kind, RunningText
from natural_sparsity.errors import UserError


class Settings(RunningText):
    """The tokens of a text in random order: a control that shows which effects need no language.

    Vocabulary, word counts, parts of speech and the sizes of the splits are those of the text. The order is drawn for
    each split separately; `<eos>` and `<unk>` move like words. A model's run on this data is the control of the same
    model's run on the text. Give it at least the same seeds, probes and epochs. If there is a control for each
    `within`, figures and claims use `stream`.
    """

    kind: Literal["shuffled"] = Field(description="The tokens of a text in random order.")
    of: str = Field(description="Name of the text, an entry of `data` of kind `text`.")
    within: Literal["stream", "document"] = Field(
        "stream",
        description=(
            "`stream`: tokens move anywhere in their split, so word frequencies are all that a model can learn and"
            " carry over to other text. `document`: tokens stay in their document: its topic remains, not its syntax."
        ),
    )
    seed: Seed = Field(1, description="Seed of the random order.")

    def check_references(self, key: str, data: Mapping[str, Kind]) -> None:
        """Check that ``of`` names a text."""
        texts = [name for name, other in data.items() if other.kind == "text"]
        if self.of not in texts:
            what = f"is of kind {data[self.of].kind}" if self.of in data else "is not among data"
            raise UserError(
                f"{key}.of: {self.of!r} {what}; name one of kind text ({', '.join(texts) or 'there is none'})"
            )
