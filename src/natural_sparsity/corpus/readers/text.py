"""Plain text: documents are separated by blank lines; in a folder, each file is one document."""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

from natural_sparsity.corpus.readers import base
from natural_sparsity.corpus.readers.base import (
    Account,
    Document,
    Layout,
    Options,
    check_size,
    make_document,
    read_lines,
)
from natural_sparsity.corpus.streams import Stream, decode

JOINED = "judged hard-wrapped, so lines are joined into paragraphs; set line_breaks: keep to make each a paragraph"
KEPT = (
    "judged not hard-wrapped, so each line is a paragraph; set line_breaks: join to join the lines between blank lines"
)
JOINED_AS_ASKED = "lines are joined into paragraphs, as line_breaks: join says"
KEPT_AS_ASKED = "each line is a paragraph, as line_breaks: keep says"
# Widths at which people wrap text, in characters.
NARROWEST, WIDEST = 40, 132
LEAST_BREAKS = 3
LEAST_FILLED = 0.6  # of the breaks between the lines of a paragraph
MOST_SENTENCES = 0.5  # of the breaks at the end of a sentence; MOST_CAPITALS before a capital letter
MOST_CAPITALS = 0.6
# Names may begin many lines of prose. Where nearly all lines are filled, only verse has more capitals than this.
LEAST_WELL_FILLED = 0.85
MOST_CAPITALS_IN_PROSE = 0.8
# A file differs from the others of its folder if it is this clear.
LEAST_BREAKS_TO_DIFFER = 10
CLEARLY_NOT_FILLED = 0.3


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield documents separated by blank lines."""
    join = find_line_breaks(stream, stream.path.name, options, account)
    layout: Layout = "sentences" if options.tokenised else "paragraphs"
    n_documents = n_lines = 0
    for lines in read_blocks(stream):
        n_documents, n_lines = n_documents + 1, n_lines + len(lines)
        yield make_document(join_lines(lines) if join else "\n".join(lines), layout)
    if n_documents == 1 and n_lines > options.lines_per_document and not join:
        remark = f"one document of {n_lines:,} lines, none blank; if each line is a sentence, set format: lines"
        account.remark(stream.path.name, remark)


def read_whole(
    stream: Stream, name: str, options: Options, account: Account, wrapped: bool | None = None
) -> Iterator[Document]:
    """Yield the one document that a file of a folder is.

    ``name`` is its path in the folder; ``wrapped`` is whether most files there are hard-wrapped, None if it is open.
    """
    content = stream.read(base.MAX_BYTES + 1)
    check_size(len(content), stream.path, 0, "a document")
    text = decode(content, stream.path)
    if not text.strip():
        account.skipped["empty"] += 1
        return
    if find_line_breaks(stream, name, options, account, wrapped):
        text = join_paragraphs(text)
    yield Document(name, name.rpartition("/")[2], text, layout="sentences" if options.tokenised else "paragraphs")


def read_blocks(stream: Stream) -> Iterator[list[str]]:
    """Yield the lines between blank lines."""
    block: list[str] = []
    size = 0
    for offset, line in read_lines(stream):
        size = size + len(line) if block else 0
        mend = "split it or, if each line is a sentence, set format: lines"
        check_size(size, stream.path, offset, "a document without a blank line,", mend)
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def join_lines(lines: list[str]) -> str:
    """Join the lines of a paragraph; a hyphen at the end of one may belong to its word, and stays."""
    return " ".join(line.strip() for line in lines)


def join_paragraphs(text: str) -> str:
    """Join the lines of each paragraph of a text."""
    return "\n\n".join(join_lines(block.split("\n")) for block in re.split(r"\n\s*\n", text.strip()))


def find_line_breaks(
    stream: Stream, name: str, options: Options, account: Account, wrapped: bool | None = None
) -> bool:
    """Tell whether to join the lines of paragraphs, judged by the first bytes; let the account say so.

    ``wrapped`` is whether most files of the folder are hard-wrapped.
    """
    return decide(stream.head.decode("utf-8", "ignore"), name, options, account, wrapped)


def decide(sample: str, name: str, options: Options, account: Account, wrapped: bool | None = None) -> bool:
    """Tell whether to join the lines of a text's paragraphs, judged by a sample; let the account say so."""
    if options.tokenised:
        return False
    asked = options.line_breaks == "join"
    if not list_breaks(sample):
        # The lines may come later; with none in sight, nothing is worth a note.
        return asked or (options.line_breaks == "auto" and bool(wrapped))
    if options.line_breaks != "auto":
        account.remark(name, JOINED_AS_ASKED if asked else KEPT_AS_ASKED)
        return asked
    breaks = measure_breaks(sample)
    join = breaks.is_wrapped if wrapped is None or breaks.differs(wrapped) else wrapped
    account.remark(name, JOINED if join else KEPT)
    return join


