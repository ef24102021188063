import bz2
import gzip
import hashlib
import html
import lzma
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from natural_sparsity.corpus.readers import Document, open_compressed, read_documents, sniff
from natural_sparsity.errors import UserError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
Write = Callable[[Path, bytes], Path]


def page(id_: int, text: str, title: str = "T", ns: int = 0, extra: str = "") -> str:
    return (
        f"<page><title>{escape(title)}</title><ns>{ns}</ns><id>{id_}</id>{extra}<revision><id>99{id_}</id>"
        f"<contributor><username>U</username><id>7</id></contributor><text xml:space='preserve'>{escape(text)}</text>"
        "</revision></page>\n"
    )


def mediawiki(*pages: str) -> bytes:
    head = "<mediawiki version='0.11'><siteinfo><sitename>W</sitename></siteinfo>\n"
    return (head + "".join(pages) + "</mediawiki>\n").encode()


MEDIAWIKI = mediawiki(
    page(1, "one &amp; '''two''' < é", title="A & B"),
    page(2, "#REDIRECT [[A]]", extra="<redirect title='A' />"),
    page(3, "talk", ns=1),
    page(4, " \n"),
    page(5, "five\n\n[[six]]"),
)
WIKIEXTRACTOR = (
    '<doc id="12" url="https://x?curid=12" title="&quot;Heroes&quot; &amp; more">\n"Heroes" & more\n\n'
    "a &lt;b&gt; &amp; é\nsecond\n</doc>\n"
    '<doc id="13" revid="4" url="u" title="Quoted "title"">\nQuoted "title"\n\n</doc>\n'
    '<doc id="14" url="u" title="No head">\nbody\n</doc>\n'
).encode()
JSON_LINES = (
    b'{"id": "12", "revid": "1", "url": "u", "title": "A", "text": "A\\na &lt;b&gt; \\u00e9"}\n\n'
    b'{"id": 13, "title": "B", "text": ""}\n{"id": 14, "title": "C", "text": "C is"}\n'
)
TEXT = "\n\nfirst é\nline\n \n\t\nsecond\r\n\r\nthird\u2028still".encode()
EXPECTED = {
    "mediawiki": [
        Document("1", "A & B", "one &amp; '''two''' < é", "mediawiki"),
        Document("5", "T", "five\n\n[[six]]", "mediawiki"),
    ],
    "wikiextractor": [
        Document("12", '"Heroes" & more', "a <b> & é\nsecond", "none"),
        Document("14", "No head", "body", "none"),
    ],
    "json": [Document("12", "A", "a <b> é", "none"), Document("14", "C", "C is", "none")],
    # printf 'second' | sha1sum, and so on
    "text": [
        Document(hashlib.sha1("first é\nline".encode()).hexdigest()[:16], "", "first é\nline", "none"),
        Document("352f7829a2384b00", "", "second", "none"),
        Document(hashlib.sha1("third\u2028still".encode()).hexdigest()[:16], "", "third\u2028still", "none"),
    ],
}
DATA = {"mediawiki": MEDIAWIKI, "wikiextractor": WIKIEXTRACTOR, "json": JSON_LINES, "text": TEXT}


@pytest.mark.parametrize("form", DATA)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_every_format_in_every_compression(compressed: Write, tmp_path: Path, form: str, bom: bytes) -> None:
    path = compressed(tmp_path / "corpus", bom + DATA[form])
    name = "wikiextractor" if form == "json" else form
    assert sniff(path) == name
    assert list(read_documents(path, name)) == EXPECTED[form]
    assert list(read_documents(path, "auto")) == EXPECTED[form]


def test_skipped_entries_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(MEDIAWIKI)
    skipped = Counter[str]()
    assert len(list(read_documents(tmp_path / "x", "mediawiki", skipped))) == 2
    assert skipped == {"redirect": 1, "other namespace": 1, "empty": 1}


