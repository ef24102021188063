"""WikiText-2 and WikiText-103: tokenised articles, each after a line with its title, `` = Title = ``."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path

from natural_sparsity.corpus.readers.base import BOM, Account, Document, Options, check_size, make_document
from natural_sparsity.corpus.readers.lines import list_lines
from natural_sparsity.corpus.streams import Stream

START = re.compile(rb"(?:\s*\n)? = (?!= )[^\n]*[^\s=] = *\r?\n\s*\n")
TITLE = re.compile(r"= (?!= )(.+)(?<! =) =")
# Hyphens and separators of digits were cut out of words: " @-@ ", " @,@ ", " @.@ ".
JOINT = re.compile(r" ?@([-,.])@ ?")


def recognise(head: bytes) -> bool:
    """Tell whether a file begins with the title of an article, and a blank line."""
    return START.match(head.removeprefix(BOM)) is not None


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield the articles: as text with its hyphens restored, without headings; or, if tokenised, line by line as is."""
    for title, lines in split_articles(list_lines(stream, options), stream.path):
        if not title:
            account.remark(stream.path.name, "starts in the middle of an article, which gets no title")
        text = [line for line in lines if not is_heading(line)]
        if options.tokenised:
            yield make_document("\n".join([f"= {title} ="] * bool(title) + lines), "sentences", join(title))
        elif not text:
            account.skipped["empty"] += 1
        else:
            account.skipped["heading"] += len(lines) - len(text)
            yield make_document(join("\n".join(text)), "paragraphs", join(title))


def is_heading(line: str) -> bool:
    """Tell whether a line is a section title, with two or more equals signs on each side: ``= = History = =``."""
    return line.startswith("= = ") and line.endswith(" = =") and len(line) > len("= =  = =")


def split_articles(lines: Iterable[str], path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the title and the lines of each article; a file that begins within an article gives an empty title.

    A line that looks like a title is one only between blank lines, if the first title of the file is so.
    """
    title, body, before, size = "", list[str](), "", 0
    spaced: bool | None = None
    for line, after in pairwise(chain(lines, [""])):
        match = TITLE.fullmatch(line)
        if match and spaced is None:
            spaced = not before and not after
        if match and not (spaced and (before or after)):
            if title or body:
                yield title, body
            title, body, size = match[1], [], 0
        elif line:
            body.append(line)
            size += len(line)
            check_size(size, path, repr(title), "an article")
        before = line
    if title or body:
        yield title, body


def join(text: str) -> str:
    """Undo the marks of WikiText within words."""
    return JOINT.sub(r"\1", text)
