"""Rows of a table that have a text each, as data sets are published: JSON Lines or Parquet."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from natural_sparsity.corpus.readers.base import Account, Document, Layout, Options, check_size, hash_text
from natural_sparsity.corpus.readers.text import decide, join_paragraphs
from natural_sparsity.errors import UserError

ID_COLUMNS = ["id", "_id"]
TITLE_COLUMN = "title"
CHARACTERS_TO_JUDGE = 1 << 16
WIKITEXT_TITLE = re.compile(r" = [^=\n]+ = \n?")


class Row(NamedTuple):
    """A row's text, and its id if it has one."""

    id: str | None
    title: str
    text: str


def make_row(fields: dict[str, Any], column: str, path: Path, place: str) -> Row:
    """Find the text, id and title among the fields of a row; a null is an empty text.

    Raises:
        UserError: there is no text, or it is too large or has a NUL.
    """
    if column not in fields:
        raise UserError(f"{path}: {place}: {name_columns(column, list(fields))}")
    text = "" if fields[column] is None else fields[column]
    if not isinstance(text, str):
        raise UserError(
            f"{path}: {place}: {column!r} is {str(text)[:20]!r}, not text; set text_column to the one with the text"
        )
    check_size(len(text), path, place, "a text")
    if "\0" in text:
        raise UserError(f"{path}: {place}: {column!r} has a NUL, which text never has; remove it from the data")
    ids = [str(fields[key]) for key in ID_COLUMNS if isinstance(fields.get(key), str | int) and fields[key] != ""]
    title = fields.get(TITLE_COLUMN)
    return Row(ids[0] if ids else None, title if isinstance(title, str) else "", text)


def name_columns(column: str, present: list[str]) -> str:
    """Say that there is no such column or key, and which there are."""
    others = f", only {', '.join(map(repr, present))}" if present else ""
    return f"there is no {column!r}{others}; set text_column to the key or column that holds the text"


def make_documents(rows: Iterator[Row], path: Path, options: Options, account: Account) -> Iterator[Document]:
    """Make a document of each row; its lines are paragraphs, or joined into paragraphs where they are hard-wrapped.

    Raises:
        UserError: the rows are the lines of WikiText, of which several make a document.
    """
    first: list[Row] = []
    size = 0
    for row in rows:
        first.append(row)
        size += len(row.text)
        if size > CHARACTERS_TO_JUDGE:
            break
    if WIKITEXT_TITLE.fullmatch(next((row.text for row in first if row.text.strip()), "")):
        raise UserError(f"{path}: its rows are the lines of WikiText articles; set format: wikitext")
    join = decide("\n\n".join(row.text for row in first), path.name, options, account)
    layout: Layout = "sentences" if options.tokenised else "paragraphs"
    for row in chain(first, rows):
        text = join_paragraphs(row.text) if join else row.text.strip()
        if text:
            yield Document(row.id or hash_text(text), row.title, text, layout=layout)
        else:
            account.skipped["empty"] += 1
