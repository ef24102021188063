"""Compressed files are read to their last byte, pipes too, and what is no text is named."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from natural_sparsity.corpus.streams import BYTES_OF_HEAD, decode, open_compressed, refuse_binary
from natural_sparsity.errors import UserError

Compress = Callable[[bytes], bytes]
COMPRESS: dict[str, Compress] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst"}
every_compression = pytest.mark.parametrize("name", COMPRESS)
SKIPPABLE = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"


def read(path: Path) -> bytes:
    with open_compressed(path) as stream:
        return stream.read()


def refusal(path: Path) -> str:
    """The line that refuses a file; it names the file, which is left out."""
    with pytest.raises(UserError) as caught, open_compressed(path) as stream:
        refuse_binary(stream)
        decode(stream.read(), path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line.removeprefix(f"{path}: ")


# -------------------------------------------------------------------------------------------------- to the last byte


@every_compression
@pytest.mark.parametrize("file", ["dump", "dump.gz", "dump.bz2", "dump.txt"])
def test_the_content_tells_the_compression_whatever_the_name(tmp_path: Path, name: str, file: str) -> None:
    (tmp_path / file).write_bytes(COMPRESS[name](b"content"))
    with open_compressed(tmp_path / file) as stream:
        assert (stream.compression, stream.path, stream.head) == (name, tmp_path / file, b"content")
        assert stream.read() == b"content"


def test_a_file_that_is_not_compressed_is_read_as_it_is(tmp_path: Path) -> None:
    content = os.urandom(100) * 2000
    (tmp_path / "file").write_bytes(content)
    with open_compressed(tmp_path / "file") as stream:
        assert (stream.compression, stream.head) == ("", content[:BYTES_OF_HEAD])
        assert stream.read(5) + stream.readline() + stream.read() == content
    (tmp_path / "file").write_bytes(b"")
    assert read(tmp_path / "file") == b""


@every_compression
@pytest.mark.parametrize("size", [0, 1, BYTES_OF_HEAD, 3 * BYTES_OF_HEAD + 1])
def test_all_streams_of_a_file_are_read_empty_ones_too(tmp_path: Path, name: str, size: int) -> None:
    parts = [b"first", b"", os.urandom(size), b"", b"", b"a" * size, b"last"]
    (tmp_path / "file").write_bytes(b"".join(map(COMPRESS[name], parts)))
    with open_compressed(tmp_path / "file") as stream:
        assert stream.head == b"".join(parts)[:BYTES_OF_HEAD]
        assert stream.read() == b"".join(parts)


@pytest.mark.parametrize(
    ("name", "padding"),
    [("gzip", b"\0"), ("gzip", bytes(1 << 20)), ("xz", bytes(4)), ("xz", bytes(1 << 20)), ("zstd", SKIPPABLE)],
)
def test_padding_that_the_format_allows_is_accepted(tmp_path: Path, name: str, padding: bytes) -> None:
    one, two = COMPRESS[name](b"one"), COMPRESS[name](b"two")
    (tmp_path / "file").write_bytes(one + padding + two + padding)
    assert read(tmp_path / "file") == b"onetwo"


def test_zstd_may_begin_with_a_skippable_frame(tmp_path: Path) -> None:
    (tmp_path / "file.zst").write_bytes(SKIPPABLE + COMPRESS["zstd"](b"one"))
    assert read(tmp_path / "file.zst") == b"one"
    (tmp_path / "file.zst").write_bytes(COMPRESS["zstd"](b"one") + SKIPPABLE[:-1])
    assert "it ends in the middle of a zstd stream" in refusal(tmp_path / "file.zst")


@every_compression
@pytest.mark.parametrize("first", [b"one", os.urandom(BYTES_OF_HEAD).hex().encode()], ids=["short", "long"])
def test_nothing_after_a_stream_is_passed_over(tmp_path: Path, name: str, first: bytes) -> None:
    """The case that lost half of a dump: the first byte of the second stream is damaged."""
    compress, path = COMPRESS[name], tmp_path / f"file{SUFFIXES[name]}"
    one, two = compress(first), compress(b"two")
    damaged = bytes([two[0] ^ 1]) + two[1:]
    others = [damaged, b"junk", two[:3], two[:-1], one[len(one) // 2 :], b"\0junk", two + b"\0\0\0"]
    for rest in others:
        if (name, rest) != ("gzip", two + b"\0\0\0"):
            path.write_bytes(one + rest)
            assert refusal(path).startswith("truncated or damaged ("), rest
    path.write_bytes(one + damaged)
    expected = f"the data from byte {len(one)} on, after the end of a stream, are not {name}"
    assert expected in refusal(path)
    path.write_bytes(one + b"\n\n")
    assert refusal(path) == f"has blank lines after the compressed data; cut it off at byte {len(one)}"
    other = next(key for key in COMPRESS if key != name)
    path.write_bytes(one + COMPRESS[other](b"two"))
    where = f"is compressed with {name} up to byte {len(one)}, then with {other}; split it there into two files"
    assert refusal(path) == where


@every_compression
def test_every_cut_of_a_stream_is_refused(tmp_path: Path, name: str) -> None:
    whole, path = COMPRESS[name](b"some text"), tmp_path / f"file{SUFFIXES[name]}"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert refusal(path).startswith("truncated or damaged (" if length > 3 else ("truncated", "is ")), length
    path.write_bytes(whole)
    assert read(path) == b"some text"


def test_a_name_that_promises_a_compression(tmp_path: Path) -> None:
    (tmp_path / "a.GZ").write_bytes(b"no gzip at all")
    assert refusal(tmp_path / "a.GZ") == "is not compressed, though its name ends in .GZ; rename it without .GZ"
    (tmp_path / "a.gz").write_bytes(b"\x1e\x8b\x08\0\0\xff")
    expected = "truncated or damaged (the name ends in .gz, but the content is not compressed); delete it, then "
    assert refusal(tmp_path / "a.gz").startswith(expected)
    (tmp_path / "a.gz").write_bytes(b"")
    assert refusal(tmp_path / "a.gz") == "is empty; delete it, then download or create it again"


@every_compression
def test_a_compression_bomb_stays_small_in_memory(tmp_path: Path, name: str) -> None:
    size = 48 << 20
    (tmp_path / "bomb").write_bytes(COMPRESS[name](bytes(size)))
    assert (tmp_path / "bomb").stat().st_size < size / 1000
    tracemalloc.start()
    with open_compressed(tmp_path / "bomb") as stream:
        assert sum(map(len, iter(lambda: stream.read(1 << 16), b""))) == size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2


# --------------------------------------------------------------------------------------------------- pipes and folders


@pytest.mark.parametrize("name", ["", *COMPRESS])
def test_a_named_pipe_is_read_whole_however_its_bytes_come(tmp_path: Path, name: str) -> None:
    content = os.urandom(BYTES_OF_HEAD) + b"z" * BYTES_OF_HEAD
    packed = COMPRESS.get(name, bytes)(content)
    os.mkfifo(tmp_path / "pipe")

    def write() -> None:
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            for i in range(3):
                pipe.write(packed[i : i + 1])
                time.sleep(0.01)
            pipe.write(packed[3:])

    writer = threading.Thread(target=write)
    writer.start()
    with open_compressed(tmp_path / "pipe") as stream:
        assert (stream.compression, stream.head) == (name, content[:BYTES_OF_HEAD])
        assert stream.read() == content
    writer.join()


@pytest.mark.parametrize("redirection", ['"$0" -c "$1" /dev/stdin < "$2"', '"$0" -c "$1" <(cat "$2")'])
def test_standard_input_and_process_substitution(tmp_path: Path, redirection: str) -> None:
    (tmp_path / "file").write_bytes(COMPRESS["bzip2"](b"content" * 50_000))
    code = (
        "import sys; from pathlib import Path; from natural_sparsity.corpus.streams import open_compressed;"
        "print(len(open_compressed(Path(sys.argv[1])).read()))"
    )
    line = ["bash", "-c", redirection, sys.executable, code, str(tmp_path / "file")]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "350000\n"


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    expected = "cannot be opened (No such file or directory); check the name and the permissions"
    assert refusal(tmp_path / "none.gz") == expected
    assert refusal(tmp_path) == "cannot be opened (Is a directory); check the name and the permissions"
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "file").chmod(0)
    if os.geteuid():
        assert refusal(tmp_path / "file") == "cannot be opened (Permission denied); check the name and the permissions"


def test_a_file_is_closed_with_its_stream_and_after_a_refusal(tmp_path: Path) -> None:
    def n_open() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("counts the open files of this process in /proc")
    (tmp_path / "good").write_bytes(COMPRESS["xz"](b"x"))
    (tmp_path / "bad").write_bytes(COMPRESS["xz"](b"x")[:-1])
    before = n_open()
    with open_compressed(tmp_path / "good"):
        assert n_open() == before + 1
    for _ in range(3):
        refusal(tmp_path / "bad")
    assert n_open() == before


# ------------------------------------------------------------------------------------------------------ what is no text


def tar(format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"text\n"))
    return buffer.getvalue()


def old_tar() -> bytes:
    """An archive of before 1988: no magic word, only the checksum."""
    header = bytearray(tar(tarfile.USTAR_FORMAT))
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "text")
    return buffer.getvalue()


TEXT = "The cat sat on the mat; it was happy.\n" * 3
BINARIES: dict[str, tuple[bytes, str]] = {
    "tar": (tar(), "is a tar archive; unpack it and name the folder"),
    "old tar": (old_tar(), "is a tar archive; unpack"),
    "zip": (zipped(), "is a zip archive, as .docx, .odt and .epub files are too; unpack it and name the folder, or "),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive; unpack"),
    "rar": (b"Rar!\x1a\x07\1\0", "is a rar archive; unpack"),
    "pdf": (b"%PDF-1.5\n%text", "is a PDF; save it as plain text"),
    "rtf": (rb"{\rtf1\ansi text}", "is an RTF document; save it"),
    "twice": (gzip.compress(gzip.compress(b"text")), "is compressed with gzip, inside gzip; decompress it once"),
    "lz4": (b"\x04\x22\x4d\x18text", "is compressed with lz4, which is not supported; decompress it"),
    "lzma": (lzma.compress(b"text", lzma.FORMAT_ALONE), "is compressed with the old lzma format, which is not"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not text, or not UTF-8 (byte 8 is NUL); convert it"),
    "controls": (bytes(range(1, 128)) * 3, "is not text (too many control characters); leave it out"),
    "UTF-16": (TEXT.encode("utf-16"), "is UTF-16; convert it to UTF-8"),
    "UTF-16, other order": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "is UTF-16; convert"),
    "UTF-16-LE": (TEXT.encode("utf-16-le"), "is UTF-16 without a byte-order mark; convert it to UTF-8"),
    "UTF-16-BE": (TEXT.encode("utf-16-be"), "is UTF-16 without a byte-order mark; convert"),
    "UTF-16-LE, Cyrillic": ("Кот и кит.\n".encode("utf-16-le"), "is UTF-16 without a byte-order mark"),
    "UTF-16-BE, Cyrillic": ("Кот и кит.\n".encode("utf-16-be"), "is UTF-16 without a byte-order mark"),
    "UTF-16-LE, Chinese": ("猫在桌子上。狗在门外。\n".encode("utf-16-le"), "is UTF-16 without a byte-order mark"),
    "UTF-16-BE, Chinese": ("猫在桌子上。狗在门外。\n".encode("utf-16-be"), "is UTF-16 without a byte-order mark"),
    "Latin-1, longer": (("Le café est à côté de l'été. " * 99).encode("latin-1"), "byte 6 is not UTF-8"),
    "Shift JIS": ("猫は机の上にいる。犬は外にいる。\n".encode("shift-jis") * 99, "byte 0 is not UTF-8"),
    "KOI8-R": ("Кот и кит, и пёс, и ёж.\n".encode("koi8-r") * 99, "byte 0 is not UTF-8"),
    "GB18030": ("猫在桌子上。狗在门外。\n".encode("gb18030") * 99, "byte 2 is not UTF-8"),
    "UTF-32": (TEXT.encode("utf-32"), "is UTF-32; convert it to UTF-8"),
    "UTF-32-LE": (TEXT.encode("utf-32-le"), "is UTF-32 without a byte-order mark; convert"),
    "UTF-32-BE": (TEXT.encode("utf-32-be"), "is UTF-32 without a byte-order mark; convert"),
    "a NUL in the head": (b"text\0text", "is not text, or not UTF-8 (byte 4 is NUL); convert it to UTF-8, or leave"),
    "a NUL at the end": (b"text\0", "is not text, or not UTF-8 (byte 4 is NUL)"),
    "a NUL later": (b"a" * BYTES_OF_HEAD + b"bc\0d", f"byte {BYTES_OF_HEAD + 2} is NUL, which text never has"),
    "Latin-1": ("Caf\u00e9".encode("latin-1"), "byte 3 is not UTF-8; convert the file to UTF-8"),
}


@pytest.mark.parametrize("kind", BINARIES)
def test_what_is_no_text_is_named(tmp_path: Path, kind: str) -> None:
    content, expected = BINARIES[kind]
    (tmp_path / "file").write_bytes(content)
    assert refusal(tmp_path / "file").startswith(expected)


def test_an_archive_inside_a_compression_is_named(tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz").write_bytes(gzip.compress(tar()))
    assert refusal(tmp_path / "corpus.tar.gz") == "is a tar archive, inside gzip; unpack it and name the folder"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        TEXT,
        "\ufeff" + TEXT,
        "Кот.\n",
        "猫\n",
        "\f" * 9 + "a form feed",
        TEXT + "\x1a",
        TEXT + "\x01",
        "ustar" * 99,
    ],
)
def test_text_is_no_binary(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text, encoding="utf-8")
    with open_compressed(tmp_path / "file") as stream:
        refuse_binary(stream)
        assert decode(stream.read(), stream.path) == text.removeprefix("\ufeff")


def test_offsets_of_decode_are_of_the_file() -> None:
    assert decode("\ufeffa\ufeff".encode(), Path("x")) == "a\ufeff"
    assert decode("\ufeffa".encode(), Path("x"), 10) == "\ufeffa"
    with pytest.raises(UserError, match="x: byte 12 is not UTF-8"):
        decode(b"ab\xff", Path("x"), 10)
    with pytest.raises(UserError, match="x: byte 13 is NUL"):
        decode("é\u00e9"[:1].encode() + b"c\0", Path("x"), 10)


def test_a_refused_file_leaves_nothing_that_fails_when_it_is_collected(tmp_path: Path) -> None:
    """Python 3.13 reports what an object's end raises; older versions do with -X dev."""
    contents = {
        "empty.zst": b"",
        "text.gz": b"text",
        "damaged.zst": b"\x28\xb5\x2f\xfdnonsense",
        "damaged.gz": b"\x1f\x8b\x08x",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import sys, pathlib\n"
        "from natural_sparsity.corpus.streams import open_compressed\n"
        "from natural_sparsity.errors import UserError\n"
        "for name in sys.argv[1:]:\n"
        "    try: open_compressed(pathlib.Path(name))\n"
        "    except UserError: print('refused')\n"
    )
    paths = [str(tmp_path / name) for name in contents]
    command = [sys.executable, "-X", "dev", "-W", "ignore", "-c", code, *paths]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout == "refused\n" * len(contents)
    assert process.stderr == ""
