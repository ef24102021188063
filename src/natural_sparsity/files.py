"""Read and write the workflow's products: written whole or not at all, checked when read."""

import errno
import fcntl
import glob
import hashlib
import io
import json
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
import zstandard

from natural_sparsity.errors import UserError

if TYPE_CHECKING:
    import pandas as pd  # the import takes longer than most steps on a small text; Arrow does it when needed

# Version of the products' format. Readers refuse any other.
FORMAT = 3
FORMAT_KEY = "natural_sparsity_format"
# An array file ends with this mark, the metadata as JSON, the length of the metadata in bytes, and the digest of
# everything before the digest.
ARRAY_MARK = b"natural-sparsity %d\n" % FORMAT
LENGTH_BYTES, DIGEST_BYTES = 4, 16
# In format 2, an array file ended with this mark and a SHA-256; a table had the SHA-256 of its footer.
EARLIER_MARK, EARLIER_DIGEST_BYTES = b"natural-sparsity 2\n", 32

# What tempfile puts into a name, as a pattern.
RANDOM = "[a-z0-9_]" * 8


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that is renamed to ``path`` if the block succeeds and removed if it fails.

    The temporary file is in the same folder, and so on the same filesystem: the rename is atomic. The content is
    flushed to disk before the rename, and the rename before this returns: after a power cut, ``path`` is either the
    old file or the new one. Temporary files of killed writers are removed first.

    Raises:
        UserError: a write failed, usually because the disk is full. Errors that name a file themselves pass through.
    """
    path = Path(path)
    if not path.name:
        raise UserError(f"{str(path)!r}: not a file name; give a path to write to")
    make_folder(path.parent)
    remove_leftovers(path)
    held, temporary = open_temporary(path)
    with held:
        try:
            yield temporary
            # Some libraries write files that only their owner may read, but a team shares the folder.
            temporary.chmod(0o666 & ~read_umask())
            rename_durably(temporary, path)
        except OSError as error:
            if error.filename:
                raise
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path}: cannot be written ({reason}); check that the disk has room, and run again"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)


def open_temporary(path: Path) -> tuple[BinaryIO, Path]:
    """Create a temporary file for ``path`` and lock it: the lock ends with the process, however that ends.

    Its name is random, since on two nodes, or in two containers, processes may have the same number.
    """
    while True:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        file = os.fdopen(number, "wb")
        with suppress(OSError):  # where locks are unsupported, leftovers stay
            fcntl.flock(file, fcntl.LOCK_EX)
        # Another writer may have taken it for a leftover before it was locked.
        if Path(name).exists():
            return file, Path(name)
        file.close()


def rename_durably(temporary: Path, path: Path) -> None:
    """Rename a finished file within its folder: after a power cut, ``path`` is either the old file or the new one."""
    flush(temporary)
    temporary.replace(path)
    flush(path.parent)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, and flush their names to disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush(folder.parent)


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        # Some network filesystems cannot flush a folder.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(number)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of ``path`` whose writers were killed; those of living ones are locked."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.{RANDOM}.part"):
        with suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def read_umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def open_zstd(path: Path | str) -> Any:
    """Open a file for writing bytes, compressed with zstd, with a checksum of the content."""
    return zstandard.open(path, "wb", cctx=zstandard.ZstdCompressor(write_checksum=True))


def compute_digest(path: Path | str, start: int = 0, stop: int | None = None, *more: bytes) -> bytes:
    """Compute the 128-bit XXH3 of a file's bytes from ``start`` to ``stop`` (default: its end), then of ``more``.

    It detects accidental changes at the speed of memory; SHA-256 would take longer than the passes over the corpus.
    It does not detect deliberate changes.
    """
    digest = xxhash.xxh3_128()
    with Path(path).open("rb") as file:
        stop = os.fstat(file.fileno()).st_size if stop is None else stop
        if stop > start:
            with mmap.mmap(file.fileno(), stop, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
                digest.update(view[start:])
    for piece in more:
        digest.update(piece)
    return digest.digest()


def seal_array(path: Path | str, metadata: dict[str, Any] | None = None) -> str:
    """Append the mark, the metadata and the digest to an ``.npy`` file, where readers of ``.npy`` ignore them.

    Returns:
        The digest, as :func:`check_array` does.
    """
    stored = json.dumps(metadata or {}).encode()
    with Path(path).open("ab") as file:
        file.write(ARRAY_MARK + stored + len(stored).to_bytes(LENGTH_BYTES, "little"))
    digest = compute_digest(path)
    with Path(path).open("ab") as file:
        file.write(digest)
    return digest.hex()


def write_array(path: Path | str, array: np.ndarray, metadata: dict[str, Any] | None = None) -> None:
    """Write ``array`` as ``.npy``, followed by ``metadata``, which JSON can hold, and a digest."""
    with atomic(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        seal_array(temporary, metadata)


class OpenArray(NamedTuple):
    """A memory-mapped array, with the metadata and the digest that its file carries."""

    array: np.ndarray
    metadata: dict[str, Any]
    digest: str


def read_array(path: Path | str, *, ndim: int = 1) -> np.ndarray:
    """Memory-map an ``.npy`` file as :func:`open_array` does; return the array alone."""
    return open_array(path, ndim=ndim).array


def open_array(path: Path | str, *, ndim: int = 1) -> OpenArray:
    """Memory-map an ``.npy`` file of integers or booleans with ``ndim`` dimensions, read-only.

    Raises:
        UserError: the file is missing, is not such an array, is not as long as its header says, or has changed since it
            was written.
    """
    seal = check_array(path)  # first: numpy evaluates the header as Python, and a damaged one raises anything
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
            f"{path}: expected {ndim}-dimensional integers, found {array.dtype} {array.shape}; give the right file"
        )
    return OpenArray(array, *seal)


def check_array(path: Path | str) -> tuple[dict[str, Any], str]:
    """Check an array's file; return its metadata and its digest (32 hexadecimal digits).

    Raises:
        UserError: it is missing, is of another format, or has changed since it was written.
    """
    try:
        size = Path(path).stat().st_size
        with Path(path).open("rb") as file:
            file.seek(max(size - DIGEST_BYTES - LENGTH_BYTES, 0))
            end = file.read()
            length = int.from_bytes(end[:LENGTH_BYTES], "little")
            start = size - len(end) - length
            file.seek(max(start - len(ARRAY_MARK), 0))
            seal = file.read(len(ARRAY_MARK) + length)
    except OSError as error:
        raise UserError(f"{path}: not a readable array ({error.strerror}); delete it and run again") from error
    if start >= len(ARRAY_MARK) and seal.startswith(ARRAY_MARK):
        digest = compute_digest(path, stop=size - DIGEST_BYTES)
        if digest == end[LENGTH_BYTES:]:
            return json.loads(seal[len(ARRAY_MARK) :]), digest.hex()
    with Path(path).open("rb") as file:
        file.seek(max(size - EARLIER_DIGEST_BYTES - len(EARLIER_MARK), 0))
        if file.read(len(EARLIER_MARK)) == EARLIER_MARK:
            refuse_other_formats(path, 2)
    raise UserError(f"{path}: changed or cut since it was written (its digest does not match); delete it and run again")


def refuse_other_formats(path: Path | str, version: Any) -> None:
    """Raise :class:`UserError` unless a product's format is ``FORMAT``; ``version`` is None if it names none."""
    if version != FORMAT:
        author = (
            f"in format {version}" if version is not None else "by version 0.1 of natural-sparsity, or by another tool"
        )
        raise UserError(
            f"{path}: written {author}, but this version reads format {FORMAT}; delete results/ or use another folder"
        )


