"""Read documents from a corpus in any supported format: MediaWiki dumps, WikiExtractor's output, plain text.

Everything is read as a stream: memory is bounded by the largest document, whatever the size of the corpus.
"""

import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from xml.parsers import expat

import zstandard

from natural_sparsity.errors import UserError

FORMATS = ["auto", "mediawiki", "wikiextractor", "text"]
Markup = Literal["mediawiki", "none"]
BYTES_PER_READ = 1 << 16
BYTES_PER_ZSTD_STEP = 256  # compressed: at most 64 blocks of 4 bytes, which expand to 128 KiB each, 8 MiB in all
BYTES_TO_SNIFF = 1024
# Limit for a document and for one step of a parser: no page of a wiki has a hundredth of it.
MAX_BYTES = 1 << 26
MAX_DEPTH = 50
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Document:
    """One document. Its ``id``, and so its split, does not depend on other documents."""

    id: str
    title: str
    text: str
    markup: Markup


# ---------------------------------------------------------------------------------------------------------- streams


class _Zstd(io.RawIOBase):
    """A zstd file of one or more frames; unlike zstandard's own reader, it notices a truncated frame."""

    def __init__(self, path: Path):
        # As if the frame had been fed, since an empty file is not a zstd file.
        self.file, self.frame, self.fed, self.buffer = path.open("rb"), self._start_frame(), True, memoryview(b"")

    def _start_frame(self) -> Any:
        return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self.buffer:
            if self.frame.eof:
                block, self.frame, self.fed = self.frame.unused_data, self._start_frame(), False
            else:
                block = b""
            block = block or self.file.read(BYTES_PER_ZSTD_STEP)
            if not block:
                if self.fed:
                    raise EOFError("the compressed file ends within a frame")
                return 0
            self.buffer, self.fed = memoryview(self.frame.decompress(block)), True
        n_bytes = min(len(target), len(self.buffer))
        target[:n_bytes] = self.buffer[:n_bytes]
        self.buffer = self.buffer[n_bytes:]
        return n_bytes

    def close(self) -> None:
        self.file.close()
        super().close()


class _Checked(io.RawIOBase):
    """A stream whose errors name its file."""

    def __init__(self, path: Path, inner: Any):
        self.path, self.inner = path, inner

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        try:
            return self.inner.readinto(target)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
            raise UserError(
                f"{self.path}: truncated or damaged ({error}); delete it, then download or create it again"
            ) from error

    def close(self) -> None:
        self.inner.close()
        super().close()


OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _Zstd}


def open_compressed(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed if its suffix is ``.gz``, ``.bz2``, ``.xz`` or ``.zst``.

    Raises:
        UserError: the file cannot be opened, or, when it is read, is truncated or damaged.
    """
    opener = OPENERS.get(path.suffix.lower(), lambda path: path.open("rb"))
    try:
        return io.BufferedReader(_Checked(path, opener(path)), BYTES_PER_READ)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({error.strerror})") from error


def _decode(line: bytes, path: Path, offset: int) -> str:
    """Decode UTF-8 from byte ``offset`` of the decompressed file."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {offset + error.start} is not UTF-8; convert the file to UTF-8") from error


