"""Parquet, as data sets are published: a text per row, in a column; id and title are used if they are there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from natural_sparsity.corpus.readers.base import Account, Document, Options
from natural_sparsity.corpus.readers.rows import ID_COLUMNS, TITLE_COLUMN, Row, make_documents, make_row, name_columns
from natural_sparsity.corpus.streams import PARQUET, Stream
from natural_sparsity.errors import UserError

ROWS_PER_BATCH = 1000


def recognise(head: bytes) -> bool:
    """Tell whether a file begins as Parquet does."""
    return head.startswith(PARQUET)


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield a document per row."""
    return make_documents(read_rows(stream, options.text_column), stream.path, options, account)


def read_rows(stream: Stream, column: str) -> Iterator[Row]:
    """Yield the text of each row; raise :class:`UserError` if the file is damaged, or the column is no text.

    The table of contents is at the end of a Parquet file, so this is the one format that no pipe can give.
    """
    path = stream.path
    if stream.compression:
        raise UserError(f"{path}: is Parquet inside {stream.compression}; decompress it")
    if not path.is_file():
        raise UserError(f"{path}: Parquet cannot be read from a pipe; give the file itself")
    with explain_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        if column not in schema.names:
            raise UserError(f"{path}: {name_columns(column, schema.names)}")
        kind = schema.field(column).type
        if not is_text(kind):
            texts = [field.name for field in schema if is_text(field.type)]
            raise UserError(f"{path}: the column {column!r} holds {kind}, not text; {name_texts(texts)}")
        names = [name for name in dict.fromkeys([column, *ID_COLUMNS, TITLE_COLUMN]) if name in schema.names]
        number = 0
        for batch in file.iter_batches(ROWS_PER_BATCH, columns=names):
            for fields in batch.to_pylist():
                number += 1
                yield make_row(fields, column, path, f"row {number}")


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column holds text, or nothing but nulls."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null))


def name_texts(names: list[str]) -> str:
    """Say which columns could be meant."""
    return f"set text_column to one of {', '.join(map(repr, names))}" if names else "no column of the file holds text"


@contextmanager
def explain_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a damaged file into a :class:`UserError` that names it."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = " ".join(repr(str(error))[1:-1].replace("\\n", " ").split())
        raise UserError(f"{path}: not a readable Parquet file ({reason}); download or create it again") from error