def write_table(path: Path | str, table: pa.Table) -> None:
    """Write an Arrow table as Parquet, with a digest of the file before its footer, where readers ignore it."""
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), FORMAT_KEY: str(FORMAT)})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
        digest = compute_digest(temporary)
        with temporary.open("rb+") as file:
            footer = read_footer(file)
            file.seek(-len(footer), os.SEEK_END)
            file.write(digest + footer)


def read_footer(file: BinaryIO) -> bytes:
    """Read the footer of a Parquet file: the metadata, their length in four bytes, the mark."""
    file.seek(-8, os.SEEK_END)
    length = int.from_bytes(file.read(4), "little") + 8
    file.seek(-length, os.SEEK_END)
    return file.read()


def read_schema(path: Path | str) -> pa.Schema:
    """Read the schema of a Parquet file that :func:`write_table` wrote, once the file has been checked.

    Raises:
        UserError: the file is missing, was not written by :func:`write_table`, or has changed.
    """
    with explain_parquet_errors(path):
        # Before the footer is parsed: a damaged one can crash the reader.
        with Path(path).open("rb") as file:
            footer = read_footer(file)
            start = file.seek(-len(footer) - DIGEST_BYTES, os.SEEK_END)
            stored = file.read(DIGEST_BYTES)
            file.seek(max(start + DIGEST_BYTES - EARLIER_DIGEST_BYTES, 0))
            earlier = file.read(EARLIER_DIGEST_BYTES) == hashlib.sha256(footer).digest()
        digest = compute_digest(path, 0, start, footer)
        if digest != stored and not earlier:
            raise pa.ArrowInvalid("changed since it was written, or not written by natural-sparsity")
        schema = pq.read_schema(path)
    version = (schema.metadata or {}).get(FORMAT_KEY.encode())
    refuse_other_formats(path, None if version is None else int(version))
    return schema


