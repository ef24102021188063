"""Read documents from a file or folder in any supported format.

Everything is read as a stream, and each file is opened once: memory is bounded by the largest document, whatever the
size of the corpus, and a pipe is as good as a file.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from natural_sparsity import registry
from natural_sparsity.corpus.readers import text
from natural_sparsity.corpus.readers.base import Account, Document, Options, find_first_line
from natural_sparsity.corpus.streams import PARQUET, Stream, open_compressed, refuse_binary
from natural_sparsity.errors import UserError

FORMATS = ["auto", *registry.FORMATS]
# Formats whose lines may be the rows of a Parquet file.
OF_ROWS = {"parquet", "lines", "wikitext"}
# Files that often lie in a folder of texts and belong to none.
ODD = re.compile(
    r"(read.?me|licen[cs]e|copying|copyright|changelog|changes|contributing|authors|credits|notice|makefile|manifest"
    r"|index|contents|metadata|checksums|(md5|sha\d+)sums?|_success)\b.*"
    r"|.*\.(log|err|html?|ya?ml|toml|ini|cfg|py|sh|bib|md5|sha1|sha256|bak|tmp|part|orig)(\.(gz|bz2|xz|zst))?"
    r"|.*~",
    re.IGNORECASE,
)
TABLE = re.compile(r"\.[ct]sv(\.(gz|bz2|xz|zst))?$", re.IGNORECASE)
# Names of files whose content should not be plain text.
NAMED = re.compile(r"\.(jsonl?|ndjson|parquet|xml)(\.(gz|bz2|xz|zst))?$", re.IGNORECASE)
# Formats that take any text, markup and all.
OF_TEXT = {"text", "lines", "wikitext"}


def read_documents(
    path: Path, format: str = "auto", options: Options | None = None, account: Account | None = None
) -> Iterator[Document]:
    """Yield the documents of a file, or of all but the hidden files in a folder and its subfolders, sorted by path.

    A plain-text file is split into documents at its blank lines; in a folder, each plain-text file is one document.

    Args:
        path: a file, a pipe or a folder. Files may be compressed, in any format.
        format: one of ``FORMATS``; ``auto`` looks at the first bytes of each file.
        options: how to read formats that leave a choice.
        account: counts what is skipped, and collects what a user should know.

    Raises:
        UserError: there is no such file, or a file is damaged, not UTF-8 or not in its format; the message names the
            file and the byte offset in the decompressed file.
    """
    options, account = options or Options(), account or Account()
    if options.tokenised and options.line_breaks == "join":
        raise UserError("line_breaks: join contradicts tokenised, with which each line is a sentence; leave one out")
    if format not in FORMATS:
        raise UserError(f"format {format!r}: choose one of {', '.join(FORMATS)}")
    if not str(path).isprintable():
        raise UserError(f"{str(path)!r}: the name has characters that cannot be printed; rename it")
    if not path.is_dir():
        yield from read_file(path, format, options, account)
        return
    files = sorted(list_files(path, {os.path.realpath(path)}, account))
    to_judge = options.line_breaks == "auto" and not options.tokenised
    wrapped = text.find_majority(read_heads(files, format)) if to_judge else None
    for file in files:
        relative = file.relative_to(path).as_posix()
        if not relative.isprintable():
            raise UserError(f"{path}: the name {relative!r} has characters that cannot be printed; rename it")
        if ODD.fullmatch(file.name):
            account.remark(relative, "read like the other files; move it elsewhere if it is not part of the corpus")
        yield from read_file(file, format, options, account, relative, wrapped)


def expand(path: Path) -> list[Path]:
    """List the files that are read for a path: itself, or those in the folder."""
    return sorted(list_files(path, {os.path.realpath(path)}, Account())) if path.is_dir() else [path]


def read_heads(files: list[Path], format: str) -> Iterator[bytes]:
    """Yield the first bytes of those files that are plain text; what is wrong with others shows when they are read."""
    if format not in ("auto", "text"):
        return
    for file in files:
        with suppress(UserError), open_compressed(file) as stream:
            if format == "text" or find_format(stream) == "text":
                yield stream.head


def list_files(folder: Path, above: set[str], account: Account) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders; follow links and skip hidden files and folders."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{str(folder)!r}: cannot be read ({error.strerror})") from error
    for entry in entries:
        if entry.name.startswith("."):
            account.skipped["hidden"] += 1
            account.remark(ascii(entry.name)[1:-1], "hidden, so skipped")
            continue
        target = os.path.realpath(entry)
        if entry.is_file():
            yield entry
        elif entry.is_dir():
            if target in above:
                raise UserError(f"{str(entry)!r}: a link to a folder that contains it; remove it")
            yield from list_files(entry, above | {target}, account)
        else:
            reason = "neither a file nor a folder" if entry.exists() else "a broken link"
            raise UserError(f"{str(entry)!r}: {reason}; remove it")


def read_file(
    path: Path,
    format: str,
    options: Options,
    account: Account,
    relative: str | None = None,
    wrapped: bool | None = None,
) -> Iterator[Document]:
    """Yield the documents of a file.

    ``relative`` is its path in the folder that was asked for; ``wrapped`` is whether most files there are hard-wrapped.
    """
    with open_compressed(path) as stream:
        if format not in (*OF_ROWS, "auto") or not stream.head.startswith(PARQUET):
            refuse_binary(stream)
        found = recognise(stream.head)
        format = find_format(stream) if format == "auto" else format
        refuse_other_format(stream, format, found)
        if format != "mediawiki" and found != "parquet":
            refuse_old_lines(stream)
        account.count_file(relative or str(path), ", ".join(filter(None, (format, stream.compression))))
        if remark := find_doubt(path.name, format, found):
            account.remark(relative or path.name, remark)
        reader = registry.load(registry.FORMATS[format])
        # In a folder, a plain-text file is one document.
        whole = relative is not None and hasattr(reader, "read_whole")
        documents = (
            reader.read_whole(stream, relative, options, account, wrapped)
            if whole
            else reader.read(stream, options, account)
        )
        document = None
        for document in documents:
            yield document
        if document is None:
            account.remark(relative or path.name, "holds no documents")


def find_format(stream: Stream) -> str:
    """Return a file's format, judged by its first bytes; ``text`` if they are not markup.

    Raises:
        UserError: the file begins with some other markup, whose tags would be tokenised if it were taken for text.
    """
    if format := recognise(stream.head):
        return format
    registry.load(registry.FORMATS["json"]).refuse_other_json(stream)
    start = find_first_line(stream.head).lstrip()
    if re.match(r"<(?!unk>)[a-z!?/]", start, re.IGNORECASE):
        raise UserError(
            f"{stream.path}: begins with {start[:30]!r}, as no known format does; set format instead of auto"
        )
    return "text"


def recognise(head: bytes) -> str | None:
    """Return the format that a file begins as; None for plain text and unknown markup."""
    for format, module in registry.FORMATS.items():
        fits = getattr(registry.load(module), "recognise", None)
        if fits and fits(head):
            return format
    return None


def refuse_other_format(stream: Stream, format: str, found: str | None) -> None:
    """Raise :class:`UserError` if a file, which begins as the format ``found``, cannot be read in its ``format``."""
    is_json = found in ("json", "wikiextractor") and find_first_line(stream.head).lstrip().startswith("{")
    fits = found == format or format in OF_TEXT or (is_json and format in ("json", "wikiextractor"))
    if format == "parquet" and found is None:
        found = "text"
    if found and not fits:
        raise UserError(f"{stream.path}: is {found}, not {format}; set format: {found}")


def refuse_old_lines(stream: Stream) -> None:
    """Raise :class:`UserError` if lines end in CR alone, as on old Macs."""
    if b"\r" in stream.head and b"\n" not in stream.head:
        raise UserError(f"{stream.path}: its lines end in CR alone; convert them with tr '\\r' '\\n'")


def find_doubt(name: str, format: str, found: str | None) -> str | None:
    """Say why a file that is read as plain text or lines may be something else; None if nothing shows it."""
    rows_are_lines = found == "json" and format != "text"
    if format in OF_TEXT and found in ("mediawiki", "wikiextractor", "json") and not rows_are_lines:
        return f"looks like {found}, but is read as {format}: its markup becomes words; set format: {found}"
    if format != "text":
        return None
    if TABLE.search(name):
        return "a table by its name, but read as plain text; convert it to JSON Lines or Parquet (text_column)"
    if match := NAMED.search(name):
        return f"named .{match[1]}, but read as plain text, which it looks like; check that it is the right file"
    return None
