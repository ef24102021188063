"""JSON Lines: an object per line, whose text is under a key; id and title are used if they are there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from natural_sparsity.corpus.readers.base import BOM, Account, Document, Options, find_first_line, read_lines
from natural_sparsity.corpus.readers.rows import Row, make_documents, make_row
from natural_sparsity.corpus.streams import Stream
from natural_sparsity.errors import UserError


def recognise(head: bytes) -> bool:
    """Tell whether a file begins with a JSON object."""
    return re.match(rb'\{\s*["}]', head.removeprefix(BOM).lstrip()) is not None


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield a document per object."""
    return make_documents(read_rows(stream, options.text_column), stream.path, options, account)


def read_rows(stream: Stream, column: str) -> Iterator[Row]:
    """Yield the text of each object; raise :class:`UserError` for other JSON, and for objects without a text."""
    refuse_other_json(stream)
    for offset, line in read_lines(stream):
        if line.strip():
            fields = parse_object(line, stream.path, offset)
            yield make_row(fields, column, stream.path, f"byte {offset}")


def refuse_other_json(stream: Stream) -> None:
    """Refuse JSON arrays and objects over several lines, of which no line is an object."""
    start = stream.head.removeprefix(BOM).lstrip()
    if re.match(rb'\[\s*(["{]|\[\s*["{\d]|\]\s*$)', start):
        raise UserError(f"{stream.path}: is a JSON array; write one object per line, as `jq -c '.[]'` does")
    if recognise(start) and find_first_line(start).strip() == "{":
        raise UserError(
            f"{stream.path}: is JSON whose objects go over several lines; write one object per line, as `jq -c .` does"
        )


def parse_object(line: str, path: Path, offset: int) -> dict[str, Any]:
    """Parse the line at byte ``offset``; raise :class:`UserError` if it is no JSON object that UTF-8 can hold."""
    try:
        value = json.loads(line)
        if "\\u" in line:
            json.dumps(value, ensure_ascii=False).encode()  # fails for a lone surrogate
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: byte {offset}: not a JSON object ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: byte {offset}: not a JSON object, but {line[:20]!r}; write one object per line")
    return value