def write_parquet(path: Path | str, frame: "pd.DataFrame", metadata: dict[str, Any] | None = None) -> None:
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
            raise UserError(f"{path}: no column {missing[0]!r} (it has {', '.join(present)}); give the right file")
        return pq.read_table(path, columns=list(columns))


def read_parquet(path: Path | str, columns: Sequence[str]) -> "pd.DataFrame":
    """Read ``columns`` of a Parquet file into a data frame; raise as :func:`read_table` does."""
    table = read_table(path, columns)
    with explain_parquet_errors(path):
        return table.to_pandas()


def read_metadata(path: Path | str) -> dict[str, Any]:
    """Read the metadata that :func:`write_parquet` or :func:`write_array` stored.

    Raises:
        UserError: there are none, or the file cannot be read.
    """
    if Path(path).suffix == ".npy":
        return check_array(path)[0]
    stored = (read_schema(path).metadata or {}).get(b"natural_sparsity")
    if stored is None:
        raise UserError(f"{path}: carries no metadata; give the right file")
    return json.loads(stored)


def read_digest(path: Path | str) -> str:
    """Return the digest (32 hexadecimal digits) of an array or table, which files made from it record.

    That of a table is of its columns' names and values: its bytes also depend on the versions of Arrow and pandas, and
    a model that was trained with one version goes on with the next.

    Raises:
        UserError: the file is missing, is of another format, or has changed since it was written.
    """
    if Path(path).suffix == ".npy":
        return check_array(path)[1]
    table = read_table(path, read_schema(path).names)
    digest = xxhash.xxh3_128()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(json.dumps([name, column.to_pylist()]).encode())
    return digest.hexdigest()


def write_json(path: Path | str, value: dict[str, Any]) -> None:
    """Write ``value`` as indented JSON, preceded by the format's version and followed by a digest of the content."""
    with atomic(path) as temporary:
        value = {"format": FORMAT} | value
        whole = value | {"digest": digest_content(value)}
        temporary.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def digest_content(value: dict[str, Any]) -> str:
    """Compute the 128-bit XXH3 of a JSON object without its field ``digest``, whatever its layout."""
    content = {key: entry for key, entry in value.items() if key != "digest"}
    return xxhash.xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode())


def parse_json(path: Path | str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Read a JSON object that must have ``keys``, whoever wrote it.

    Raises:
        UserError: the file is missing, is not a JSON object or lacks one of the keys.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable JSON ({error}); delete it and run again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object; give the right file")
    require_keys(path, value, keys)
    return value


def require_keys(path: Path | str, value: dict[str, Any], keys: Sequence[str]) -> None:
    """Raise a :class:`UserError` that names the first of ``keys`` that a JSON object lacks."""
    missing = [key for key in keys if key not in value]
    if missing:
        raise UserError(f"{path}: no field {missing[0]!r}; give the right file")


def read_json(path: Path | str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Read a JSON object that :func:`write_json` wrote and that must have ``keys``.

    Raises:
        UserError: as :func:`parse_json` does; also if the file has changed since it was written or has another format.
    """
    value = parse_json(path)
    if "digest" in value:
        refuse_other_formats(path, value.get("format"))
    require_keys(path, value, keys)
    if value.get("digest") != digest_content(value):
        raise UserError(f"{path}: changed since it was written (its digest does not match); delete it and run again")
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

    def close(self) -> str:
        """Write the header, close the file, append its digest and return it."""
        header = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": (self.length,)})
        assert header.tell() == self.HEADER_BYTES
        self.file.seek(0)
        self.file.write(header.getvalue())
        self.file.close()
        return seal_array(self.path)
