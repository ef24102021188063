"""Reading and writing the workflow's products: whole or not at all, and checked when read."""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from natural_sparsity.errors import UserError


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that is renamed to it if the block succeeds and removed if it fails.

    The temporary file lies in the same folder, hence on the same filesystem, so that the rename is atomic.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        # Some libraries write files that none but their owner may read; those of a team share a folder.
        temporary.chmod(0o666 & ~current_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def current_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Write ``array`` as ``.npy``."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: Path | str, *, ndim: int = 1) -> np.ndarray:
    """Memory-map an ``.npy`` file of integers or booleans with ``ndim`` dimensions, read-only.

    Raises:
        UserError: the file is missing, is no such array, or is shorter than its header says.
    """
    try:
        # Not np.load, which reads zip archives too. An empty array cannot be memory-mapped.
        if Path(path).stat().st_size > 128:
            array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
        else:
            with Path(path).open("rb") as file:
                array = np.lib.format.read_array(file)
    except (OSError, ValueError, EOFError, TokenError) as error:
        raise UserError(f"{path}: not a readable array ({error}); delete it and run again") from error
    if array.ndim != ndim or array.dtype.kind not in "uib":
        raise UserError(f"{path}: expected {ndim}-dimensional integers, found {array.dtype} {array.shape}")
    return array


def write_table(path: Path | str, table: pa.Table) -> None:
    """Write an Arrow table as Parquet, with a checksum a page."""
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def write_parquet(path: Path | str, frame: pd.DataFrame, metadata: dict[str, Any] | None = None) -> None:
    """Write ``frame`` as Parquet, with ``metadata`` as JSON under the key ``natural_sparsity``."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if metadata is not None:
        stored = {**(table.schema.metadata or {}), "natural_sparsity": json.dumps(metadata)}
        table = table.replace_schema_metadata(stored)
    write_table(path, table)


@contextmanager
def naming_parquet(path: Path | str) -> Iterator[None]:
    """Turn what reading a missing or damaged Parquet file raises into a :class:`UserError` that names it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error}); delete it and run again") from error


def read_table(path: Path | str, columns: Sequence[str]) -> pa.Table:
    """Read ``columns`` of a Parquet file.

    Raises:
        UserError: the file is missing or damaged, or lacks one of the columns.
    """
    with naming_parquet(path):
        present = pq.read_schema(path).names
        missing = [column for column in columns if column not in present]
        if missing:
            raise UserError(f"{path}: no column {missing[0]!r} (it has {', '.join(present)}); was another file given?")
        return pq.read_table(path, columns=list(columns), page_checksum_verification=True)


def read_parquet(path: Path | str, columns: Sequence[str]) -> pd.DataFrame:
    """Read ``columns`` of a Parquet file into a data frame; raises as :func:`read_table` does."""
    return read_table(path, columns).to_pandas()


def read_metadata(path: Path | str) -> dict[str, Any]:
    """Read what :func:`write_parquet` stored as ``metadata``; raises :class:`UserError` if there is none."""
    with naming_parquet(path):
        stored = (pq.read_schema(path).metadata or {}).get(b"natural_sparsity")
    if stored is None:
        raise UserError(f"{path}: carries no metadata; was another file given?")
    return json.loads(stored)


def write_json(path: Path | str, value: dict[str, Any]) -> None:
    """Write ``value`` as indented JSON, with a digest of its content as the last field."""
    with atomic(path) as temporary:
        whole = value | {"digest": content_digest(value)}
        temporary.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def content_digest(value: dict[str, Any]) -> str:
    """SHA-256 of a JSON object less its field ``digest``: of what it says, not of how it is laid out."""
    content = {key: entry for key, entry in value.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_json(path: Path | str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Read a JSON object that must have ``keys``.

    Raises:
        UserError: the file is missing, is not a JSON object, lacks one of the keys, or has a digest that is not that of
            its content.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable JSON ({error}); delete it and run again") from error
    missing = [key for key in keys if key not in value] if isinstance(value, dict) else list(keys) or ["object"]
    if missing:
        raise UserError(f"{path}: no field {missing[0]!r}; was another file given?")
    if "digest" in value and value["digest"] != content_digest(value):
        raise UserError(f"{path}: changed since it was written (its digest does not fit); delete it and run again")
    return value


class ArrayWriter:
    """Append blocks of a one-dimensional array whose length is not known beforehand to an ``.npy`` file.

    Use it within :func:`atomic`. The header is written again, at its fixed size, when the length is known.
    """

    HEADER_BYTES = 128

    def __init__(self, path: Path, dtype: np.dtype | type):
        self.dtype, self.length = np.dtype(dtype), 0
        self.file = path.open("wb")
        self.file.write(b"\0" * self.HEADER_BYTES)

    def append(self, block: np.ndarray) -> None:
        """Append ``block``, of shape (n,), cast to the file's dtype."""
        self.file.write(np.ascontiguousarray(block, self.dtype).data)
        self.length += len(block)

    def close(self) -> None:
        """Write the header and close the file."""
        header = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": (self.length,)})
        assert header.tell() == self.HEADER_BYTES
        self.file.seek(0)
        self.file.write(header.getvalue())
        self.file.close()