def _too_large(path: Path, offset: int, what: str) -> UserError:
    return UserError(f"{path}: byte {offset}: {what} of more than {MAX_BYTES >> 20} MiB; split it")


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (byte offset, line without its end) of a UTF-8 file; only ``\\n`` and ``\\r\\n`` end a line."""
    with open_compressed(path) as stream:
        offset = 0
        while line := stream.readline(MAX_BYTES + 1):
            if len(line) > MAX_BYTES:
                raise _too_large(path, offset, "a line")
            text = _decode(line, path, offset)
            yield offset, (text if offset else text.removeprefix("\ufeff")).rstrip("\r\n")
            offset += len(line)


# ---------------------------------------------------------------------------------------------------------- formats


def read_documents(path: Path, format: str = "auto", skipped: Counter[str] | None = None) -> Iterator[Document]:
    """Yield the documents of a file, or of all but the hidden files in a folder and its subfolders, sorted by path.

    A plain-text file is split into documents at its blank lines; in a folder, each plain-text file is one document.

    Args:
        path: a file or a folder. The suffix tells the compression, for every format.
        format: one of ``FORMATS``; ``auto`` looks at the first bytes of each file.
        skipped: counts the entries that are not documents, by reason.

    Raises:
        UserError: there is no such file, or a file is damaged, not UTF-8 or not in its format; the message names the
            file and the byte offset in the decompressed file.
    """
    if format not in FORMATS:
        raise UserError(f"format {format!r}: choose one of {', '.join(FORMATS)}")
    skipped = Counter() if skipped is None else skipped
    if not path.is_dir():
        yield from _read_file(path, format, skipped, None)
        return
    for file in sorted(_list_files(path, {path.resolve()})):
        relative = file.relative_to(path).as_posix()
        if not relative.isprintable():
            raise UserError(f"{path}: the name {relative!r} has characters that cannot be printed; rename it")
        yield from _read_file(file, format, skipped, relative)


def _list_files(folder: Path, above: set[Path]) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders; follow links and skip hidden files and folders."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from error
    for entry in entries:
        target = entry.resolve()
        if target.is_file():
            yield entry
        elif target.is_dir():
            if target in above:
                raise UserError(f"{entry}: a link to a folder that contains it; remove it")
            yield from _list_files(entry, above | {target})
        else:
            reason = "neither a file nor a folder" if target.exists() else "a link to nothing"
            raise UserError(f"{str(entry)!r}: {reason}; remove it")


def _read_file(path: Path, format: str, skipped: Counter[str], relative: str | None) -> Iterator[Document]:
    format = sniff(path) if format == "auto" else format
    if format == "mediawiki":
        yield from _read_mediawiki(path, skipped)
    elif format == "wikiextractor":
        yield from _read_wikiextractor(path, skipped)
    elif relative is None:
        yield from _read_paragraphs(path)
    else:
        with open_compressed(path) as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _too_large(path, 0, "a document")
        text = _decode(content, path, 0).removeprefix("\ufeff")
        if text.strip():
            yield Document(relative, Path(relative).name, text, "none")
        else:
            skipped["empty"] += 1


def sniff(path: Path) -> str:
    """Return a file's format, judged by its first bytes; ``text`` if they are not markup.

    Raises:
        UserError: the file begins with some other markup, whose tags would be tokenised if it were taken for text.
    """
    with open_compressed(path) as stream:
        start = stream.read(BYTES_TO_SNIFF).removeprefix(BOM).lstrip()
    if re.match(rb"<(\?xml|!DOCTYPE|mediawiki)\b", start):
        return "mediawiki"
    if re.match(rb'(?:<root>\s*)?<doc id="|\{\s*"(id|revid|url|title|text)"\s*:', start):
        return "wikiextractor"
    if re.match(rb"<[A-Za-z!?/]|[{\[]\s*\"", start):
        beginning = start[:30].decode(errors="replace").splitlines()[0]
        raise UserError(f"{path}: begins with {beginning!r}, which is no known format; name its format instead of auto")
    return "text"


class _MediaWiki:
    """Handlers of the XML parser, which keep only the current page."""

    FIELDS = {"page/title": "title", "page/ns": "ns", "page/id": "id", "page/revision/text": "text"}

    def __init__(self, path: Path, skipped: Counter[str]):
        self.path, self.skipped = path, skipped
        self.stack: list[str] = []
        self.fields: dict[str, list[str]] = {}
        self.field: list[str] | None = None
        self.redirect = False
        self.size = 0  # of the current field, in characters
        self.documents: list[Document] = []

    def start(self, name: str, _: dict[str, str]) -> None:
        if not self.stack and name != "mediawiki":
            raise UserError(f"{self.path}: the XML is <{name}>, not a <mediawiki> dump; name the right format")
        self.stack.append(name)
        if len(self.stack) > MAX_DEPTH:
            raise UserError(f"{self.path}: elements nested deeper than {MAX_DEPTH}; this is not a MediaWiki dump")
        if len(self.stack) == 2:
            self.fields, self.redirect = {}, False
        elif name == "redirect" and len(self.stack) == 3:
            self.redirect = True
        key = self.FIELDS.get("/".join(self.stack[1:])) if len(self.stack) < 5 else None
        self.field, self.size = ([] if key else None), 0
        if key and self.field is not None:
            self.fields[key] = self.field  # in a page with its history, the last and newest text stays

    def data(self, data: str) -> None:
        if self.field is not None:
            self.field.append(data)
            self.size += len(data)

    def end(self, name: str) -> None:
        self.stack.pop()
        self.field = None
        if name != "page" or len(self.stack) != 1:
            return
        page = {key: "".join(parts) for key, parts in self.fields.items()}
        missing = [key for key in ("title", "id") if not page.get(key)]
        if missing:
            raise UserError(
                f"{self.path}: a page has no {missing[0]} (title {page.get('title')!r}); the dump is damaged"
            )
        if page.get("ns", "0") != "0":
            self.skipped["other namespace"] += 1
        elif self.redirect:
            self.skipped["redirect"] += 1
        elif not page.get("text", "").strip():
            self.skipped["empty"] += 1
        else:
            self.documents.append(Document(page["id"], page["title"], page["text"], "mediawiki"))

    def doctype(self, *_: object) -> None:
        raise UserError(f"{self.path}: has a DOCTYPE, which may declare entities; no MediaWiki dump has one")


def _read_mediawiki(path: Path, skipped: Counter[str]) -> Iterator[Document]:
    """Yield the pages of the main namespace, without redirects and empty pages."""
    # Given here, the encoding overrides any declaration in the file.
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    handlers = _MediaWiki(path, skipped)
    parser.StartElementHandler, parser.EndElementHandler = handlers.start, handlers.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = handlers.data, handlers.doctype
    with open_compressed(path) as stream:
        block, fed = None, 0
        while block != b"":
            block = stream.read(BYTES_PER_READ)
            fed += len(block)
            try:
                parser.Parse(block, not block)
            except expat.ExpatError as error:
                reason = expat.errors.messages[error.code]
                at = parser.ErrorByteIndex
                raise UserError(f"{path}: byte {at}: {reason}; the dump is damaged or not UTF-8") from error
            if max(handlers.size, fed - parser.CurrentByteIndex) > MAX_BYTES:
                raise _too_large(path, fed, "a page or tag")
            yield from handlers.documents
            handlers.documents.clear()


def _read_wikiextractor(path: Path, skipped: Counter[str]) -> Iterator[Document]:
    """Yield the documents of ``<doc id= url= title=>`` … ``</doc>``, or of JSON lines with id, title and text."""
    header: re.Match[str] | None = None
    started = 0
    body: list[str] = []
    for offset, line in _read_lines(path):
        if header is None and line.startswith("{"):
            document = _parse_json(line, path, offset)
        elif header is None:
            line = re.sub(r"</?root>", "", line)  # around documents that a tool wrapped into well-formed XML
            header, started = re.fullmatch(r'<doc id="([^"]*)".*? title="(.*)">\s*', line), offset
            if header is None and line.strip():
                raise UserError(f'{path}: byte {offset}: expected <doc id="…" url="…" title="…"> or a JSON object')
            continue
        elif line.strip() != "</doc>":
            if line.startswith('<doc id="'):
                raise UserError(f"{path}: byte {offset}: the document before has no </doc>; the file is damaged")
            if offset - started > MAX_BYTES:
                raise _too_large(path, started, "a document")
            body.append(line)
            continue
        else:
            document = _make_document(header[1], header[2], body)
            header, body = None, []
        if document.text:
            yield document
        else:
            skipped["empty"] += 1
    if header is not None:
        raise UserError(f"{path}: byte {started}: this document has no </doc>; the file is truncated")


def _make_document(id_: str, title: str, lines: list[str]) -> Document:
    """Make a document of WikiExtractor's, which escapes ``<``, ``>`` and ``&`` and has the title on its first line."""
    title, lines = html.unescape(title), [html.unescape(line) for line in lines]
    if lines and lines[0].strip() == title:
        lines = lines[1:]
    return Document(id_, title, "\n".join(lines).strip(), "none")


