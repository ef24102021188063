"""What holds for every format: compressions, folders, pipes, damage, bounded memory.

What a format means is in test_formats.py and test_dumps.py.
"""

import bz2
import hashlib
import html
import os
import re
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from wiki_pages import mediawiki, page

from natural_sparsity.corpus.readers.base import Account, Document, Options
from natural_sparsity.corpus.readers.read import find_format, read_documents
from natural_sparsity.corpus.streams import open_compressed
from natural_sparsity.errors import UserError

Write = Callable[[Path, bytes], Path]
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
WIKIEXTRACTOR_JSON = (
    b'{"id": "12", "revid": "1", "url": "u", "title": "A", "text": "A\\na &lt;b&gt; \\u00e9"}\n\n'
    b'{"id": 13, "title": "B", "text": ""}\n{"id": 14, "title": "C", "text": "C is"}\n'
)
JSON_LINES = b'{"text": "one &lt; \\u00e9\\ntwo"}\n\n{"id": 7, "title": "B", "text": "eight"}\n{"text": null}\n'
WIKITEXT = " = One @-@ A = \n \n Text é . \n \n = = Part = = \n \n more \n \n = Two = \n \n Second . \n".encode()
TEXT = "\n\nfirst é\nline\n \n\t\nsecond\r\n\r\nthird\u2028still".encode()


def hashed(text: str, title: str = "") -> Document:
    """A document without an id of its own."""
    return Document(hashlib.sha1(text.encode()).hexdigest()[:16], title, text, "none")


EXPECTED = {
    "mediawiki": [
        Document("1", "A & B", "one &amp; '''two''' < é", "mediawiki"),
        Document("5", "T", "five\n\n[[six]]", "mediawiki"),
    ],
    "wikiextractor": [
        Document("12", '"Heroes" & more', "a <b> & é\nsecond", "none"),
        Document("14", "No head", "body", "none"),
    ],
    "wikiextractor, json": [Document("12", "A", "a <b> é", "none"), Document("14", "C", "C is", "none")],
    "json": [hashed("one &lt; é\ntwo"), Document("7", "B", "eight", "none")],
    "wikitext": [hashed("Text é .\nmore", "One-A"), hashed("Second .", "Two")],
    # printf 'second' | sha1sum, and so on
    "text": [hashed("first é\nline"), Document("352f7829a2384b00", "", "second", "none"), hashed("third\u2028still")],
}
DATA = {
    "mediawiki": MEDIAWIKI,
    "wikiextractor": WIKIEXTRACTOR,
    "wikiextractor, json": WIKIEXTRACTOR_JSON,
    "json": JSON_LINES,
    "wikitext": WIKITEXT,
    "text": TEXT,
}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read(path: Path, format: str = "auto", account: Account | None = None, **options: object) -> list[Document]:
    return list(read_documents(path, format, Options(**options), account))  # type: ignore[arg-type]


def sniff(path: Path) -> str:
    with open_compressed(path) as stream:
        return find_format(stream)


@pytest.mark.parametrize("form", DATA)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_every_format_in_every_compression(compressed: Write, tmp_path: Path, form: str, bom: bytes) -> None:
    path = compressed(tmp_path / "corpus", bom + DATA[form])
    name = form.partition(",")[0]
    assert sniff(path) == name
    assert read(path, name) == EXPECTED[form]
    assert read(path) == EXPECTED[form]


