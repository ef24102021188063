"""MediaWiki's XML dumps: the articles, in their newest revision."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from natural_sparsity.corpus.readers.base import BOM, Account, Document, Options, check_size, name_wiki
from natural_sparsity.corpus.streams import BYTES_PER_READ, Stream
from natural_sparsity.errors import UserError

MAX_DEPTH = 50
# As MediaWiki reads it: what follows the link does not count.
REDIRECT = re.compile(r"#\s*redirect\s*+:?\s*+\[\[", re.IGNORECASE)
# In another language, the word may have two parts. A numbered list may begin so too, but it does not end there.
LOCAL_REDIRECT = re.compile(r"#[^\s\[\]#:*;]++(?: [^\s\[\]#:*;]++)?\s*+:?\s*+\[\[[^\[\]\n]++\]\](.*)", re.DOTALL)
# What pages that redirect may have besides: categories, templates, comments, switches.
MARGIN = re.compile(r"(?:\[\[[^\[\]]*\]\]|\{\{[^{}]*\}\}|<!--.*?-->|__\w+__|\s+)*+", re.DOTALL)


def recognise(head: bytes) -> bool:
    """Tell whether a file begins as an XML dump does."""
    return re.match(rb"<(\?xml|!DOCTYPE|mediawiki)\b", head.removeprefix(BOM).lstrip()) is not None


def read(stream: Stream, options: Options, account: Account) -> Iterator[Document]:
    """Yield the pages of the main namespace, without redirects and empty pages."""
    # Given here, the encoding overrides any declaration in the file.
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    handlers = _Handlers(stream.path, account)
    parser.StartElementHandler, parser.EndElementHandler = handlers.start, handlers.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = handlers.data, handlers.refuse_doctype
    block, fed = None, 0
    while block != b"":
        block = stream.read(BYTES_PER_READ)
        fed += len(block)
        try:
            parser.Parse(block, not block)
        except expat.ExpatError as error:
            reason = expat.errors.messages[error.code]
            at = parser.ErrorByteIndex
            raise UserError(f"{stream.path}: byte {at}: {reason}; the dump is damaged or not UTF-8") from error
        size = max(handlers.size, fed - parser.CurrentByteIndex)
        check_size(size, stream.path, fed, "a page or tag")
        yield from handlers.documents
        handlers.documents.clear()


class Revision(NamedTuple):
    """A version of a page."""

    timestamp: str
    text: str
    model: str
    n_bytes: str  # of the text, which some dumps leave out


class _Handlers:
    """Handlers of the XML parser, which keep only the current page and its newest revision."""

    FIELDS = {
        "siteinfo/base": "base",
        "siteinfo/dbname": "dbname",
        "siteinfo/namespaces/namespace": "namespace",
        "page/title": "title",
        "page/ns": "ns",
        "page/id": "id",
        "page/revision/timestamp": "timestamp",
        "page/revision/model": "model",
        "page/revision/text": "text",
    }

    def __init__(self, path: Path, account: Account):
        self.path, self.account = path, account
        self.wiki = path.name
        self.namespaces: set[str] = set()  # names of all but the main namespace
        self.stack: list[str] = []
        self.fields: dict[str, list[str]] = {}
        self.attributes: dict[str, dict[str, str]] = {}  # of the fields
        self.field: list[str] | None = None
        self.size = 0  # of the current field, in characters
        self.redirect = self.deleted = self.told = False
        self.newest: Revision | None = None
        self.documents: list[Document] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self.stack and name != "mediawiki":
            raise UserError(f"{self.path}: the XML is <{name}>, not a <mediawiki> dump; set the right format")
        self.stack.append(name)
        if len(self.stack) > MAX_DEPTH:
            raise UserError(
                f"{self.path}: not a MediaWiki dump (more than {MAX_DEPTH} nested elements); set another format"
            )
        if len(self.stack) == 2:
            self.fields, self.redirect, self.deleted, self.newest = {}, False, False, None
        elif name == "redirect" and len(self.stack) == 3:
            self.redirect = True
        key = self.FIELDS.get("/".join(self.stack[1:])) if len(self.stack) < 5 else None
        self.field, self.size = ([] if key else None), 0
        if key and self.field is not None:
            self.fields[key], self.attributes[key] = self.field, attributes

    def data(self, data: str) -> None:
        if self.field is not None:
            self.field.append(data)
            self.size += len(data)

    def end(self, name: str) -> None:
        self.stack.pop()
        self.field = None
        depth = len(self.stack)
        if name == "page" and depth == 1:
            self.end_page()
        elif name == "revision" and depth == 2:
            self.end_revision()
        elif name == "namespace" and depth == 3:
            self.end_namespace()
        elif name == "siteinfo" and depth == 1:
            self.wiki = name_wiki(self.take("base")) or self.take("dbname") or self.wiki

    def take(self, key: str) -> str:
        """Return the text of a field, and forget it."""
        return "".join(self.fields.pop(key, [])).strip()

    def end_namespace(self) -> None:
        name = self.take("namespace")
        if self.attributes.get("namespace", {}).get("key") != "0" and name:
            self.namespaces.add(normalise(name))

    def end_revision(self) -> None:
        """Keep the revision if it is the newest so far; of equally old ones, or without timestamps, the last."""
        attributes = self.attributes.pop("text", {})
        text = "".join(self.fields.pop("text", []))
        revision = Revision(self.take("timestamp"), text, self.take("model"), attributes.get("bytes", ""))
        if "deleted" in attributes:
            self.deleted = True
        elif self.newest is None or revision.timestamp >= self.newest.timestamp:
            self.newest = revision

    def end_page(self) -> None:
        title, id_, namespace = self.take("title"), self.take("id"), self.take("ns")
        if not title or not id_:
            missing = "id" if title else "title"
            raise UserError(f"{self.path}: a page has no {missing} (title {title!r}); get an undamaged dump")
        revision = self.newest or Revision("", "", "", "")
        reason = self.find_reason(title, namespace, revision)
        if reason:
            self.account.skipped[reason] += 1
        else:
            self.documents.append(Document(self.account.make_id(id_, self.wiki), title, revision.text, "mediawiki"))

    def find_reason(self, title: str, namespace: str, revision: Revision) -> str | None:
        """Return why a page is no article; None if it is one."""
        if not namespace:  # as in dumps before 2011
            namespace = self.find_namespace(title)
        if namespace != "0":
            return "other namespace"
        if self.redirect or is_redirect(revision.text):
            return "redirect"
        if revision.model not in ("", "wikitext"):
            return "other content model"
        if revision.text.strip():
            return None
        if self.deleted and self.newest is None:
            return "deleted"
        return "stub" if revision.n_bytes.strip("0") else "empty"

    def find_namespace(self, title: str) -> str:
        """Return the namespace of a page that does not say it: that of the prefix, if the dump lists it."""
        prefix, colon, _ = title.partition(":")
        if colon and not self.namespaces and not self.told:
            self.told = True
            remark = "it names no namespaces, so every page whose title has a colon counts as an article"
            self.account.remark(self.path.name, remark)
        return "other" if colon and normalise(prefix) in self.namespaces else "0"

    def refuse_doctype(self, *_: object) -> None:
        raise UserError(
            f"{self.path}: has a DOCTYPE, which no MediaWiki dump has and which may declare entities; delete it"
        )


def normalise(namespace: str) -> str:
    """Return a namespace's name as MediaWiki compares it."""
    return " ".join(namespace.replace("_", " ").split()).casefold()


def is_redirect(wikitext: str) -> bool:
    """Tell whether a page only leads to another, in whatever language; old dumps do not mark these pages."""
    wikitext = wikitext.lstrip()
    if not wikitext.startswith("#"):
        return False
    local = LOCAL_REDIRECT.match(wikitext)
    return bool(REDIRECT.match(wikitext) or (local and MARGIN.fullmatch(local[1])))