def test_a_folder_is_read_in_order_without_hidden_files(compressed: Write, tmp_path: Path) -> None:
    for name, text in {"b/2": "two\n\nstill two", "a/1": "one", "a/0": " \n", ".hidden": "x", "b/.git/x": "y"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path = compressed(tmp_path / name, text.encode())
    suffix = path.suffix
    documents = [(document.id, document.title, document.text) for document in read_documents(tmp_path, "text")]
    assert documents == [(f"a/1{suffix}", f"1{suffix}", "one"), (f"b/2{suffix}", f"2{suffix}", "two\n\nstill two")]


def test_a_folder_may_mix_formats(tmp_path: Path) -> None:
    (tmp_path / "wiki_00").write_bytes(WIKIEXTRACTOR)
    (tmp_path / "wiki_01.xml").write_bytes(MEDIAWIKI)
    (tmp_path / "wiki_02.txt").write_bytes(b"plain")
    assert [document.id for document in read_documents(tmp_path)] == ["12", "14", "1", "5", "wiki_02.txt"]


def test_of_a_history_the_newest_text_is_kept(tmp_path: Path) -> None:
    older_and_newer = page(1, "older").replace("</page>", "<revision><id>2</id><text>newer</text></revision></page>")
    (tmp_path / "x").write_bytes(mediawiki(older_and_newer))
    assert [document.text for document in read_documents(tmp_path / "x", "mediawiki")] == ["newer"]


@pytest.mark.parametrize("form", DATA)
@pytest.mark.parametrize("ahead", [0, 1, 200_000])
def test_the_offset_of_a_byte_that_is_not_utf8(compressed: Write, tmp_path: Path, form: str, ahead: int) -> None:
    marker = {"mediawiki": b"five", "wikiextractor": b"body", "json": b"C is", "text": b"second"}[form]
    data = DATA[form].replace(marker, marker + "é".encode() * ahead + b"\xe9!")
    path = compressed(tmp_path / "corpus", data)
    with pytest.raises(UserError, match=f"corpus.*: byte {data.index(marker) + len(marker) + 2 * ahead}\\b"):
        list(read_documents(path))


def test_the_offset_in_a_file_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"abc\n\n\xff")
    with pytest.raises(UserError, match=r"x\.txt: byte 5 is not UTF-8"):
        list(read_documents(tmp_path))


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("form", DATA)
def test_truncated_or_damaged_compression_names_the_file(tmp_path: Path, suffix: str, form: str) -> None:
    whole = COMPRESS[suffix](DATA[form])
    assert list(read_documents(write(tmp_path / f"whole{suffix}", whole))) == EXPECTED[form]
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole + whole[:-5], b"no" + whole):
        with pytest.raises(UserError, match=rf"bad\{suffix}: truncated or damaged"):
            list(read_documents(write(tmp_path / f"bad{suffix}", damaged)))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UserError, match=rf"none{suffix}: cannot be opened \(No such file"):
        open_compressed(tmp_path / f"none{suffix}")


@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=5), read=st.integers(1, 400))
def test_zstd_frames_are_read_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], read: int
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "frames.zst", b"".join(map(zstandard.compress, parts)))
    with open_compressed(path) as stream:
        assert b"".join(iter(lambda: stream.read(read), b"")) == b"".join(parts)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<!DOCTYPE mediawiki [<!ENTITY a 'b'>]>\n" + MEDIAWIKI, "DOCTYPE"),
        (b"<?xml version='1.0' encoding='utf-8'?><!DOCTYPE html><html/>", "DOCTYPE"),
        (b"<?xml version='1.0'?><feed></feed>", "<feed>, not a <mediawiki>"),
        (mediawiki(page(1, "x"))[:-5], f"byte {len(mediawiki(page(1, 'x'))) - 13}: unclosed token"),
        (mediawiki(page(1, "x"))[:-13], "no element found"),
        (mediawiki(page(1, "x")).replace(b"</text>", b"</txt>"), "byte 2[0-9][0-9]: mismatched tag"),
        (mediawiki(page(1, "x")).replace(b">x<", b">&y;<"), "undefined entity"),
        (mediawiki(page(1, "x")).replace(b"<id>1</id>", b""), "no id"),
        (
            "<?xml version='1.0' encoding='latin-1'?><mediawiki>é</mediawiki>".encode("latin-1"),
            "byte 51: not well-formed",
        ),
        (b'<doc id="1" url="" title="x">\nx\n', "byte 0: this document has no </doc>"),
        (b'<doc id="1" url="" title="x">\n<doc id="2" url="" title="x">\n</doc>', "byte 30: .*before has no </doc>"),
        (b'<doc id="1" url="" title="x">\n</doc>\nstray', 'byte 37: expected <doc id="'),
        (b'{"id": 1, "text": "x"}\n{"id": 2, "text": ', "byte 23: not a JSON object"),
        (b'{"id": 1, "text": "x"}\n{"id": 2}', "byte 23: .*no 'text'"),
        (b'{"id": 1, "text": "\\ud800"}', "byte 0: not a JSON object .*surrogates"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=f"corpus: .*{message}"):
        list(read_documents(write(tmp_path / "corpus", data)))