@pytest.mark.parametrize("form", DATA)
def test_a_pipe_is_as_good_as_a_file(tmp_path: Path, form: str) -> None:
    """It can be opened once only, and hands on its bytes as they come."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def feed() -> None:
        with path.open("wb", buffering=0) as pipe:
            for start in range(0, len(DATA[form]), 50):
                pipe.write(DATA[form][start : start + 50])

    writer = threading.Thread(target=feed, daemon=True)
    writer.start()
    assert read(path) == EXPECTED[form]
    writer.join()


def test_standard_input_gives_every_document(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from natural_sparsity.corpus.readers.read import read_documents;"
        "texts = [document.text for document in read_documents(Path('/dev/stdin'))];"
        "print(texts == [f'Text {i}.' for i in range(9999)])"
    )
    texts = "".join(f"Text {i}.\n\n" for i in range(9999))
    done = subprocess.run([sys.executable, "-c", code], input=texts, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_skipped_entries_and_formats_are_counted(compressed: Write, tmp_path: Path) -> None:
    path = compressed(tmp_path / "x", MEDIAWIKI)
    account = Account()
    assert len(read(path, account=account)) == 2
    assert account.skipped == {"redirect": 1, "other namespace": 1, "empty": 1}
    names = {".gz": "mediawiki, gzip", ".bz2": "mediawiki, bzip2", ".xz": "mediawiki, xz", ".zst": "mediawiki, zstd"}
    assert account.formats == {names.get(path.suffix, "mediawiki"): 1}


# ---------------------------------------------------------------------------------------------------------- folders


def test_a_folder_is_read_in_order_without_hidden_files(compressed: Write, tmp_path: Path) -> None:
    for name, text in {"b/2": "two\n\nstill two", "a/1": "one", "a/0": " \n", ".hidden": "x", "b/.git/x": "y"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path = compressed(tmp_path / name, text.encode())
    suffix = path.suffix
    account = Account()
    documents = [(document.id, document.title, document.text) for document in read(tmp_path, "text", account)]
    assert documents == [(f"a/1{suffix}", f"1{suffix}", "one"), (f"b/2{suffix}", f"2{suffix}", "two\n\nstill two")]
    assert account.skipped == {"hidden": 2, "empty": 1}
    assert f".hidden{suffix}, .git: hidden, so skipped" in account.notes
    assert f"a/0{suffix}: holds no documents" in account.notes


def test_a_folder_may_mix_formats(tmp_path: Path) -> None:
    """A dump and what WikiExtractor made of it are of one wiki."""
    (tmp_path / "wiki_00").write_bytes(WIKIEXTRACTOR)
    (tmp_path / "wiki_01.xml").write_bytes(
        MEDIAWIKI.replace(b"<sitename>", b"<base>https://x/Main_Page</base><sitename>")
    )
    (tmp_path / "wiki_02.txt").write_bytes(b"plain")
    account = Account()
    assert [document.id for document in read(tmp_path, account=account)] == ["12", "14", "1", "5", "wiki_02.txt"]
    assert account.formats == {"wikiextractor": 1, "mediawiki": 1, "text": 1}


@pytest.mark.parametrize("odd", ["README", "README.md", "LICENSE.txt", "run.log", "run.log.gz", "index.txt", "a.txt~"])
def test_what_may_not_belong_to_a_corpus_is_read_and_named(tmp_path: Path, odd: str) -> None:
    for name in ("a.txt", "b.txt", odd):
        (tmp_path / name).write_bytes(bz2.compress(b"Text.") if name.endswith(".gz") else b"Text.")
    account = Account()
    assert len(read(tmp_path, account=account)) == 3
    assert [note for note in account.notes if "not part" in note] == [
        f"{odd}: read like the other files; move it elsewhere if it is not part of the corpus"
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.TSV.gz"])
def test_a_table_that_is_read_as_text_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bz2.compress(b"a,b") if name.endswith(".gz") else b"a,b")
    for path in (tmp_path, tmp_path / name):
        account = Account()
        assert [document.text for document in read(path, account=account)] == ["a,b"]
        assert account.notes[0].startswith(f"{name}: a table by its name, but read as plain text")


def test_of_many_files_a_note_names_the_first(tmp_path: Path) -> None:
    for i in range(9):
        (tmp_path / f"{i}.log").write_text("x")
    account = Account()
    read(tmp_path, account=account)
    assert account.notes[0].startswith("0.log, 1.log, 2.log and 6 more files: read like")


@pytest.mark.parametrize(
    "binary", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"a\0b", "text".encode("utf-16-le"), b"PK\x03\x04.."]
)
def test_a_stray_binary_stops_a_folder(tmp_path: Path, binary: bytes) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    (tmp_path / "b").write_bytes(binary)
    for format in ("auto", "text", "lines", "wikitext", "json"):
        with pytest.raises(UserError, match=r"/b: is "):
            read(tmp_path / "b", format)
    with pytest.raises(UserError, match=r"/b: is "):
        read(tmp_path)


# ----------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("form", DATA)
@pytest.mark.parametrize("ahead", [0, 1, 200_000])
def test_the_offset_of_a_byte_that_is_not_utf8(compressed: Write, tmp_path: Path, form: str, ahead: int) -> None:
    markers = {"mediawiki": b"five", "wikiextractor": b"body", "wikiextractor, json": b"C is", "json": b"eight"}
    marker = {**markers, "wikitext": b"more", "text": b"second"}[form]
    data = DATA[form].replace(marker, marker + "é".encode() * ahead + b"\xe9!")
    path = compressed(tmp_path / "corpus", data)
    with pytest.raises(UserError, match=f"corpus.*: byte {data.index(marker) + len(marker) + 2 * ahead}\\b"):
        read(path)


@pytest.mark.parametrize("form", DATA)
def test_a_nul_byte_is_refused_wherever_it_is(compressed: Write, tmp_path: Path, form: str) -> None:
    for ahead in (0, 200_000):
        data = DATA[form][:-20] + b" " * ahead + b"\0" + DATA[form][-20:]
        with pytest.raises(UserError, match=r"corpus.*(NUL|not well-formed)"):
            read(compressed(tmp_path / "corpus", data))


def test_the_offset_in_a_file_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"abc\n\n\xff")
    with pytest.raises(UserError, match=r"x\.txt: byte 5 is not UTF-8"):
        read(tmp_path)


@pytest.mark.parametrize("form", DATA)
def test_truncated_or_damaged_compression_names_the_file(compressed: Write, tmp_path: Path, form: str) -> None:
    path = compressed(tmp_path / "corpus", DATA[form])
    whole = path.read_bytes()
    assert read(path) == EXPECTED[form]
    if not path.suffix:
        return
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole + whole[:-5], b"no" + whole, whole + b"more"):
        with pytest.raises(UserError, match=r"corpus\.\w+: truncated or damaged"):
            read(write(path, damaged))


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
        (
            b'{"id": 1, "text": "x"}\n{"id": 2, "text": ',
            r"line 2, byte 23: not a JSON object \(column \d+: Expecting value\); correct or delete the line",
        ),
        (b'{"id": 1, "text": "x"}\n{"id": 2}', "byte 23: there is no 'text', only 'id'"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=f"corpus: .*{message}"):
        read(write(tmp_path / "corpus", data))


def test_the_format_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="format 'html'"):
        read(tmp_path, "html")


def test_text_may_begin_with_an_unknown_word(tmp_path: Path) -> None:
    assert [document.text for document in read(write(tmp_path / "a", b"<unk> is here ."))] == ["<unk> is here ."]


@pytest.mark.parametrize("start", ["<html><body>", "<article>", "<!-- x -->"])
def test_unknown_markup_is_not_taken_for_text(tmp_path: Path, start: str) -> None:
    path = tmp_path / "file"
    path.write_text(f"{start}\n\nSome text.\n")
    with pytest.raises(UserError, match="file: begins with .* set format instead of auto"):
        read(path)


# ------------------------------------------------------------------------------------------------------ real and large


def test_the_wikipedia_excerpt(dump: Path) -> None:
    account = Account()
    documents = read(dump, account=account)
    raw = bz2.decompress(dump.read_bytes()).decode()
    pages = re.findall("<page>.*?</page>", raw, re.DOTALL)
    articles = [page for page in pages if "<ns>0</ns>" in page and "<redirect " not in page]
    assert len(pages) == 206
    assert sum("<ns>0</ns>" in page for page in pages) == 205
    assert len(documents) == len(articles) == 205 - account.skipped["redirect"]
    assert account.skipped["other namespace"] == 1
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
        "lines": b"word word word word\n" * (size // 20),
        "wikitext": b" = Title = \n \n word word word \n \n" * (size // 34),
        "json": b'{"text": "word word word"}\n' * (size // 27),
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
    assert [(document.id, document.text) for document in read(path, "mediawiki")] == kept


def test_wikiextractor_within_a_root_element(tmp_path: Path) -> None:
    """As in published extractions: concatenated files, each in a root element, with the tag on a document's line."""
    doc = '<doc id="{0}" url="u" title="T{0}">\nT{0}\n\nText {0}.\n</doc>\n'
    path = tmp_path / "wiki"
    path.write_text("<root>" + doc.format(1) + "</root>\n<root>" + doc.format(2) + "</root>")
    for format in ("wikiextractor", "auto"):
        assert [document.text.strip() for document in read(path, format)] == ["Text 1.", "Text 2."]
