"""Read and write the workflow's products: written whole or not at all, checked when read."""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from natural_sparsity.errors import UserError

# Version of the products' format. Readers refuse any other.
FORMAT = 2
FORMAT_KEY = "natural_sparsity_format"
# The end of an array's file: this mark, then the digest of everything before the mark.
ARRAY_MARK = b"natural-sparsity %d\n" % FORMAT
DIGEST_BYTES = 32
# The digest of an array's file is taken over sums of this many bytes each, read this many bytes at a time.
BYTES_PER_SUM = 1 << 13
BYTES_PER_READ = 1 << 26


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that is renamed to ``path`` if the block succeeds and removed if it fails.

    The temporary file lies in the same folder, hence on the same filesystem, so that the rename is atomic.

    Raises:
        UserError: a write failed, usually because the disk is full. Errors that name a file themselves pass through.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        # Some libraries write files that only their owner may read, but a team shares the folder.
        temporary.chmod(0o666 & ~read_umask())
        temporary.replace(path)
    except OSError as error:
        if error.filename:
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be written ({reason}); check that the disk has room, and run again") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def open_zstd(path: Path | str) -> Any:
    """Open a file for writing bytes, compressed with zstd, with a checksum of the content."""
    return zstandard.open(path, "wb", cctx=zstandard.ZstdCompressor(write_checksum=True))


def array_digest(path: Path | str, n_bytes: int) -> bytes:
    """Compute the digest of the first ``n_bytes`` of a file: SHA-256 of the sums of its 64-bit words over every 8 KiB.

    As fast as memory, while SHA-256 of all bytes would take longer than the passes over the corpus. A wrong bit or
    stretch changes a sum; it does not protect against deliberate changes.
    """
    digest = hashlib.sha256(n_bytes.to_bytes(8, "little"))
    for start in range(0, n_bytes, BYTES_PER_READ):
        # Map each block separately, so that memory does not grow with the file.
        block = np.memmap(path, np.uint8, "r", start, (min(BYTES_PER_READ, n_bytes - start),))
        whole = len(block) // BYTES_PER_SUM * BYTES_PER_SUM
        digest.update(block[:whole].view("<u8").reshape(-1, BYTES_PER_SUM // 8).sum(1).data)
        digest.update(block[whole:].data)
    return digest.digest()


def append_digest(path: Path | str) -> None:
    """Append the format's mark and a digest to an ``.npy`` file, where readers of ``.npy`` ignore them."""
    digest = array_digest(path, Path(path).stat().st_size)
    with Path(path).open("ab") as file:
        file.write(ARRAY_MARK + digest)


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Write ``array`` as ``.npy``, followed by its digest."""
    with atomic(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        append_digest(temporary)


def read_array(path: Path | str, *, ndim: int = 1) -> np.ndarray:
    """Memory-map an ``.npy`` file of integers or booleans with ``ndim`` dimensions, read-only.

    Raises:
        UserError: the file is missing, is not such an array, is not as long as its header says, or has changed since it
            was written.
    """
    try:
        # Not np.load, which also reads zip archives. An empty array cannot be memory-mapped.
        if Path(path).stat().st_size > 128:
            array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
        else:
            with Path(path).open("rb") as file:
                array = np.lib.format.read_array(file)
    except (OSError, ValueError, EOFError, TokenError) as error:
        raise UserError(f"{path}: not a readable array ({error}); delete it and run again") from error
    if array.ndim != ndim or array.dtype.kind not in "uib":
        raise UserError(
            f"{path}: expected {ndim}-dimensional integers, found {array.dtype} {array.shape}; was another file given?"
        )
    check_digest(path)
    return array


def check_digest(path: Path | str) -> None:
    """Raise :class:`UserError` unless an array's file is of our format and ends with the digest of its content."""
    n_bytes = Path(path).stat().st_size - DIGEST_BYTES - len(ARRAY_MARK)
    with Path(path).open("rb") as file:
        file.seek(max(n_bytes, 0))
        stored = file.read()
    mark, digest = stored[: len(ARRAY_MARK)], stored[len(ARRAY_MARK) :]
    if n_bytes >= 0 and mark == ARRAY_MARK and array_digest(path, n_bytes) == digest:
        return
    # Version 0.1 wrote the digest alone.
    if n_bytes >= 0 and array_digest(path, n_bytes + len(ARRAY_MARK)) == digest:
        refuse_other_formats(path, None)
    raise UserError(f"{path}: changed or cut since it was written (its digest does not fit); delete it and run again")


def refuse_other_formats(path: Path | str, version: Any) -> None:
    """Raise :class:`UserError` if a product has another format than ``FORMAT``; None for one that names no format."""
    if version != FORMAT:
        author = (
            f"in format {version}" if version is not None else "by version 0.1 of natural-sparsity, or by another tool"
        )
        raise UserError(
            f"{path}: written {author}, and this version reads format {FORMAT}; delete results/ or use another folder"
        )


def write_table(path: Path | str, table: pa.Table) -> None:
    """Write an Arrow table as Parquet, with a checksum per page and a digest of the footer, which readers ignore."""
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), FORMAT_KEY: str(FORMAT)})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        with temporary.open("rb+") as file:
            footer = read_footer(file)
            file.seek(-len(footer), os.SEEK_END)
            file.write(hashlib.sha256(footer).digest() + footer)


