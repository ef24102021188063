"""Read the beginning of a text, or all of it, as a run would, and keep its tokens and what hints are drawn from."""

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from natural_sparsity.corpus.documents import read_splits
from natural_sparsity.corpus.readers.base import Account, Document, Options
from natural_sparsity.corpus.sentences import normalise, tokenise
from natural_sparsity.corpus.shards import find_starts
from natural_sparsity.errors import UserError

# How punctuation shows whether a text is tokenised: spaces (in the text) or tabs (from the tokeniser) before it.
PUNCTUATION = (",", ".", "n't")


@dataclass
class Look:
    """What was read of a text.

    Attributes:
        account: what was read and what was skipped.
        dropped: what was dropped of the documents, by kind.
        rows: the type of each word.
        tokens: the type of each token (n_tokens,), sentence after sentence.
        lengths: tokens of each sentence (n_sentences,).
        ids: the ids of the documents that have a sentence.
        sentences: how many sentences each of these has.
        documents: how many documents were read.
        lines: how many lines these have, where a line is a paragraph.
        apart: how often a space divides punctuation from the word before; ``attached``: how often nothing does.
        capitals: how many sentences have capital letters alone.
        whole: whether the text was read to its end.
    """

    account: Account = field(default_factory=Account)
    dropped: Counter[str] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)
    tokens: Any = field(default_factory=lambda: array("I"))
    lengths: Any = field(default_factory=lambda: array("I"))
    ids: list[str] = field(default_factory=list)
    sentences: list[int] = field(default_factory=list)
    documents: int = 0
    lines: int = 0
    apart: int = 0
    attached: int = 0
    capitals: int = 0
    whole: bool = True

    @property
    def words(self) -> list[str]:
        """The word of each type."""
        return list(self.rows)

    @property
    def unknown(self) -> int | None:
        """The type that is ``<unk>``, if the text has it."""
        return self.rows.get("<unk>")

    def counts(self) -> np.ndarray:
        """Count (n_types,) the tokens of each type."""
        return np.bincount(self.tokens, minlength=len(self.rows))

    def sum_by_document(self, values: np.ndarray) -> np.ndarray:
        """Sum (n_documents,) the ``values`` (n_sentences,) of each document that has a sentence."""
        return np.add.reduceat(values, find_starts(np.array(self.sentences)), dtype=np.int64)

    def read(self, documents: Iterable[tuple[str, Document]], max_words: int = 0) -> Iterator[dict[str, Any]]:
        """Yield documents as the command ``documents`` writes them, and count them.

        It stops after the document with word ``max_words``, so that all that is counted as read is also tokenised,
        however far ahead of its results the tokeniser reads; 0 reads all.
        """
        n_words = 0
        for split, document in documents:
            if 0 < max_words <= n_words:
                self.whole = False
                return
            n_words += len(document.text.split())
            if document.markup == "none" and document.layout == "paragraphs":
                self.lines += sum(map(bool, map(str.strip, document.text.split("\n"))))
            yield {"index": self.documents, **vars(document), "split": split}
            self.documents += 1

    def add(self, id_: str, lines: list[str], unicode: str) -> None:
        """Add the sentences of a document, in their original case."""
        for line in lines:
            self.apart += sum(line.count(f" {mark}") for mark in PUNCTUATION)
            self.attached += sum(line.count(f"\t{mark}") for mark in PUNCTUATION)
            self.capitals += line.isupper()
            words = normalise(line.replace("\t", " ").lower(), unicode).split(" ")
            self.tokens.extend([self.rows.setdefault(word, len(self.rows)) for word in words])
            self.lengths.append(len(words))
        if lines:
            self.ids.append(id_)
            self.sentences.append(len(lines))


def look(paths: list[Path], format: str, options: Options, unit: str, unicode: str, max_tokens: int) -> Look:
    """Read about the first ``max_tokens`` of a text, words in fact, up to the end of a document; 0 reads all of it.

    Raises:
        UserError: the text cannot be read, or has no sentence.
    """
    found = Look()
    rows = found.read(read_splits({"": paths}, format, options, found.account), max_tokens)
    documents = tokenise(rows, unit, unicode, options.tokenised, found.dropped)
    # A small text takes no time, and a log no bar.
    with tqdm(
        desc="inspect", unit=" tokens", unit_scale=True, delay=1, leave=False, disable=not sys.stderr.isatty()
    ) as bar:
        for row, lines in documents:
            before = len(found.tokens)
            found.add(row["id"], lines, unicode)
            bar.update(len(found.tokens) - before)
    if not found.tokens:
        raise UserError(f"{' '.join(map(str, paths))}: holds no sentence with a letter or digit; name the right file")
    found.tokens, found.lengths = np.array(found.tokens), np.array(found.lengths)
    return found
