"""What the readers of all formats share: documents, options, the account of what was skipped, limits."""

import hashlib
import re
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from natural_sparsity.corpus.streams import Stream, decode
from natural_sparsity.errors import UserError

Markup = Literal["mediawiki", "none"]
# What a line of a text is.
Layout = Literal["paragraphs", "sentences"]
LINE_BREAKS = ["auto", "join", "keep"]
# Limit for a document and for one step of a parser: no page of a wiki has a hundredth of it.
MAX_BYTES = 1 << 26
FILES_TO_NAME = 3
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Document:
    """One document. Its ``id``, and so its split, does not depend on other documents."""

    id: str
    title: str
    text: str
    markup: Markup = "none"
    layout: Layout = "paragraphs"


@dataclass(frozen=True)
class Options:
    """How to read formats that leave a choice.

    Attributes:
        text_column: name of the column, or key, that holds the text in Parquet and JSON Lines.
        line_breaks: what to do with the lines of a paragraph in plain text: ``join`` or ``keep`` them; ``auto`` joins
            where the text is hard-wrapped.
        lines_per_document: how many lines of the format ``lines`` make a document.
        tokenised: whether to keep the tokens and lines of a tokenised text as they are.
    """

    text_column: str = "text"
    line_breaks: str = "auto"
    lines_per_document: int = 100
    tokenised: bool = False


@dataclass
class Account:
    """What was read, and what was not, over all files of a run.

    Attributes:
        skipped: entries that are not documents, by reason.
        formats: files by format and compression, such as ``mediawiki, bzip2``; ``examples``: the first of each.
        wiki: the name of the first wiki; ids of the pages of other wikis begin with their name.
    """

    skipped: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    wiki: str | None = None
    files: dict[str, list[str]] = field(default_factory=dict)  # the first files by remark
    remarks: Counter[str] = field(default_factory=Counter)  # how many files there are

    def count_file(self, name: str, format: str) -> None:
        """Count a file, whose format this is."""
        self.formats[format] += 1
        names = self.examples.setdefault(format, [])
        if len(names) < FILES_TO_NAME:
            names.append(name)

    def remark(self, name: str, remark: str) -> None:
        """Remember something that a user should know about a file."""
        self.remarks[remark] += 1
        names = self.files.setdefault(remark, [])
        if len(names) < FILES_TO_NAME:
            names.append(name)

    @property
    def notes(self) -> list[str]:
        """A sentence for each remark; only the first files are named."""
        notes = []
        for remark, n_files in self.remarks.items():
            names = ", ".join(self.files[remark])
            more = n_files - len(self.files[remark])
            notes.append(f"{names}{f' and {more:,} more files' if more else ''}: {remark}")
        return notes

    def make_id(self, id_: str, wiki: str | None) -> str:
        """Return the id of a page, which is unique only in its wiki; that of the first wiki stays as it is."""
        if wiki is None:
            return id_
        self.wiki = self.wiki or wiki
        return id_ if wiki == self.wiki else f"{wiki}:{id_}"


def name_wiki(url: str) -> str | None:
    """Name a wiki by the address of one of its pages, without the page; None if the address names no host.

    A dump and what WikiExtractor makes of it give the same name.
    """
    address = url.partition("://")[2]
    return re.sub(r"[/?][^/?]*$", "", address) if address else None


def check_size(size: int, path: Path, place: int | str, what: str, mend: str = "split it") -> None:
    """Raise :class:`UserError` if ``what`` is larger than ``MAX_BYTES``; ``place`` is the byte at which it begins."""
    if size > MAX_BYTES:
        place = f"byte {place}" if isinstance(place, int) else place
        raise UserError(f"{path}: {place}: {what} of more than {MAX_BYTES >> 20} MiB; {mend}")


def read_lines(stream: Stream) -> Iterator[tuple[int, str]]:
    """Yield (byte offset, line without its end) of UTF-8 text; only ``\\n`` and ``\\r\\n`` end a line.

    Raises:
        UserError: a line is too long, or is not UTF-8.
    """
    offset, path = 0, stream.path
    while line := stream.readline(MAX_BYTES + 1):
        size = len(line)
        if size > MAX_BYTES:
            check_size(size, path, offset, "a line")
        yield offset, decode(line, path, offset).rstrip("\r\n")
        offset += size


def find_first_line(head: bytes) -> str:
    """Return the first line that is not blank among the first bytes of a file; empty if there is none."""
    lines = (line for line in head.split(b"\n") if line.strip(BOM + string.whitespace.encode()))
    return next(lines, b"").removeprefix(BOM).decode(errors="replace").rstrip("\r")


def make_document(text: str, layout: Layout = "paragraphs", title: str = "") -> Document:
    """Make a document that has no id of its own."""
    return Document(hash_text(text), title, text, "none", layout)


def hash_text(text: str) -> str:
    """Make the id of a document that has only its text; equal texts share the id and so the split."""
    return hashlib.sha1(text.encode()).hexdigest()[:16]
