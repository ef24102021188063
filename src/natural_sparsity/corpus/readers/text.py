"""Plain text: documents are separated by blank lines; in a folder, each file is one document."""

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise

from natural_sparsity.corpus.readers import base
from natural_sparsity.corpus.readers.base import Account, Document, Options, check_size, make_document, read_lines
from natural_sparsity.corpus.streams import Stream, decode

JOINED = "lines are joined into paragraphs, as in hard-wrapped text; set line_breaks: keep to make each a paragraph"
KEPT = "each line is a paragraph; set line_breaks: join to join the lines between blank lines"
# Widths at which people wrap text, in characters.
NARROWEST, WIDEST = 40, 132
LEAST_BREAKS = 3
LEAST_FILLED = 0.6  # of the breaks between the lines of a paragraph
MOST_SENTENCES = 0.5  # of the breaks at the end of a sentence; MOST_CAPITALS before a capital letter
MOST_CAPITALS = 0.6


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield documents separated by blank lines."""
    join = find_line_breaks(stream, stream.path.name, options, account)
    n_documents = n_lines = 0
    for lines in read_blocks(stream):
        n_documents, n_lines = n_documents + 1, n_lines + len(lines)
        yield make_document(join_lines(lines) if join else "\n".join(lines))
    if n_documents == 1 and n_lines > options.lines_per_document and not join:
        remark = f"one document of {n_lines:,} lines, none blank; if each line is a sentence, set format: lines"
        account.remark(stream.path.name, remark)


def read_whole(stream: Stream, name: str, options: Options, account: Account) -> Iterator[Document]:
    """Yield the one document that a file of a folder is; ``name`` is its path in the folder."""
    content = stream.read(base.MAX_BYTES + 1)
    check_size(len(content), stream.path, 0, "a document")
    text = decode(content, stream.path)
    if not text.strip():
        account.skipped["empty"] += 1
        return
    if find_line_breaks(stream, name, options, account):
        text = join_paragraphs(text)
    yield Document(name, name.rpartition("/")[2], text)


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


def find_line_breaks(stream: Stream, name: str, options: Options, account: Account) -> bool:
    """Tell whether to join the lines of paragraphs, judged by the first bytes; let the account say so."""
    head = stream.head.decode("utf-8", "ignore")
    if not list_breaks(head):
        return options.line_breaks == "join"
    join = is_wrapped(head) if options.line_breaks == "auto" else options.line_breaks == "join"
    account.remark(name, JOINED if join else KEPT)
    return join


def list_breaks(text: str) -> list[tuple[str, str]]:
    """Return the pairs of successive lines of which none is blank."""
    lines = [line.rstrip() for line in text.split("\n")]
    return [(line, following) for line, following in pairwise(lines) if line.strip() and following.strip()]


def is_wrapped(text: str) -> bool:
    """Tell whether most line breaks are where a program would break running text, at one width for all lines.

    A line is filled at the widths that it does not exceed, but would with the next line's first word. Verse and texts
    with one sentence per line are filled by chance, so they also show by capitals and by the ends of sentences.
    """
    breaks = list_breaks(text)
    if len(breaks) < LEAST_BREAKS:
        return False
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
    n_filled = max(accumulate(changes))
    return (
        n_filled >= LEAST_FILLED * len(breaks)
        and n_sentences <= MOST_SENTENCES * len(breaks)
        and n_capitals <= MOST_CAPITALS * len(breaks)
    )