def list_breaks(text: str) -> list[tuple[str, str]]:
    """Return the pairs of successive lines of which none is blank."""
    lines = [line.rstrip() for line in text.split("\n")]
    return [(line, following) for line, following in pairwise(lines) if line.strip() and following.strip()]


class Breaks(NamedTuple):
    """The line breaks within the paragraphs of a text: how many there are, and the shares that tell prose.

    ``filled``: where a program would break running text, at one width for all lines. A line is filled at the widths
    that it does not exceed, but would with the next line's first word. Verse and texts with one sentence per line are
    filled by chance, so they also show by ``capitals``, breaks before a capital letter, and ``sentences``, breaks at
    the end of a sentence.
    """

    number: int
    filled: float
    sentences: float
    capitals: float

    @property
    def is_wrapped(self) -> bool:
        """Whether most breaks are those of hard-wrapped text."""
        most_capitals = MOST_CAPITALS_IN_PROSE if self.filled >= LEAST_WELL_FILLED else MOST_CAPITALS
        return (
            self.number >= LEAST_BREAKS
            and self.filled >= LEAST_FILLED
            and self.sentences <= MOST_SENTENCES
            and self.capitals <= most_capitals
        )

    def differs(self, wrapped: bool) -> bool:
        """Tell whether the text clearly is what most files of its folder are not."""
        if not wrapped:
            return self.is_wrapped and self.number >= LEAST_BREAKS_TO_DIFFER
        return self.number >= LEAST_BREAKS and (
            self.filled < CLEARLY_NOT_FILLED
            or self.capitals > MOST_CAPITALS_IN_PROSE
            or self.sentences > MOST_CAPITALS_IN_PROSE
        )


def measure_breaks(text: str) -> Breaks:
    """Measure the line breaks of a text."""
    breaks = list_breaks(text)
    changes = [0] * (WIDEST + 2)
    n_sentences = n_capitals = 0
    for line, following in breaks:
        word = following.split(maxsplit=1)[0]
        start, stop = max(len(line), NARROWEST), min(len(line) + len(word), WIDEST)
        if start <= stop:
            changes[start] += 1
            changes[stop + 1] -= 1
        n_sentences += line.endswith((".", "!", "?", "。"))
        n_capitals += word.lstrip("\"'“‘«(*_-")[:1].isupper()
    number = len(breaks)
    shares = [count / max(number, 1) for count in (max(accumulate(changes)), n_sentences, n_capitals)]
    return Breaks(number, *shares)


def is_wrapped(text: str) -> bool:
    """Tell whether a text is hard-wrapped."""
    return measure_breaks(text).is_wrapped


def find_majority(heads: Iterable[bytes]) -> bool | None:
    """Tell whether most of the texts that begin so are hard-wrapped; None if there is no majority."""
    balance = 0
    for head in heads:
        breaks = measure_breaks(head.decode("utf-8", "ignore"))
        if breaks.number >= LEAST_BREAKS:
            balance += 1 if breaks.is_wrapped else -1
    return balance > 0 if balance else None
