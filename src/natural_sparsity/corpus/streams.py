"""Open a file once and read its decompressed content to the last byte; refuse files that are not text.

Compression is recognised by the first bytes, not by the name. After a compressed stream, only another stream or the
padding that the format allows may follow; anything else is an error. Memory is bounded, however much a file expands.
Checksums are verified. Without one, a changed byte goes unnoticed: in uncompressed files, and after ``zstd --no-check``
or ``xz --check=none``.
"""

import bz2
import codecs
import io
import lzma
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import zstandard

from natural_sparsity.errors import UserError

BYTES_PER_READ = 1 << 16
BYTES_OF_HEAD = 1 << 16
BYTES_PER_ZSTD_STEP = 256  # compressed: at most 64 blocks of 4 bytes, which expand to 128 KiB each, 8 MiB in all
# As much as the largest settings of the tools ask for: xz with a dictionary of 1.5 GiB, zstd --long=31.
MAX_WINDOW = 1 << 31
BOM = "\ufeff"
PARQUET = b"PAR1"  # the first bytes of a Parquet file


class _Decompressor(Protocol):
    """The interface of the decompressors in :mod:`bz2` and :mod:`lzma`: one stream, ``max_length`` bytes per call."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """A gzip member; zlib compares its CRC and its length."""

    def __init__(self) -> None:
        self.member, self.needs_input = zlib.decompressobj(wbits=31), True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        content = self.member.decompress(self.member.unconsumed_tail + data, max_length)
        # With all of its input read, zlib may still hold the end of a repeated string.
        self.needs_input = len(content) < max_length
        return content

    @property
    def eof(self) -> bool:
        return self.member.eof

    @property
    def unused_data(self) -> bytes:
        return self.member.unused_data


class _Zstd:
    """A zstd frame, which is fed in small steps because zstandard bounds no output; skippable frames are empty."""

    def __init__(self) -> None:
        self.frame: Any = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
        self.waiting = memoryview(b"")

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self.waiting = memoryview(data) if data else self.waiting
        step, self.waiting = self.waiting[:BYTES_PER_ZSTD_STEP], self.waiting[BYTES_PER_ZSTD_STEP:]
        return self.frame.decompress(step)

    @property
    def eof(self) -> bool:
        return self.frame.eof

    @property
    def needs_input(self) -> bool:
        return not self.waiting

    @property
    def unused_data(self) -> bytes:
        return self.frame.unused_data + bytes(self.waiting)


@dataclass(frozen=True)
class Compression:
    """A compression format: how a stream begins, and what decompresses it.

    ``padding``: NUL bytes may follow a stream in multiples of this; 0 if none may.
    """

    name: str
    suffix: str
    magic: re.Pattern[bytes]
    start: Callable[[], _Decompressor]
    padding: int = 0


def _start_xz() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_WINDOW)


COMPRESSIONS = [
    Compression("gzip", ".gz", re.compile(rb"\x1f\x8b\x08"), _Gzip, padding=1),
    Compression("bzip2", ".bz2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor),
    Compression("xz", ".xz", re.compile(rb"\xfd7zXZ\0"), _start_xz, padding=4),
    # The second is a skippable frame, with which pzstd begins its files.
    Compression("zstd", ".zst", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _Zstd),
]
BYTES_OF_MAGIC = 10  # the longest


class _Content(io.RawIOBase):
    """The decompressed content of an open file; its errors name ``path``."""

    def __init__(self, path: Path, file: Any):
        self.path, self.file = path, file
        self.waiting = b""  # bytes of the file that are read but not decompressed
        self.n_read = 0  # bytes of the file that are read
        self.decompressor: _Decompressor | None = None  # of the current stream; None between streams
        self._fill(BYTES_OF_MAGIC)
        self.compression = next((one for one in COMPRESSIONS if one.magic.match(self.waiting)), None)
        if self.compression is None and path.suffix.lower() in [one.suffix for one in COMPRESSIONS]:
            self._refuse_name(path.suffix)
        self.ready = memoryview(self._read_head())  # content that is not handed on yet
        self.head = bytes(self.ready[:BYTES_OF_HEAD])

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        if not self.ready:
            self.ready = memoryview(self._read_some(len(target)))
        content, self.ready = self.ready[: len(target)], self.ready[len(target) :]
        target[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self.file.close()
        super().close()

    def _refuse(self, reason: object) -> NoReturn:
        raise UserError(f"{self.path}: truncated or damaged ({reason}); delete it, then download or create it again")

    def _refuse_name(self, suffix: str) -> NoReturn:
        """Refuse a file that is not compressed, though its name says so: an empty one, a text, or a damaged one."""
        self._fill(BYTES_OF_HEAD)
        if not self.waiting:
            raise UserError(f"{self.path}: is empty; delete it, then download or create it again")
        # The beginning of bzip2 is made of letters.
        if not self.waiting.startswith(b"BZh") and _looks_like_text(self.waiting[:BYTES_OF_HEAD]):
            raise UserError(
                f"{self.path}: is not compressed, though its name ends in {suffix}; rename it without {suffix}"
            )
        self._refuse(f"the name ends in {suffix}, but the content is not compressed")

    def _refuse_rest(self, compression: Compression) -> NoReturn:
        """Refuse what follows the end of a stream."""
        byte = self.n_read - len(self.waiting)
        other = next((one.name for one in COMPRESSIONS if one.magic.match(self.waiting)), None)
        if other:
            raise UserError(
                f"{self.path}: is compressed with {compression.name} up to byte {byte}, then with {other};"
                f" split it there into two files"
            )
        if not self._has_more_than_blanks():
            raise UserError(f"{self.path}: has blank lines after the compressed data; cut it off at byte {byte}")
        self._refuse(f"the data from byte {byte} on, after the end of a stream, are not {compression.name}")

    def _has_more_than_blanks(self) -> bool:
        """Read to the end; tell whether more than white space is left."""
        rest = self.waiting
        while not rest.strip() and rest:
            rest = self._read_file(BYTES_PER_READ)
        return bool(rest)

    def _read_file(self, limit: int) -> bytes:
        try:
            block = self.file.read(limit)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror}); check the file") from error
        self.n_read += len(block)
        return block

    def _fill(self, n_bytes: int) -> None:
        """Wait for ``n_bytes`` of the file, or for its end: a pipe hands them on as they come."""
        while len(self.waiting) < n_bytes and (block := self._read_file(BYTES_PER_READ)):
            self.waiting += block

    def _read_head(self) -> bytes:
        head = b""
        while len(head) < BYTES_OF_HEAD and (content := self._read_some(BYTES_OF_HEAD - len(head))):
            head += content
        return head

    def _read_some(self, limit: int) -> bytes:
        """Return some bytes of the content, none at its end; at most ``limit``, or what a step of zstd gives."""
        if self.compression is None:
            content, self.waiting = self.waiting[:limit] or self._read_file(limit), self.waiting[limit:]
            return content
        try:
            return self._decompress(self.compression, limit)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
            self._refuse(error)

    def _decompress(self, compression: Compression, limit: int) -> bytes:
        content = b""
        while not content:
            if self.decompressor is None:
                if not self._find_stream(compression):
                    break
                self.decompressor = compression.start()
            block = b""
            if self.decompressor.needs_input:
                block, self.waiting = self.waiting or self._read_file(BYTES_PER_READ), b""
                if not block:
                    self._refuse(f"it ends in the middle of a {compression.name} stream")
            content = self.decompressor.decompress(block, limit)
            if self.decompressor.eof:
                self.waiting, self.decompressor = self.decompressor.unused_data + self.waiting, None
        return content

    def _find_stream(self, compression: Compression) -> bool:
        """Skip the padding; tell whether another stream follows, or the file ends. Refuse anything else."""
        self._fill(BYTES_OF_MAGIC)
        n_padding = 0
        while compression.padding and self.waiting.startswith(b"\0"):
            rest = self.waiting.lstrip(b"\0")
            n_padding += len(self.waiting) - len(rest)
            self.waiting = rest
            self._fill(BYTES_OF_MAGIC)
        byte = self.n_read - len(self.waiting)
        if n_padding and n_padding % compression.padding:
            self._refuse(f"{n_padding} bytes of padding before byte {byte}, not a multiple of {compression.padding}")
        if self.waiting and not compression.magic.match(self.waiting):
            self._refuse_rest(compression)
        return bool(self.waiting)


class Stream(io.BufferedReader):
    """The decompressed bytes of a file.

    Attributes:
        path: the file, which errors name.
        compression: ``gzip``, ``bzip2``, ``xz``, ``zstd``, or empty for none.
        head: the first bytes, at most ``BYTES_OF_HEAD``; reading still starts at byte 0.
    """

    def __init__(self, path: Path, file: Any):
        content = _Content(path, file)
        super().__init__(content, BYTES_PER_READ)
        self.path, self.head = path, content.head
        self.compression = content.compression.name if content.compression else ""


def open_compressed(path: Path) -> Stream:
    """Open a file, once, for reading its decompressed content; a pipe is as good as a file.

    Raises:
        UserError: the file cannot be opened or, here or when it is read, it is truncated or damaged.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({error.strerror}); check the name and the permissions") from error
    try:
        return Stream(path, file)
    except BaseException:
        file.close()
        raise


