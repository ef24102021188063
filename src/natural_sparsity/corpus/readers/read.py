"""Read documents from a file or folder in any supported format.

Everything is read as a stream, and each file is opened once: memory is bounded by the largest document, whatever the
size of the corpus, and a pipe is as good as a file.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from natural_sparsity import registry
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
    if format not in FORMATS:
        raise UserError(f"format {format!r}: choose one of {', '.join(FORMATS)}")
    if not str(path).isprintable():
        raise UserError(f"{str(path)!r}: the name has characters that cannot be printed; rename it")
    if not path.is_dir():
        yield from read_file(path, format, options, account)
        return
    for file in sorted(list_files(path, {path.resolve()}, account)):
        relative = file.relative_to(path).as_posix()
        if not relative.isprintable():
            raise UserError(f"{path}: the name {relative!r} has characters that cannot be printed; rename it")
        if ODD.fullmatch(file.name):
            account.remark(relative, "read like the other files; move it elsewhere if it is not part of the corpus")
        yield from read_file(file, format, options, account, relative)


def list_files(folder: Path, above: set[Path], account: Account) -> Iterator[Path]:
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
        target = entry.resolve()
        if target.is_file():
            yield entry
        elif target.is_dir():
            if target in above:
                raise UserError(f"{str(entry)!r}: a link to a folder that contains it; remove it")
            yield from list_files(entry, above | {target}, account)
        else:
            reason = "neither a file nor a folder" if target.exists() else "a link to nothing"
            raise UserError(f"{str(entry)!r}: {reason}; remove it")


def read_file(
    path: Path, format: str, options: Options, account: Account, relative: str | None = None
) -> Iterator[Document]:
    """Yield the documents of a file; ``relative`` is its path in the folder that was asked for."""
    with open_compressed(path) as stream:
        format = find_format(stream) if format == "auto" else format
        if format not in OF_ROWS or not stream.head.startswith(PARQUET):
            refuse_binary(stream)
        account.count_file(relative or str(path), ", ".join(filter(None, (format, stream.compression))))
        if format == "text" and TABLE.search(path.name):
            remark = "a table by its name, but read as plain text; convert it to JSON Lines or Parquet (text_column)"
            account.remark(relative or path.name, remark)
        reader = registry.load(registry.FORMATS[format])
        # In a folder, a plain-text file is one document.
        whole = relative is not None and hasattr(reader, "read_whole")
        documents = (
            reader.read_whole(stream, relative, options, account) if whole else reader.read(stream, options, account)
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
    for format, module in registry.FORMATS.items():
        recognise = getattr(registry.load(module), "recognise", None)
        if recognise and recognise(stream.head):
            return format
    registry.load(registry.FORMATS["json"]).refuse_other_json(stream)
    start = find_first_line(stream.head).lstrip()
    if re.match(r"<(?!unk>)[a-z!?/]", start, re.IGNORECASE):
        raise UserError(
            f"{stream.path}: begins with {start[:30]!r}, as no known format does; set format instead of auto"
        )
    return "text"