def test_the_format_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="format 'html'"):
        list(read_documents(tmp_path, "html"))


def test_the_wikipedia_excerpt(dump: Path) -> None:
    skipped = Counter[str]()
    documents = list(read_documents(dump, "auto", skipped))
    raw = bz2.decompress(dump.read_bytes()).decode()
    pages = re.findall("<page>.*?</page>", raw, re.DOTALL)
    articles = [page for page in pages if "<ns>0</ns>" in page and "<redirect " not in page]
    assert len(pages) == 206
    assert sum("<ns>0</ns>" in page for page in pages) == 205
    assert len(documents) == len(articles) == 205 - skipped["redirect"]
    assert skipped["other namespace"] == 1
    for document, article in zip(documents, articles, strict=True):
        assert article.startswith(f"<page>\n    <title>{html.escape(document.title, quote=False)}</title>")
        assert f"<id>{document.id}</id>" in article.split("<revision>")[0]
        text = re.search("<text[^>]*>(.*)</text>", article, re.DOTALL)
        assert text is not None
        assert document.text == html.unescape(text[1])


def test_memory_is_bounded_by_a_document(tmp_path: Path) -> None:
    size = 40_000_000
    data = {
        "mediawiki": mediawiki(*(page(i, "word " * 2000) for i in range(size // 10_000))),
        "wikiextractor": b'<doc id="1" url="" title="x">\nabc\n</doc>\n' * (size // 40),
        "text": b"word word word word\n\n" * (size // 21),
    }
    for format, content in data.items():
        path = write(tmp_path / f"{format}.zst", zstandard.compress(content))
        tracemalloc.start()
        n_documents = sum(1 for _ in zip(read_documents(path, format), range(3000), strict=False))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert n_documents == 3000
        assert peak < 12_000_000


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.integers(1, 99))))
def test_mediawiki_text_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, pages: list[tuple[str, int]]
) -> None:
    data = mediawiki(*(page(id_, text) for text, id_ in pages))
    path = write(tmp_path_factory.getbasetemp() / "pages.xml", data)
    kept = [(str(id_), text) for text, id_ in pages if text.strip()]
    assert [(document.id, document.text) for document in read_documents(path, "mediawiki")] == kept


def test_wikiextractor_within_a_root_element(tmp_path):
    """As in published extractions: concatenated files, each in a root element, with the tag on a document's line."""
    doc = '<doc id="{0}" url="u" title="T{0}">\nT{0}\n\nText {0}.\n</doc>\n'
    path = tmp_path / "wiki"
    path.write_text("<root>" + doc.format(1) + "</root>\n<root>" + doc.format(2) + "</root>")
    for format in ("wikiextractor", "auto"):
        assert [document.text.strip() for document in read_documents(path, format)] == ["Text 1.", "Text 2."]


@pytest.mark.parametrize("start", ["<html><body>", "<article>", '{"body": "x"}', '["a"]', "<!-- x -->"])
def test_unknown_markup_is_not_taken_for_text(tmp_path, start):
    path = tmp_path / "file"
    path.write_text(f"{start}\n\nSome text.\n")
    with pytest.raises(UserError, match="file: begins with .* name its format instead of auto"):
        list(read_documents(path, "auto"))