def _parse_json(line: str, path: Path, offset: int) -> Document:
    try:
        value = json.loads(line)
        if "\\u" in line:
            json.dumps(value, ensure_ascii=False).encode()  # fails for a lone surrogate, which UTF-8 cannot hold
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: byte {offset}: not a JSON object ({error})") from error
    for key in ("id", "text"):
        if not isinstance(value.get(key), str | int):
            raise UserError(f"{path}: byte {offset}: the JSON object has no {key!r}")
    return _make_document(str(value["id"]), str(value.get("title", "")), str(value["text"]).split("\n"))


def _read_paragraphs(path: Path) -> Iterator[Document]:
    """Yield documents separated by blank lines."""
    paragraph: list[str] = []
    size = 0
    for offset, line in _read_lines(path):
        size = size + len(line) if paragraph else 0
        if size > MAX_BYTES:
            raise _too_large(path, offset, "a document without a blank line,")
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield _join_lines(paragraph)
            paragraph = []
    if paragraph:
        yield _join_lines(paragraph)


def _join_lines(lines: list[str]) -> Document:
    text = "\n".join(lines)
    return Document(hash_text(text), "", text, "none")


def hash_text(text: str) -> str:
    """Make the id of a document that has only its text; equal texts share the id and so the split."""
    return hashlib.sha1(text.encode()).hexdigest()[:16]