def read_footer(file: BinaryIO) -> bytes:
    """Read the footer of a Parquet file: the description of its content, its length in four bytes, the mark."""
    file.seek(-8, os.SEEK_END)
    length = int.from_bytes(file.read(4), "little") + 8
    file.seek(-length, os.SEEK_END)
    return file.read()


def read_schema(path: Path | str) -> pa.Schema:
    """Read the schema of a Parquet file that :func:`write_table` wrote.

    Raises:
        UserError: the file is missing, was not written by :func:`write_table`, or its footer has changed.
    """
    with explain_parquet_errors(path):
        with Path(path).open("rb") as file:
            footer = read_footer(file)
            file.seek(-len(footer) - DIGEST_BYTES, os.SEEK_END)
            if file.read(DIGEST_BYTES) != hashlib.sha256(footer).digest():
                raise pa.ArrowInvalid("changed since it was written, or not written by natural-sparsity")
        schema = pq.read_schema(path)
    version = (schema.metadata or {}).get(FORMAT_KEY.encode())
    refuse_other_formats(path, None if version is None else int(version))
    return schema


def write_parquet(path: Path | str, frame: pd.DataFrame, metadata: dict[str, Any] | None = None) -> None:
    """Write ``frame`` as Parquet, with ``metadata`` as JSON under the key ``natural_sparsity``."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if metadata is not None:
        stored = {**(table.schema.metadata or {}), "natural_sparsity": json.dumps(metadata)}
        table = table.replace_schema_metadata(stored)
    write_table(path, table)


@contextmanager
def explain_parquet_errors(path: Path | str) -> Iterator[None]:
    """Turn errors from reading a missing or damaged Parquet file into a :class:`UserError` that names it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable Parquet file ({reason}); delete it and run again") from error


def read_table(path: Path | str, columns: Sequence[str]) -> pa.Table:
    """Read ``columns`` of a Parquet file.

    Raises:
        UserError: the file is missing or damaged, or lacks one of the columns.
    """
    present = read_schema(path).names
    with explain_parquet_errors(path):
        missing = [column for column in columns if column not in present]
        if missing:
            raise UserError(f"{path}: no column {missing[0]!r} (it has {', '.join(present)}); was another file given?")
        return pq.read_table(path, columns=list(columns), page_checksum_verification=True)


def read_parquet(path: Path | str, columns: Sequence[str]) -> pd.DataFrame:
    """Read ``columns`` of a Parquet file into a data frame; raise as :func:`read_table` does."""
    table = read_table(path, columns)
    with explain_parquet_errors(path):
        return table.to_pandas()


def read_metadata(path: Path | str) -> dict[str, Any]:
    """Read the ``metadata`` that :func:`write_parquet` stored; raise :class:`UserError` if there are none."""
    stored = (read_schema(path).metadata or {}).get(b"natural_sparsity")
    if stored is None:
        raise UserError(f"{path}: carries no metadata; was another file given?")
    return json.loads(stored)


def write_json(path: Path | str, value: dict[str, Any]) -> None:
    """Write ``value`` as indented JSON, preceded by the format's version and followed by a digest of the content."""
    with atomic(path) as temporary:
        value = {"format": FORMAT} | value
        whole = value | {"digest": content_digest(value)}
        temporary.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def content_digest(value: dict[str, Any]) -> str:
    """Compute the SHA-256 of a JSON object without its field ``digest``, whatever its layout."""
    content = {key: entry for key, entry in value.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_json(path: Path | str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Read a JSON object that must have ``keys``, whoever wrote it.

    Raises:
        UserError: the file is missing, is not a JSON object or lacks one of the keys.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable JSON ({error}); delete it and run again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: no field {[*keys, 'object'][0]!r}; was another file given?")
    require_keys(path, value, keys)
    return value


def require_keys(path: Path | str, value: dict[str, Any], keys: Sequence[str]) -> None:
    """Raise a :class:`UserError` that names the first of ``keys`` that a JSON object lacks."""
    missing = [key for key in keys if key not in value]
    if missing:
        raise UserError(f"{path}: no field {missing[0]!r}; was another file given?")


def read_json(path: Path | str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Read a JSON object that :func:`write_json` wrote and that must have ``keys``.

    Raises:
        UserError: as :func:`parse_json` does; also if the file has changed since it was written or has another format.
    """
    value = parse_json(path)
    if "digest" in value:
        refuse_other_formats(path, value.get("format"))
    require_keys(path, value, keys)
    if value.get("digest") != content_digest(value):
        raise UserError(f"{path}: changed since it was written (its digest does not fit); delete it and run again")
    return value


class ArrayWriter:
    """Writes a one-dimensional array whose length is not known in advance to an ``.npy`` file, block by block.

    Use it within :func:`atomic`. The header has a fixed size and is written at the end, when the length is known.
    """

    HEADER_BYTES = 128

    def __init__(self, path: Path, dtype: np.dtype | type):
        self.path, self.dtype, self.length = path, np.dtype(dtype), 0
        self.file = path.open("wb")
        self.file.write(b"\0" * self.HEADER_BYTES)

    def append(self, block: np.ndarray) -> None:
        """Append ``block``, of shape (n,), cast to the file's dtype."""
        self.file.write(np.ascontiguousarray(block, self.dtype).data)
        self.length += len(block)

    def close(self) -> None:
        """Write the header, close the file and append its digest."""
        header = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": (self.length,)})
        assert header.tell() == self.HEADER_BYTES
        self.file.seek(0)
        self.file.write(header.getvalue())
        self.file.close()
        append_digest(self.path)
