"""Malicious or damaged files are refused in one line, in bounded memory and time."""

import bz2
import gzip
import os
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from natural_sparsity.corpus.readers import base
from natural_sparsity.corpus.readers.read import read_documents
from natural_sparsity.errors import UserError

pytestmark = pytest.mark.integration  # seconds each: left to make test

PAGE = "<page><title>T</title><ns>0</ns><id>{}</id><revision><text>{}</text></revision></page>"
GIB = 1 << 30


def read(path: Path, format: str = "auto") -> list[base.Document]:
    return list(read_documents(path, format))


def refusal(path: Path, format: str = "auto") -> str:
    with pytest.raises(UserError) as error:
        read(path, format)
    assert str(path) in str(error.value)
    assert str(error.value).isprintable()
    return str(error.value)


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_entities_do_not_multiply(tmp_path: Path) -> None:
    """A billion laughs: 3 GB of text in 700 bytes."""
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<!DOCTYPE mediawiki [<!ENTITY l0 "lol">{entities}]><mediawiki>{PAGE.format(1, "&l9;")}</mediawiki>'
    assert "DOCTYPE" in refusal(write(tmp_path / "bomb.xml", bomb))


def test_entities_do_not_read_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    outside = f'<!DOCTYPE mediawiki [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    for head in (outside, ""):
        line = refusal(write(tmp_path / "x.xml", f"{head}<mediawiki>{PAGE.format(1, '&x;')}</mediawiki>"))
        assert "SECRET" not in line


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit low enough for a test to exceed."""
    monkeypatch.setattr(base, "MAX_BYTES", 1 << 20)


@pytest.mark.parametrize(
    ("name", "head", "unit", "tail", "what"),
    [
        ("a.txt", "", "word ", "", "a line"),
        ("b.txt", "", "word\n", "", "a document without a blank line"),
        ("c.xml", "<mediawiki><page><title>T</title><revision><text>", "word ", "", "a page or tag"),
        ("d.xml", "<mediawiki><page a='", "word ", "", "a page or tag"),
        ("e.xml", "<mediawiki><page><title>T</title><id>1</id><revision><text>", "&amp;", "", "a page or tag"),
        ("f.json", '{"id": 1, "text": "', "word ", '"}', "a line"),
        ("wiki_00", '<doc id="1" url="u" title="T">\n', "word\n", "</doc>\n", "a document"),
    ],
)
def test_entries_too_large_for_a_document_are_refused(
    tmp_path: Path, low_limit: None, name: str, head: str, unit: str, tail: str, what: str
) -> None:
    path = write(tmp_path / name, head + unit * (6 * (1 << 20) // len(unit)) + tail)
    line = refusal(path)
    assert f"{what}" in line and "of more than 1 MiB; split it" in line


@pytest.mark.parametrize(
    ("format", "content", "what"),
    [
        (
            "lines",
            ("word " * 10_000 + "\n") * 99,
            "line 21: a document of more than 1 MiB; lower lines_per_document",
        ),
        ("wikitext", " = Title = \n \n" + "word word\n" * 200_000, "'Title': an article of more than 1 MiB"),
        ("json", '{"text": "' + "word " * 300_000 + '"}', "byte 0: a line of more than 1 MiB"),
    ],
)
def test_every_format_has_the_limit(tmp_path: Path, low_limit: None, format: str, content: str, what: str) -> None:
    path = write(tmp_path / "a", content)
    assert what in refusal(path, format)


def test_a_text_of_parquet_that_is_too_large(tmp_path: Path, low_limit: None) -> None:
    pq.write_table(pa.table({"text": ["a", "word " * 300_000]}), tmp_path / "a")
    assert "row 2: a text of more than 1 MiB" in refusal(tmp_path / "a")


def test_a_history_may_be_longer_than_the_limit(tmp_path: Path, low_limit: None) -> None:
    """Only the newest text is kept."""
    revision = "<revision><text>" + "old " * 10_000 + "</text></revision>"
    page = f"<page><title>T</title><id>1</id>{revision * 100}<revision><text>new</text></revision></page>"
    path = write(tmp_path / "a.xml", f"<mediawiki>{page}</mediawiki>")
    assert [document.text for document in read(path)] == ["new"]


def test_a_file_in_a_folder_that_is_too_large(tmp_path: Path, low_limit: None) -> None:
    write(tmp_path / "a.txt", "word\n\n" * 300_000)
    with pytest.raises(UserError, match=r"a\.txt: byte 0: a document of more than 1 MiB; split it"):
        read(tmp_path)


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compression_bomb_needs_no_memory(tmp_path: Path, suffix: str, compress) -> None:
    """1 GiB in one line, compressed to little more than 1 MB or 1 kB; the process may use 700 MiB."""
    stream = compress(b"a" * (GIB // 64))
    path = write(tmp_path / f"bomb.txt{suffix}", stream * 64)
    assert path.stat().st_size < 2_000_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))

    line = [sys.executable, "-m", "natural_sparsity", "documents", "--input", path, "--output", tmp_path / "out.zst"]
    process = subprocess.run([*map(str, line)], capture_output=True, text=True, preexec_fn=limit, check=False)
    assert process.returncode == 1
    assert process.stderr == f"natural-sparsity documents: {path}: byte 0: a line of more than 64 MiB; split it\n"
    assert not (tmp_path / "out.zst").exists()


def test_elements_nested_without_end(tmp_path: Path) -> None:
    assert "more than 50 nested elements" in refusal(write(tmp_path / "a.xml", "<mediawiki>" + "<a>" * 100_000))


def test_json_nested_without_end(tmp_path: Path) -> None:
    deep = '{"id": 1, "text": ' + "[" * 200_000
    assert "line 1, byte 0: not a JSON object" in refusal(write(tmp_path / "a", deep), "wikiextractor")
    assert "line 1, byte 0: not a JSON object" in refusal(write(tmp_path / "a", deep))


def test_numbers_longer_than_python_reads(tmp_path: Path) -> None:
    assert "line 1, byte 0: not a JSON object" in refusal(
        write(tmp_path / "a", '{"id": 1' + "0" * 10_000 + ', "text": "x"}')
    )


def test_files_that_are_not_in_the_format_of_their_name(tmp_path: Path) -> None:
    assert "no known format" in refusal(write(tmp_path / "a", "<html><body>text</body></html>"))
    assert "is not compressed" in refusal(write(tmp_path / "a.gz", "no gzip at all"))


@pytest.mark.parametrize("name", ["new\nline.txt", "esc\x1b[31m.txt", os.fsdecode(b"latin\xe9.txt"), "tab\t.txt"])
def test_names_that_cannot_be_printed(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "text")
    assert "rename it" in refusal(tmp_path)
    with pytest.raises(UserError, match="the name has characters that cannot be printed; rename it"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a b.txt", "ü – 字 🙂.txt", "$(x) `y` %s {z} \\ '\" <b>.txt", "-rf"])
def test_odd_names_are_accepted(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "text")
    assert [(document.id, document.text) for document in read(tmp_path)] == [(name, "text")]
    assert [document.text for document in read(tmp_path / name)] == ["text"]


def test_links(tmp_path: Path) -> None:
    """Links are followed, since text would go missing silently; cycles are refused."""
    other, folder = tmp_path / "other", tmp_path / "corpus"
    other.mkdir()
    folder.mkdir()
    write(other / "a.txt", "linked")
    (folder / "to folder").symlink_to(other)
    (folder / "to file").symlink_to(other / "a.txt")
    assert [document.id for document in read(folder)] == ["to file", "to folder/a.txt"]
    (other / "up").symlink_to(folder)
    with pytest.raises(UserError, match="a link to a folder that contains it; remove it"):
        read(folder)
    (other / "up").unlink()
    (folder / "gone").symlink_to(tmp_path / "nothing")
    assert "gone': a broken link; remove it" in refusal(folder)
    (folder / "gone").unlink()
    os.mkfifo(folder / "pipe")
    assert "pipe': neither a file nor a folder; remove it" in refusal(folder)


def test_a_link_to_itself_is_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("self")
    assert "self': a broken link; remove it" in refusal(tmp_path)
    assert "cannot be opened" in refusal(tmp_path / "self")
