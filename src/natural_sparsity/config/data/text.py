"""The settings of ``kind: text``: a corpus, which a language model reads."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from natural_sparsity.config.base import Block, Occurrences, Printable, Refusal, Seed, join_words, one_of
from natural_sparsity.config.data.base import Fraction, RunningText
from natural_sparsity.config.data.local import check_text
from natural_sparsity.config.data.source import TextSource
from natural_sparsity.config.spacy_models import find_model
from natural_sparsity.errors import UserError
from natural_sparsity.registry import FORMATS

# The formats that each of these keys is for.
OF_FORMATS = {
    "text_column": ("json", "parquet", "lines", "wikitext", "auto"),
    "line_breaks": ("text", "json", "parquet", "auto"),
    "lines_per_document": ("lines",),
}


if TYPE_CHECKING:
    Format = str
else:
    Format = one_of(["auto", *FORMATS])


class Split(Block):
    """How documents are divided into training, dev and test split, by a hash of the seed and the document's id."""

    train: Fraction = Field(0.7, description="Share of the documents that models train on.")
    dev: Fraction = Field(0.1, description="Share whose loss decides the learning rate.")
    test: Fraction = Field(0.2, description="Share that is held out until a model is evaluated.")
    seed: Seed = Field(1, description="Seed of the hash.")

    @model_validator(mode="after")
    def check_sum(self) -> Self:
        """Check that the shares add up to 1."""
        shares = [self.train, self.dev, self.test]
        if abs(sum(shares) - 1) > 1e-9:
            raise Refusal(
                "", f"{' + '.join(f'{share:g}' for share in shares)} = {sum(shares):g}; the shares must add up to 1"
            )
        return self


class Tagging(Block):
    """Part-of-speech tagging of the training split."""

    model: Printable = Field(
        "en_core_web_sm", description="The spaCy model: name of an installed package, or a folder."
    )
    case: Literal["original", "lower"] = Field(
        "original",
        description="The case of the words given to the tagger. The paper does not say which it used.",
    )
    min_tagged: Occurrences = Field(
        100, description="How often a word must be tagged with its majority part of speech to get a class."
    )
    matched_size: int = Field(
        120,
        ge=3,
        le=10**6,
        description="Number of words of each class, open and closed, in the frequency-matched samples.",
    )


class Thresholds(Block):
    """How often a word must occur in the training split to be drawn; it must exceed the threshold."""

    fig2: int = Field(
        100_000, ge=0, le=10**9, description="Occurrences that a word of the heat map in figure 2 must exceed."
    )
    fig5: int = Field(
        1000, ge=0, le=10**9, description="Occurrences that a word of the scatter plot in figure 5 must exceed."
    )


class Settings(RunningText):
    """A corpus of text, tokenised, lowercased and filtered as in the paper, for language models."""

    kind: Literal["text"] = Field("text", description="A corpus of text, whose next word is predicted.")
    source: TextSource = Field(
        description=(
            "Where the text comes from, in one of four forms. With `train`, `dev` and `test`, each in one of the other"
            " forms, the splits are given: words are counted only in the training split, no sentence is dropped, and"
            " rare words become `<unk>`."
        )
    )
    format: Format = Field(
        "auto",
        description=(
            "Format of the text, compressed (gzip, bzip2, xz, zstd) or not; `auto` looks at the first bytes."
            " `mediawiki`: a dump. `wikiextractor`: what WikiExtractor makes of one. `text`: plain text; a file is"
            " split into documents at blank lines, and in a folder each file is a document. `lines`: a sentence per"
            " line, as in the Penn Treebank or One Billion Word. `wikitext`: WikiText-2 or WikiText-103; a document per"
            " article. `json` (JSON Lines) and `parquet`: a document per row, with its text in `text_column`."
        ),
    )
    text_column: Printable = Field(
        "text",
        description="Key or column with the text, in JSON Lines and Parquet, also if read as `lines` or `wikitext`.",
    )
    line_breaks: Literal["auto", "join", "keep"] = Field(
        "auto",
        description=(
            "What to do with the lines of a paragraph in plain text, JSON Lines and Parquet. `join`: join them; `keep`:"
            " make each a paragraph; `auto`: join them if their lengths show that the text is hard-wrapped."
        ),
    )
    lines_per_document: Occurrences = Field(
        100,
        description="Maximum lines per document, for `format: lines`. A blank line also ends a document.",
    )
    tokenised: bool = Field(
        False,
        description=(
            "Whether the text is already tokenised. If so, each line is a sentence, spaces separate its tokens, and"
            " lines are never joined."
        ),
    )
    unicode: Literal["nfc", "none"] = Field(
        "nfc",
        description="Unicode form to convert the text to. With `none`, it stays as it is, so é can be two characters.",
    )
    unit: Literal["word", "character"] = Field(
        "word",
        description=(
            "What a token is. Characters (spaces included) have no part of speech: nothing is tagged, and figures"
            " 4 and 5, which compare word classes, are skipped."
        ),
    )
    max_documents: Occurrences | None = Field(
        None, description="How many documents to read, from the start; `null` reads all."
    )
    shards: int = Field(
        1,
        ge=1,
        le=10_000,
        description="Pieces in which the text is tokenised and tagged in parallel. Results do not depend on it.",
    )
    min_count: Occurrences = Field(
        100,
        description=(
            "Sentences with a word that occurs fewer times than this in the corpus are dropped. If the source names its"
            " splits, words that occur fewer times in training become `<unk>` instead."
        ),
    )
    split: Split = Field(
        default_factory=Split, description="How the documents are divided, unless the source names its splits."
    )
    tagging: Tagging = Field(default_factory=Tagging, description="Part-of-speech tagging of the training split.")
    thresholds: Thresholds = Field(
        default_factory=Thresholds, description="How often words must occur in training to be drawn."
    )

    @model_validator(mode="after")
    def check_lines(self) -> Self:
        """Check that the lines of tokenised text, each a sentence, are not to be joined."""
        if self.tokenised and self.line_breaks == "join":
            raise Refusal("line_breaks", "join would merge the lines of tokenised text, each a sentence; leave it out")
        return self

    def list_moot_keys(self) -> dict[str, str]:
        """Characters are not tagged, each format has its own keys, and splits that are given need no shares."""
        moot = {} if self.unit == "word" else {"tagging": "characters have no part of speech"}
        for key, formats in OF_FORMATS.items():
            if self.format not in formats:
                moot[key] = f"it is for format {join_words(formats, 'or')}, and the format is {self.format}"
        if self.source.splits:
            moot |= dict.fromkeys(("split", "max_documents"), "the source names its splits")
        return moot

    def check_files(self, key: str) -> None:
        """Check that the source exists and the spaCy model is installed."""
        self.source.check_local(f"{key}.source", check_text)
        if self.unit == "word":
            try:
                find_model(self.tagging.model)
            except UserError as error:
                raise UserError(f"{key}.tagging.model: {error}") from error
