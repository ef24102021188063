"""Text with one sentence per line, as the Penn Treebank and the One Billion Word benchmark have it."""

from collections.abc import Iterator

from natural_sparsity.corpus.readers import json_lines, parquet
from natural_sparsity.corpus.readers.base import (
    Account,
    Document,
    Options,
    check_size,
    make_document,
    read_lines,
)
from natural_sparsity.corpus.streams import Stream


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield documents, which end at a blank line or after ``lines_per_document`` lines."""
    block: list[str] = []
    size = 0
    for number, line in enumerate(list_lines(stream, options), 1):
        if line:
            block.append(line)
            size += len(line)
            check_size(size, stream.path, f"line {number}", "a document", "lower lines_per_document")
        if block and (not line or len(block) == options.lines_per_document):
            yield make_document("\n".join(block), "sentences")
            block, size = [], 0
    if block:
        yield make_document("\n".join(block), "sentences")


def list_lines(stream: Stream, options: Options) -> Iterator[str]:
    """Yield the lines of a text, stripped. The rows of JSON Lines or Parquet, as data sets are published, are lines."""
    for rows in (parquet, json_lines):
        if rows.recognise(stream.head):
            for row in rows.read_rows(stream, options.text_column):
                for line in row.text.rstrip().split("\n"):
                    yield line.strip()
            return
    for _, line in read_lines(stream):
        yield line.strip()
