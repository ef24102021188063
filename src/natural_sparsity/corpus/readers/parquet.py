"""Parquet, as data sets are published: a text per row, in a column; id and title are used if they are there."""

import mmap
import re
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
TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
# The end of a file and the beginning of the next, with the first byte of a page or of a table of contents.
CONCATENATED = re.compile(PARQUET + PARQUET + rb"\x15")
AGAIN = "download or create it again"


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
        refuse_damaged(file.metadata, path)
        schema = file.schema_arrow
        if column not in schema.names:
            raise UserError(f"{path}: {name_columns(column, schema.names)}")
        names = [name for name in dict.fromkeys([column, *ID_COLUMNS, TITLE_COLUMN]) if name in schema.names]
        for name in names:
            if schema.names.count(name) > 1:
                raise UserError(f"{path}: has two columns {name!r}; rename or drop one")
        kind = schema.field(column).type
        if not is_text(kind):
            texts = [field.name for field in schema if is_text(field.type)]
            raise UserError(f"{path}: the column {column!r} holds {kind}, not text; {name_texts(texts)}")
        number = 0
        for batch in file.iter_batches(ROWS_PER_BATCH, columns=names):
            for fields in batch.to_pylist():
                number += 1
                yield make_row(fields, column, path, f"row {number}")
        if number != file.metadata.num_rows:
            raise UserError(f"{path}: {number:,} rows, not the {file.metadata.num_rows:,} that it should have; {AGAIN}")


def refuse_damaged(metadata: pq.FileMetaData, path: Path) -> None:
    """Raise :class:`UserError` if the table of contents contradicts itself or does not cover the file.

    Several files in one, as ``cat`` makes them, have the table of contents of the last alone.
    """
    n_rows = sum(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    if n_rows != metadata.num_rows:
        raise UserError(f"{path}: {n_rows:,} rows, not the {metadata.num_rows:,} that it should have; {AGAIN}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if CONCATENATED.search(content):
            raise UserError(f"{path}: is several Parquet files one after another; give them as separate files")


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column holds text, or nothing but nulls."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(check(kind) for check in TEXTS)


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
        raise UserError(f"{path}: not a readable Parquet file ({reason}); {AGAIN}") from error
