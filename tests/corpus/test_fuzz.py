"""Readers under random and randomly damaged input give documents, or one line that names the file.

``NATURAL_SPARSITY_FUZZ_EXAMPLES`` sets the number of examples per test; failures from long runs are kept below as
examples.
"""

import bz2
import gzip
import io
import lzma
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from natural_sparsity.corpus.markup import plain_text
from natural_sparsity.corpus.readers.base import Account, Options
from natural_sparsity.corpus.readers.read import FORMATS, read_documents
from natural_sparsity.errors import UserError

fuzz = settings(
    max_examples=int(os.getenv("NATURAL_SPARSITY_FUZZ_EXAMPLES", "150")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
XML = (
    "<?xml version='1.0'?><mediawiki version='0.11'><siteinfo/><page><title>A &amp; B</title><ns>0</ns><id>1</id>"
    "<revision><id>9</id><text xml:space='preserve'>one ''two'' [[three|3]] &lt;ref&gt;x&lt;/ref&gt; {{a|b}} é</text>"
    "</revision></page><page><title>R</title><id>2</id><redirect title='A'/><revision><text>x</text></revision></page>"
    "</mediawiki>"
)
DOC = '<doc id="12" url="u" title="A &amp; B">\nA & B\n\na &lt;b&gt; é\n</doc>\n<doc id="13" title="">\n\n</doc>\n'
JSON = '{"id": "1", "title": "A", "text": "A\\n\\u00e9 \\ud83d\\ude42"}\n{"id": 2, "text": ""}\n'
TEXT = "one\ntwo\r\n\r\n\ufeffthree\u2028four\n\n"
OLD_XML = (
    "<mediawiki><siteinfo><dbname>w</dbname><namespaces><namespace key='1'>Talk</namespace></namespaces></siteinfo>"
    "<page><title>Talk:A</title><id>1</id><revision><text>x</text></revision></page><page><title>B</title><id>2</id>"
    "<revision><timestamp>2020</timestamp><text>new</text></revision><revision><timestamp>2019</timestamp>"
    "<text deleted='deleted' /></revision></page></mediawiki>"
)
ROWS = '{"_id": 3, "text": " = A = \\n"}\n{"text": "\\udc00 x"}\n{"title": null, "text": null}\n'
WIKITEXT = " = A = \n \n one @-@ two . \n \n = = B = = \n \n three \n \n = C = \n \n four é \n"
WRAPPED = "These lines are all about as long as each other is,\nso that they look as if they were wrapped by some\n" * 3
SEEDS = [text.encode() for text in (XML, DOC, JSON, TEXT, OLD_XML, ROWS, WIKITEXT, WRAPPED)]
PARTS = [
    "<",
    ">",
    "</",
    "/>",
    "&#0;",
    "&#x110000;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "<?",
    "\0",
    "\ud7ff",
    "\ufffe",
    "\u2028",
    "\r",
]
PARTS += [
    "<page>",
    "</page>",
    "<text>",
    "</mediawiki>",
    '<doc id="',
    "</doc>",
    '{"id":',
    "\\ud800",
    "1e999",
    "null",
    "[",
    "\\",
]
PIECES = [part.encode() for part in PARTS] + [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1f\x8b"]


def make_parquet(*texts: str | None) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": range(len(texts)), "text": list(texts)}), buffer, write_page_checksum=True)
    return buffer.getvalue()


PARQUET = make_parquet("one é", None, " = A = \n", "two\nthree")
OPTIONS = [Options(), Options(lines_per_document=1, line_breaks="join"), Options(tokenised=True, line_breaks="keep")]


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes] = SEEDS) -> bytes:
    """A valid file with bytes removed, inserted, repeated or changed."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 60)))
        put = draw(
            st.one_of(st.just(b""), st.sampled_from(PIECES), st.binary(max_size=4), st.just(data[start:stop] * 2))
        )
        data = data[:start] + put + data[stop:]
    return data


def outcome(path: Path, format: str, options: Options = OPTIONS[0], account: Account | None = None) -> list[str] | None:
    """Return the documents' texts, or None for a refusal; check that all can be written, or that the error is one line
    naming the file.
    """
    account = account or Account()
    try:
        documents = list(read_documents(path, format, options, account))
    except UserError as error:
        assert str(path) in str(error) and str(error).isprintable()
        return None
    for document in documents:
        assert document.id and document.text.strip()
        (document.id + document.title + document.text).encode()
    assert all(note.isprintable() for note in account.notes)
    return [document.text for document in documents]


@fuzz
@given(damaged(), st.sampled_from(FORMATS), st.sampled_from(OPTIONS))
@example(b'{"id": 1, "text": "\\ud800"}', "wikiextractor", OPTIONS[0])
def test_damaged_files(tmp_path: Path, data: bytes, format: str, options: Options) -> None:
    (tmp_path / "file").write_bytes(data)
    outcome(tmp_path / "file", format, options)


@fuzz
@given(damaged([PARQUET]), st.sampled_from(["auto", "parquet", "lines", "wikitext"]))
def test_damaged_parquet(tmp_path: Path, data: bytes, format: str) -> None:
    (tmp_path / "file").write_bytes(data)
    outcome(tmp_path / "file", format)


@fuzz
@given(st.lists(st.sampled_from([*SEEDS, PARQUET]) | damaged(), max_size=4), st.sampled_from(FORMATS))
def test_a_folder_gives_what_its_files_give(tmp_path: Path, contents: list[bytes], format: str) -> None:
    """Or a refusal, if one of them is refused; and the account is theirs together. A plain text is one document."""
    folder = tmp_path / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    expected: list[str] | None = []
    alone, together = Account(), Account()
    for i, content in enumerate(contents):
        path = folder / f"{i}.dat"
        path.write_bytes(content)
        account = Account()
        texts = outcome(path, format, OPTIONS[2], account)
        if account.formats["text"] and texts is not None:
            texts = [content.decode().removeprefix("\ufeff")] if texts else []
            account.skipped["empty"] += not texts
        expected = None if expected is None or texts is None else expected + texts
        alone.skipped += account.skipped
        alone.formats += account.formats
    assert outcome(folder, format, OPTIONS[2], together) == expected
    if expected is not None:
        assert (together.skipped, together.formats) == (alone.skipped, alone.formats)


@fuzz
@given(st.binary(max_size=400), st.sampled_from(FORMATS))
def test_any_bytes(tmp_path: Path, data: bytes, format: str) -> None:
    (tmp_path / "file").write_bytes(data)
    outcome(tmp_path / "file", format)


COMPRESS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
DOCUMENTS = [f'<doc id="{i}" url="u" title="T">\nT\n\nText {i}.\n</doc>\n'.encode() for i in range(3)]


@fuzz
@given(st.sampled_from(sorted(COMPRESS)), st.integers(0), st.binary(max_size=5), st.integers(0, 5), st.booleans())
def test_damaged_compression(tmp_path: Path, name: str, place: int, put: bytes, cut: int, suffix: bool) -> None:
    """A damaged file, of three streams here, never gives other documents: the formats carry checksums."""
    packed = b"".join(map(COMPRESS[name], DOCUMENTS))
    place %= len(packed) + 1
    path = tmp_path / (f"file.{name}" if suffix else "file")
    path.write_bytes(packed[:place] + put + packed[place + cut :])
    texts = outcome(path, "wikiextractor")
    # A cut between two streams leaves a valid file, since no format says how many there are.
    assert texts is None or texts == [f"Text {i}." for i in range(3)] or cut_between_streams(packed, path, name)


def cut_between_streams(packed: bytes, path: Path, name: str) -> bool:
    """Tell whether a file is some of the streams, whole."""
    streams = [COMPRESS[name](document) for document in DOCUMENTS]
    return path.read_bytes() in [b"".join(streams[:n]) for n in range(3)]


@fuzz
@given(
    st.lists(
        st.sampled_from([*PARTS[:9], "{{", "}}", "[[", "]]", "{|", "|}", "|", "'''", "==", "\n", "*", "a", " ", ":"])
    )
)
def test_any_markup(parts: list[str]) -> None:
    lines = plain_text("".join(parts)).split("\n")
    assert all(line == line.strip() for line in lines)
    assert not any(mark in line for line in lines for mark in ("[[", "{{"))


@pytest.mark.parametrize("data", [*(seed for seed in SEEDS if b"= A =" not in seed[:40]), WIKITEXT.encode()])
def test_seeds_are_valid_files(tmp_path: Path, data: bytes) -> None:
    """Otherwise the tests above would see only refusals."""
    (tmp_path / "file").write_bytes(data)
    assert outcome(tmp_path / "file", "auto")


@pytest.mark.parametrize("data", [PARQUET, ROWS.encode()])
def test_seeds_of_rows_are_valid_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert outcome(tmp_path / "file", "wikitext", OPTIONS[2])
