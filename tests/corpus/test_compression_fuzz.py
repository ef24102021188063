"""A damaged compressed file, or archive of labelled texts, gives the same content or one line that names the file.

Of what these tests damage, everything has a checksum. ``NATURAL_SPARSITY_FUZZ_EXAMPLES`` sets the number of examples.
"""

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from natural_sparsity.corpus.labelled import Text, read_ag_news, read_imdb
from natural_sparsity.corpus.streams import open_compressed
from natural_sparsity.errors import UserError

fuzz = settings(
    max_examples=int(os.getenv("NATURAL_SPARSITY_FUZZ_EXAMPLES", "150")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
PIECES = [
    b"\0",
    bytes(4),
    bytes(512),
    b"\x1f\x8b\x08",
    b"BZh91AY&SY",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"\x50\x2a\x4d\x18",
]


Content = TypeVar("Content")


def outcome(path: Path, read: Callable[[Path], Content]) -> Content | None:
    """What ``read`` makes of the file; None if it is refused, in one line that names the file."""
    try:
        return read(path)
    except UserError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
        return None


def read_bytes(path: Path) -> bytes:
    with open_compressed(path) as stream:
        return stream.read()


def flip(data: bytes, bit: int) -> bytes:
    byte, mask = bit // 8 % len(data), 1 << bit % 8
    return data[:byte] + bytes([data[byte] ^ mask]) + data[byte + 1 :]


# ------------------------------------------------------------------------------------------- files of several streams

streams = st.lists(
    st.one_of(st.binary(max_size=40), st.integers(0, 9).map(lambda n: b"text\n" * n)), min_size=1, max_size=4
)
places = st.integers(0, 1 << 16)
pieces = st.one_of(st.sampled_from(PIECES), st.binary(min_size=1, max_size=8))


@fuzz
@given(st.sampled_from(sorted(COMPRESS)), streams, st.lists(st.integers(1, 50)))
def test_streams_are_read_one_after_the_other(
    tmp_path: Path, suffix: str, contents: list[bytes], sizes: list[int]
) -> None:
    """Otherwise the tests below would see only refusals."""
    path = tmp_path / f"file{suffix}"
    path.write_bytes(b"".join(map(COMPRESS[suffix], contents)))
    with open_compressed(path) as stream:
        assert b"".join([*map(stream.read, sizes), stream.read()]) == b"".join(contents)


@fuzz
@given(st.sampled_from(sorted(COMPRESS)), streams, places)
def test_a_flipped_bit(tmp_path: Path, suffix: str, contents: list[bytes], bit: int) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(flip(b"".join(map(COMPRESS[suffix], contents)), bit))
    assert outcome(path, read_bytes) in (None, b"".join(contents))


@fuzz
@given(st.sampled_from(sorted(COMPRESS)), streams, places, pieces, st.booleans())
def test_bytes_that_are_inserted_or_appended(
    tmp_path: Path, suffix: str, contents: list[bytes], place: int, piece: bytes, append: bool
) -> None:
    path = tmp_path / f"file{suffix}"
    whole = b"".join(map(COMPRESS[suffix], contents))
    place = len(whole) if append else place % len(whole)
    path.write_bytes(whole[:place] + piece + whole[place:])
    assert outcome(path, read_bytes) in (None, b"".join(contents))


@fuzz
@given(st.sampled_from(sorted(COMPRESS)), streams, places, st.integers(1, 9), st.booleans())
def test_a_cut(tmp_path: Path, suffix: str, contents: list[bytes], place: int, length: int, end: bool) -> None:
    """Only a file that ends with one of its streams cannot be told from a whole one."""
    path = tmp_path / f"file{suffix}"
    packed = list(map(COMPRESS[suffix], contents))
    whole, ends = b"".join(packed), list(accumulate(map(len, packed)))
    place %= len(whole)
    rest = b"" if end else whole[place + length :]
    path.write_bytes(whole[:place] + rest)
    if rest:
        assert outcome(path, read_bytes) in (None, b"".join(contents))
    elif place not in ends:
        assert outcome(path, read_bytes) is None


# ------------------------------------------------------------------------------------------ archives of labelled texts


def reviews() -> bytes:
    """A tar archive of 24 film reviews."""
    generator = random.Random(0)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(24):
            split, label = ("train", "test")[number % 2], ("neg", "pos")[number // 2 % 2]
            member = tarfile.TarInfo(f"aclImdb/{split}/{label}/{number}_7.txt")
            text = f"{split} {label}: {generator.choices(range(100), k=20)}".encode()
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return buffer.getvalue()


ARCHIVE = reviews()


def read_reviews(path: Path) -> list[Text]:
    return list(read_imdb([path], Counter()))


@pytest.mark.parametrize("suffix", COMPRESS)
def test_150_bits_of_a_compressed_archive(tmp_path: Path, suffix: str) -> None:
    """Of 150 such archives, version 0.2 took 134 with other or fewer texts."""
    path, packed = tmp_path / f"reviews.tar{suffix}", COMPRESS[suffix](ARCHIVE)
    path.write_bytes(packed)
    whole = read_reviews(path)
    assert len(whole) == 24
    refused = 0
    for bit in random.Random(0).sample(range(8 * len(packed)), 150):
        path.write_bytes(flip(packed, bit))
        result = outcome(path, read_reviews)
        assert result in (None, whole), bit
        refused += result is None
    assert refused > 140  # the others are in the time, the name or the system of gzip's header


@pytest.mark.parametrize("suffix", COMPRESS)
def test_cuts_and_additions_of_a_compressed_archive(tmp_path: Path, suffix: str) -> None:
    path, packed = tmp_path / f"reviews.tar{suffix}", COMPRESS[suffix](ARCHIVE)
    for length in random.Random(0).sample(range(len(packed)), 100):
        path.write_bytes(packed[:length])
        assert outcome(path, read_reviews) is None, length
    for rest in (b"x", packed[:20], packed):
        path.write_bytes(packed + rest)
        assert outcome(path, read_reviews) is None


def test_cuts_and_flips_of_an_archive_that_is_not_compressed(tmp_path: Path) -> None:
    """Its headers have checksums, its texts have none."""
    path = tmp_path / "reviews.tar"
    path.write_bytes(ARCHIVE)
    whole = read_reviews(path)
    for length in random.Random(0).sample(range(len(ARCHIVE)), 150):
        path.write_bytes(ARCHIVE[:length])
        assert outcome(path, read_reviews) in (None, whole), length
    for bit in random.Random(0).sample(range(8 * len(ARCHIVE)), 150):
        path.write_bytes(flip(ARCHIVE, bit))
        texts = outcome(path, read_reviews)
        # The labels are in the names; at most one text has another letter.
        assert texts is None or [text[:2] for text in texts] == [text[:2] for text in whole], bit


# ------------------------------------------------------------------------------------------------------------- tables

ROWS = '"1","Title","A text, with ""quotes"" é"\r\n"4","T","two\nlines"\n2,plain,text\n'.encode()


@fuzz
@given(
    st.integers(0, len(ROWS)),
    st.integers(0, 6),
    st.one_of(st.binary(max_size=4), st.sampled_from(['"', ",", "\r", "²"]).map(str.encode)),
)
@example(0, 0, b"")
@example(1, 1, "²".encode())
@example(1, 1, b"0")
def test_damaged_topics(tmp_path: Path, place: int, cut: int, piece: bytes) -> None:
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_bytes(ROWS)
    (tmp_path / "train.csv").write_bytes(ROWS[:place] + piece + ROWS[place + cut :])
    texts = outcome(tmp_path / "train.csv", lambda path: list(read_ag_news([path, tmp_path / "test.csv"], Counter())))
    assert texts is None or {label for _, label, _ in texts} <= {0, 1, 2, 3}
    if ROWS[:place] + piece + ROWS[place + cut :] == ROWS:
        assert texts is not None and len(texts) == 6
