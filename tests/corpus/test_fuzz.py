"""Readers under random and randomly damaged input give documents, or one line that names the file.

``NATURAL_SPARSITY_FUZZ_EXAMPLES`` sets the number of examples per test; failures from long runs are kept below as
examples.
"""

import bz2
import gzip
import lzma
import os
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from natural_sparsity.corpus.markup import plain_text
from natural_sparsity.corpus.readers import FORMATS, read_documents
from natural_sparsity.errors import UserError

fuzz = settings(
    max_examples=int(os.getenv("NATURAL_SPARSITY_FUZZ_EXAMPLES", "150")),
    deadline=None,
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
SEEDS = [text.encode() for text in (XML, DOC, JSON, TEXT)]
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


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid file with bytes removed, inserted, repeated or changed."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 60)))
        put = draw(
            st.one_of(st.just(b""), st.sampled_from(PIECES), st.binary(max_size=4), st.just(data[start:stop] * 2))
        )
        data = data[:start] + put + data[stop:]
    return data


def outcome(path: Path, format: str) -> list[str]:
    """Return the documents' texts; check that all can be written, or that the error is one line naming the file."""
    skipped = Counter[str]()
    try:
        documents = list(read_documents(path, format, skipped))
    except UserError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
        return []
    for document in documents:
        assert document.id and document.text.strip()
        (document.id + document.title + document.text).encode()
    return [document.text for document in documents]


@fuzz
@given(damaged(), st.sampled_from(FORMATS))
@example(b'{"id": 1, "text": "\\ud800"}', "wikiextractor")
def test_damaged_files(tmp_path: Path, data: bytes, format: str) -> None:
    (tmp_path / "file").write_bytes(data)
    outcome(tmp_path / "file", format)


@fuzz
@given(st.binary(max_size=400), st.sampled_from(FORMATS))
def test_any_bytes(tmp_path: Path, data: bytes, format: str) -> None:
    (tmp_path / "file").write_bytes(data)
    outcome(tmp_path / "file", format)


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


@fuzz
@given(st.sampled_from(sorted(COMPRESS)), st.integers(0), st.binary(max_size=5), st.integers(0, 5))
def test_damaged_compression(tmp_path: Path, suffix: str, place: int, put: bytes, cut: int) -> None:
    """A damaged file never gives other documents: the formats carry checksums, including our zstd files."""
    whole = DOC.encode()
    if suffix == ".zst":
        packed = zstandard.ZstdCompressor(write_checksum=True).compress(whole)
    else:
        packed = COMPRESS[suffix](whole)
    place %= len(packed) + 1
    path = tmp_path / f"file{suffix}"
    path.write_bytes(packed[:place] + put + packed[place + cut :])
    assert outcome(path, "wikiextractor") in ([], ["a <b> é"])


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


@pytest.mark.parametrize("data", SEEDS)
def test_seeds_are_valid_files(tmp_path: Path, data: bytes) -> None:
    """Otherwise the tests above would see only refusals."""
    (tmp_path / "file").write_bytes(data)
    assert outcome(tmp_path / "file", "auto")
