"""WikiExtractor's output: ``<doc id= url= title=>`` … ``</doc>``, or its JSON lines."""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from natural_sparsity.corpus.readers.base import BOM, Account, Document, Options, check_size, name_wiki, read_lines
from natural_sparsity.corpus.readers.json_lines import parse_object
from natural_sparsity.corpus.readers.rows import make_row
from natural_sparsity.corpus.streams import Stream
from natural_sparsity.errors import UserError

START = '<doc id="'


class Header(NamedTuple):
    """The attributes in the first line of a document; ``url`` may be empty."""

    id: str
    url: str
    title: str


def recognise(head: bytes) -> bool:
    """Tell whether a file begins as WikiExtractor's do; its JSON has the address of a page by number."""
    start = head.removeprefix(BOM).lstrip()
    if re.match(rb'(?:<root>\s*)?<doc id="', start):
        return True
    line = start.partition(b"\n")[0]
    return line.startswith(b"{") and re.search(rb'"revid"\s*:|"url"\s*:\s*"[^"]*\?curid=', line) is not None


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield the documents that are not empty."""
    path = stream.path
    header: Header | None = None
    wiki: str | None = None
    started = 0
    body: list[str] = []
    for number, (offset, line) in enumerate(read_lines(stream), 1):
        if header is None and line.startswith("{"):
            place = f"line {number}, byte {offset}"
            fields = parse_object(line, path, place)
            row = make_row(fields, "text", path, place)
            if row.id is None:
                raise UserError(f"{path}: {place}: the JSON object has no 'id'; set format: json")
            wiki = wiki or name_wiki(str(fields.get("url", "")))
            document = clean(row.id, row.title, row.text.split("\n"))
        elif header is None:
            if "root>" in line:
                line = re.sub(r"</?root>", "", line)  # around documents that a tool wrapped into well-formed XML
            header, started = read_header(line), offset
            if header is None and line.strip():
                raise UserError(f'{path}: byte {offset}: expected <doc id="…" title="…"> or a JSON object; correct it')
            continue
        elif line.strip() != "</doc>":
            if line.startswith(START):
                raise UserError(f"{path}: byte {offset}: the document before has no </doc>; extract the dump again")
            check_size(offset - started, path, started, "a document")
            body.append(line)
            continue
        else:
            wiki = wiki or name_wiki(header.url)
            document = clean(header.id, header.title, body)
            header, body = None, []
        if document.text:
            yield Document(account.make_id(document.id, wiki), document.title, document.text)
        else:
            account.skipped["empty"] += 1
    if header is not None:
        raise UserError(f"{path}: byte {started}: this document has no </doc>; extract the dump again")


def read_header(line: str) -> Header | None:
    """Parse the first line of a document, whose title may contain quotation marks; return None for any other line."""
    line = line.rstrip()
    if not line.startswith(START) or not line.endswith('">'):
        return None
    id_, _, rest = line.removeprefix(START).removesuffix('">').partition('"')
    before, found, title = rest.partition(' title="')
    url, closed, _ = before.partition(' url="')[2].partition('"')
    return Header(id_, url if closed else "", title) if found else None


def clean(id_: str, title: str, lines: list[str]) -> Document:
    """Undo what WikiExtractor does: it escapes ``<``, ``>`` and ``&``, and repeats the title on the first line."""
    title, lines = html.unescape(title), [html.unescape(line) for line in lines]
    if lines and lines[0].strip() == title:
        lines = lines[1:]
    return Document(id_, title, "\n".join(lines).strip())
