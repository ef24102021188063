"""The settings of ``kind: text``: a corpus, which a language model reads."""

from typing import Literal, Self

from pydantic import Field, model_validator

from natural_sparsity.config.base import Block, Refusal
from natural_sparsity.config.data.base import Fraction, Kind
from natural_sparsity.config.data.source import TextSource, local_paths
from natural_sparsity.config.spacy_models import find_model
from natural_sparsity.errors import UserError


class Split(Block):
    """How documents are divided into training, dev and test split, by a hash of the seed and the document's id."""

    train: Fraction = Field(0.7, description="Share of the documents that models train on.")
    dev: Fraction = Field(0.1, description="Share whose loss decides the learning rate.")
    test: Fraction = Field(0.2, description="Share that is held out until a model is evaluated.")
    seed: int = Field(1, ge=0, description="Seed of the hash.")

    @model_validator(mode="after")
    def check_sum(self) -> Self:
        """The shares add up to 1."""
        shares = [self.train, self.dev, self.test]
        if abs(sum(shares) - 1) > 1e-9:
            raise Refusal("", f"{' + '.join(f'{share:g}' for share in shares)} = {sum(shares):g}, not 1")
        return self


class Tagging(Block):
    """Part-of-speech tagging of the training split."""

    model: str = Field("en_core_web_sm", description="The spaCy model: name of an installed package, or a folder.")
    case: Literal["original", "lower"] = Field(
        "original",
        description="The case of the words given to the tagger. The paper does not say which it used.",
    )
    min_tagged: int = Field(
        100, ge=1, description="How often a word must be tagged with its majority part of speech to get a class."
    )
    matched_size: int = Field(
        120, ge=3, description="Number of words of each class, open and closed, in the frequency-matched samples."
    )


class Thresholds(Block):
    """How often a word must occur in the training split to be drawn; it must exceed the threshold."""

    fig2: int = Field(100_000, ge=0, description="For the heat map of figure 2, in occurrences.")
    fig5: int = Field(1000, ge=0, description="For the scatter plot of figure 5, in occurrences.")


class Settings(Kind):
    """A corpus of text, tokenised, lowercased and filtered as in the paper, for language models."""

    vocabulary = True
    categorical = True
    streams = True
    generated = False
    probed = True
    targets = "words"

    kind: Literal["text"] = Field("text", description="A corpus of text, whose next word is predicted.")
    source: TextSource = Field(description="Where the text comes from, in one of three forms.")
    format: Literal["auto", "mediawiki", "wikiextractor", "text"] = Field(
        "auto",
        description=(
            "Format of the text, compressed (.gz, .bz2, .xz, .zst) or not; `auto` looks at the first bytes. A file of"
            " plain text is split into documents at blank lines; in a folder of them, each file is a document."
        ),
    )
    unit: Literal["word", "character"] = Field(
        "word",
        description=(
            "What a token is. Characters (spaces included) have no part of speech: nothing is tagged, and figures"
            " 4 and 5, which compare word classes, are skipped."
        ),
    )
    max_documents: int | None = Field(
        None, ge=1, description="How many documents to read, from the start; `null` reads all."
    )
    shards: int = Field(
        1,
        ge=1,
        le=10_000,
        description="Pieces in which the text is tokenised and tagged in parallel. Results do not depend on it.",
    )
    min_count: int = Field(
        100, ge=1, description="Sentences with a word that occurs fewer times than this in the corpus are dropped."
    )
    split: Split = Field(default_factory=Split, description="How the documents are divided.")
    tagging: Tagging = Field(default_factory=Tagging, description="Part-of-speech tagging of the training split.")
    thresholds: Thresholds = Field(
        default_factory=Thresholds, description="How often words must occur in training to be drawn."
    )

    def list_moot_keys(self) -> dict[str, str]:
        """Characters are not tagged."""
        return {} if self.unit == "word" else {"tagging": "characters have no part of speech"}

    def check_files(self, key: str) -> None:
        """The source is there, and the spaCy model is installed."""
        for path in local_paths(self.source, f"{key}.source"):
            if not path.exists():
                raise UserError(f"{key}.source: {path} does not exist")
        if self.unit == "word":
            try:
                find_model(self.tagging.model)
            except UserError as error:
                raise UserError(f"{key}.tagging.model: {error}") from error