# ------------------------------------------------------------------------------------------------- what is no text

DOCUMENT = "save it as plain text, in UTF-8"
UNPACK = "unpack it and name the folder"
TO_UTF8 = "convert it to UTF-8"
# Files that people mistake for text: their first bytes, what they are, what to do.
BINARIES: list[tuple[bytes, str, str]] = [
    (b"PK\x03\x04", "a zip archive, as .docx, .odt and .epub files are too", f"{UNPACK}, or {DOCUMENT}"),
    (b"PK\x05\x06", "an empty zip archive", "name another file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a rar archive", UNPACK),
    (b"%PDF-", "a PDF", f"{DOCUMENT} (pdftotext does)"),
    (b"{\\rtf1", "an RTF document", DOCUMENT),
    (b"%!PS-Adobe-", "a PostScript document", DOCUMENT),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document", DOCUMENT),
    (b"\x04\x22\x4d\x18", "compressed with lz4, which is not supported", "decompress it"),
    (b"LZIP\x01", "compressed with lzip, which is not supported", "decompress it"),
    (b"\x5d\0\0", "compressed with the old lzma format, which is not supported", "decompress it, or convert it to xz"),
    (b"\x1f\x9d", "compressed with Unix compress, which is not supported", "decompress it"),
    (b"PAR1\x15", "a Parquet table", "set format: parquet, and text_column to the column that holds the text"),
    (b"SQLite format 3\0", "an SQLite database", "export its text"),
    (b"\xff\xfe\0\0", "UTF-32", TO_UTF8),
    (b"\0\0\xfe\xff", "UTF-32", TO_UTF8),
    (b"\xff\xfe", "UTF-16", TO_UTF8),
    (b"\xfe\xff", "UTF-16", TO_UTF8),
]
# Control characters, which text has at most by accident. Form feeds, escapes and Ctrl-Z are common, so not among them.
CONTROLS = bytes(byte for byte in range(0x20) if byte not in b"\t\n\v\f\r\x1a\x1b") + b"\x7f"
MOST_CONTROLS = 0.05
FEWEST_NULS = 0.02  # of the bytes of UTF-16 that is UTF-8 too: in Russian, those of the spaces
# UTF-16 text is mostly letters, in few blocks of 256 characters: Chinese has the most, about 82.
MOSTLY_LETTERS, MOST_BLOCKS = 0.6, 100


