"""JSON Lines: an object per line, whose text is under a key; id and title are used if they are there."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from natural_sparsity.corpus.readers.base import BOM, Account, Document, Options, find_first_line, read_lines
from natural_sparsity.corpus.readers.rows import Row, make_documents, make_row
from natural_sparsity.corpus.streams import Stream
from natural_sparsity.errors import UserError

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # as JSON escapes it
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def recognise(head: bytes) -> bool:
    """Tell whether a file begins with a JSON object."""
    return re.match(rb'\{\s*["}]', head.removeprefix(BOM).lstrip()) is not None


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield a document per object."""
    return make_documents(read_rows(stream, options.text_column), stream.path, options, account)


def read_rows(stream: Stream, column: str) -> Iterator[Row]:
    """Yield the text of each object; raise :class:`UserError` for other JSON, and for objects without a text."""
    refuse_other_json(stream)
    for number, (offset, line) in enumerate(read_lines(stream), 1):
        if line.strip():
            place = f"line {number}, byte {offset}"
            yield make_row(parse_object(line, stream.path, place), column, stream.path, place)


def refuse_other_json(stream: Stream) -> None:
    """Refuse JSON arrays and objects over several lines, of which no line is an object."""
    start = stream.head.removeprefix(BOM).lstrip()
    if re.match(rb'\[\s*(["{]|\[\s*["{\d]|\]\s*$)', start):
        raise UserError(f"{stream.path}: is a JSON array; write one object per line, as `jq -c '.[]'` does")
    if recognise(start) and find_first_line(start).strip() == "{":
        raise UserError(
            f"{stream.path}: is JSON whose objects go over several lines; write one object per line, as `jq -c .` does"
        )


def parse_object(line: str, path: Path, place: str) -> dict[str, Any]:
    """Parse a line; half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.

    Raises:
        UserError: it is no JSON object, or has a key twice; the message names its place.
    """
    try:
        value = json.loads(line, object_pairs_hook=make_dict)
        if SURROGATE.search(line):
            value = json.loads(LONE_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        reason = f"column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else error
        raise UserError(f"{path}: {place}: not a JSON object ({reason}); correct or delete the line") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: {place}: not a JSON object, but {line[:20]!r}; write one object per line")
    return value


def make_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make the dict of a JSON object; raise :class:`ValueError` if a key is there twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = Counter(key for key, _ in pairs)
        raise ValueError(f"it has the key {keys.most_common(1)[0][0]!r} twice")
    return fields
