"""The settings of ``kind: classification``: labelled texts, whose class is predicted."""

from typing import Literal, Self

from pydantic import Field, model_validator

from natural_sparsity.config.base import Block, Occurrences, Parallel, Refusal, Seed
from natural_sparsity.config.data.base import Fraction, Kind
from natural_sparsity.config.data.local import check_file
from natural_sparsity.config.data.source import LabelledSource

# How many classes the texts of each format have.
CLASSES = {"vader": 2, "vader_sources": 4, "imdb": 2, "ag_news": 4}
# The formats that name the test split themselves.
TEST_GIVEN = ("imdb", "ag_news")


class Split(Block):
    """How texts are divided, by a hash of the seed and the text; the rest is trained on."""

    dev: Fraction = Field(
        0.1,
        description=(
            "Share of the texts for dev. If the data come with a test split, it is a share of the remaining texts."
        ),
    )
    test: Fraction = Field(0.2, description="Share for test. Not used if the data come with a test split.")
    seed: Seed = Field(1, description="Seed of the hash.")


class Settings(Kind):
    """Labelled texts, whose class a model predicts after their last word."""

    vocabulary = True
    categorical = True
    streams = False
    generated = False
    probed = False
    targets = "classes"
    training_keys = ("classes",)
    renamed = {"min_count": "min_occurrences"}

    kind: Literal["classification"] = Field(description="Labelled texts, whose class is predicted.")
    source: LabelledSource = Field(description="Where the texts come from, in one of three forms.")
    test_source: LabelledSource | None = Field(
        None, description="Where the test split comes from, for `format: ag_news` alone; the forms are the same."
    )
    format: Literal["vader", "vader_sources", "imdb", "ag_news"] = Field(
        description=(
            "Format of the texts. `vader`: the film-review snippets in the source distribution of vaderSentiment,"
            " positive or negative. `vader_sources`: all its snippets, from film reviews, product reviews, editorials"
            " or tweets. `imdb`: aclImdb_v1.tar.gz. `ag_news`: train.csv, with test.csv as `test_source`."
        ),
    )
    classes: int = Field(ge=2, le=1000, description="How many classes the texts have.")
    words: int = Field(
        20_000,
        ge=1,
        le=10**7,
        description="Maximum size of the vocabulary: the most frequent words are kept; others are unknown.",
    )
    min_occurrences: Occurrences = Field(
        2, description="How often a word must occur in training to be in the vocabulary."
    )
    length: Parallel = Field(200, description="How many words of a text are read, from its start.")
    split: Split = Field(default_factory=Split, description="How the texts are divided.")

    @model_validator(mode="after")
    def check_format(self) -> Self:
        """Check that sources, classes and shares fit the format."""
        if (self.test_source is not None) != (self.format == "ag_news"):
            raise Refusal("test_source", "give it for format ag_news, which has two files, and for no other")
        if self.classes != CLASSES[self.format]:
            raise Refusal(
                "classes",
                f"format {self.format} has {CLASSES[self.format]} classes; set that instead of {self.classes}",
            )
        held_out = self.split.dev + (0 if self.format in TEST_GIVEN else self.split.test)
        if held_out >= 1:
            raise Refusal(
                "split", f"dev and test add up to {held_out:g}, which leaves no texts to train on; lower them"
            )
        return self

    def check_files(self, key: str) -> None:
        """Check that the files exist."""
        for name, source in (("source", self.source), ("test_source", self.test_source)):
            if source:
                source.check_local(f"{key}.{name}", check_file)