def refuse_binary(stream: Stream) -> None:
    """Refuse, by the first bytes of its content, a file that is no UTF-8 text; say what it is.

    Raises:
        UserError: it is an archive, an office document, an image, in UTF-16 …
    """
    found = _name_binary(stream.head)
    if found:
        what, mend = found
        within = f", inside {stream.compression}" if stream.compression else ""
        raise UserError(f"{stream.path}: is {what}{within}; {mend}")


def _name_binary(head: bytes) -> tuple[str, str] | None:
    """Return what a file is that begins with ``head``, and the mend; None for text."""
    for beginning, what, mend in BINARIES:
        if head.startswith(beginning):
            return what, mend
    for compression in COMPRESSIONS:
        if compression.magic.match(head):
            return f"compressed with {compression.name}", "decompress it once"
    if _is_tar(head[: tarfile.BLOCKSIZE]):
        return "a tar archive", UNPACK
    wide = _name_wide(head)
    if wide:
        return wide
    if b"\0" in head:
        return _name_nuls(head)
    if len(head.translate(None, CONTROLS)) < (1 - MOST_CONTROLS) * len(head):
        return "not text (too many control characters)", "leave it out"
    return None


def _looks_like_text(head: bytes) -> bool:
    """Tell whether a file that begins with ``head`` is UTF-8 text; its last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return _name_binary(head) is None


def _name_wide(head: bytes) -> tuple[str, str] | None:
    """Return that a file is UTF-16 without a byte-order mark if it is no UTF-8, but mostly letters in UTF-16."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        if head.count(0) < FEWEST_NULS * len(head):
            return None
    except UnicodeDecodeError:
        pass
    best = 0.0
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = head[: len(head) // 2 * 2].decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(head) - 4:
                continue
            text = head[: error.start].decode(encoding)
        # In Latin-1 or another encoding of single bytes, two letters make a character from anywhere, but no space.
        scripts = Counter(ord(character) >> 8 for character in text if character.isalpha())
        if any(space in text for space in (" ", "\n", "\u3002", "\uff0c")) and len(scripts) <= MOST_BLOCKS:
            best = max(best, sum(map(str.isalpha, text)) / len(text))
    return ("UTF-16 without a byte-order mark", TO_UTF8) if best > MOSTLY_LETTERS else None


def _is_tar(block: bytes) -> bool:
    """Tell whether a block is the header of a tar archive, by its checksum, which the oldest ones have too."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return block[257:262] == b"ustar"
    return True


def _name_nuls(head: bytes) -> tuple[str, str]:
    """Return what a file with NUL bytes is; letters of most languages have theirs at one place of UTF-16 or UTF-32."""
    whole = head[: len(head) // 4 * 4]
    for width, name in ((4, "UTF-32"), (2, "UTF-16")):
        places = [whole[place::width] for place in range(width)]
        shares = sorted(place.count(0) / max(len(place), 1) for place in places)
        if shares[-1] > 0.5 and shares[0] < 0.1 and (width == 2 or shares[1] > 0.5):
            return f"{name} without a byte-order mark", TO_UTF8
    return f"not text, or not UTF-8 (byte {head.find(0)} is NUL)", f"{TO_UTF8}, or leave it out"


def decode(data: bytes, path: Path | str, offset: int = 0) -> str:
    """Decode UTF-8 that begins at byte ``offset`` of the decompressed file, without the byte-order mark at byte 0.

    Raises:
        UserError: a byte is not UTF-8, or is NUL, which no text has; the message names the byte.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {offset + error.start} is not UTF-8; convert the file to UTF-8") from error
    if "\0" in text:
        byte = offset + data.index(0)
        raise UserError(f"{path}: byte {byte} is NUL, which text never has; remove it, or leave the file out")
    return text if offset else text.removeprefix(BOM)
