"""Products are whole or absent, are of this version's format, and say so when they are read."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from matplotlib.figure import Figure

from chains import language_model
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import save
from natural_sparsity.model import checkpoint


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep/product"
    with files.atomic(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_name_is_refused_in_one_line():
    with pytest.raises(UserError, match="not a file name"), files.atomic(""):
        pass


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, bool])
def test_an_array_written_in_blocks_is_that_of_numpy(tmp_path, dtype):
    blocks = [np.arange(5) % 2, np.arange(0), np.arange(1000) % 2]
    with files.atomic(tmp_path / "a.npy") as temporary:
        writer = files.ArrayWriter(temporary, dtype)
        for block in blocks:
            writer.append(block)
        writer.close()
    array = np.load(tmp_path / "a.npy")
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.concatenate(blocks).astype(dtype))
    np.testing.assert_array_equal(files.read_array(tmp_path / "a.npy"), array)


def test_empty_arrays_can_be_read(tmp_path):
    files.write_array(tmp_path / "a.npy", np.zeros(0, np.uint8))
    assert len(files.read_array(tmp_path / "a.npy")) == 0


def damaged(tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "float.npy", np.ones(300))
    np.save(tmp_path / "object.npy", np.array([{}] * 40), allow_pickle=True)
    files.write_array(tmp_path / "short.npy", np.arange(1000))
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-8])
    (tmp_path / "zip.npy").write_bytes(b"PK" + bytes(300))
    (tmp_path / "little_zip.npy").write_bytes(b"PK" + bytes(30))
    np.savez(tmp_path / "whole_zip", np.arange(300))
    (tmp_path / "whole_zip.npz").rename(tmp_path / "whole_zip.npy")
    # A damaged header, whose bracket never closes.
    (tmp_path / "header.npy").write_bytes((tmp_path / "short.npy").read_bytes().replace(b"}", b"(", 1))
    return [path.name for path in tmp_path.iterdir()] + ["missing.npy"]


def test_damaged_arrays_are_named(tmp_path):
    names = damaged(tmp_path)
    assert len(names) == 9
    for name in names:
        with pytest.raises(UserError, match=name):
            files.read_array(tmp_path / name)


def test_tables_name_what_is_missing(tmp_path):
    files.write_parquet(tmp_path / "t.parquet", pd.DataFrame({"a": [1]}), {"epoch": 3})
    assert files.read_metadata(tmp_path / "t.parquet") == {"epoch": 3}
    with pytest.raises(UserError, match=r"t\.parquet: no column 'b' \(it has a\)"):
        files.read_parquet(tmp_path / "t.parquet", ["a", "b"])
    for name in ("missing.parquet", "text.parquet"):
        (tmp_path / "text.parquet").write_text("no table")
        for read in (lambda path: files.read_parquet(path, ["a"]), files.read_metadata):
            with pytest.raises(UserError, match=name):
                read(tmp_path / name)


def test_json_names_what_is_missing(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": 1})
    (tmp_path / "bare.json").write_text(json.dumps({"x": 1}))
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "half.json").write_text('{"x": ')
    assert files.read_json(tmp_path / "a.json", ["x"])["x"] == 1
    for name, keys in (
        ("a.json", ["y"]),
        ("bare.json", ["x"]),
        ("list.json", []),
        ("half.json", []),
        ("missing.json", []),
    ):
        with pytest.raises(UserError, match=name):
            files.read_json(tmp_path / name, keys)


def test_json_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(UserError, match=r"state\.json: no such file; check the path$"):
        files.read_json(tmp_path / "state.json")


def test_what_is_written_is_as_readable_as_the_umask_says(tmp_path):
    def make(name):
        with files.atomic(tmp_path / name) as temporary:
            temporary.touch(mode=0o600)
        return (tmp_path / name).stat().st_mode & 0o777

    before = os.umask(0o027)
    try:
        assert make("team") == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def write_old_json(path):
    path.write_text(json.dumps({"epoch": 1, "digest": "of version 0.1"}))


def write_old_parquet(path, **metadata):
    """With the SHA-256 of the footer before it."""
    table = pa.table({"word": ["a"]}).replace_schema_metadata(metadata)
    pq.write_table(table, path)
    with path.open("rb+") as file:
        footer = files.read_footer(file)
        file.seek(-len(footer), os.SEEK_END)
        file.write(hashlib.sha256(footer).digest() + footer)


def write_old_array(path, length):
    np.save(path, np.arange(length))
    with path.open("ab") as file:
        file.write(b"natural-sparsity 2\n" + bytes(32))


OLD = {
    "state.json": (write_old_json, files.read_json),
    "table.parquet": (write_old_parquet, lambda path: files.read_parquet(path, ["word"])),
    "meta.parquet": (lambda path: write_old_parquet(path, **{files.FORMAT_KEY: "2"}), files.read_metadata),
    "tokens.npy": (lambda path: write_old_array(path, 5000), files.read_array),
    "empty.npy": (lambda path: write_old_array(path, 0), files.read_array),
}


@pytest.mark.parametrize("name", OLD)
def test_products_of_earlier_formats_are_refused_in_one_line_with_the_fix(tmp_path, name):
    write, read = OLD[name]
    path = tmp_path / name
    write(path)
    author = r"(by version 0\.1 of natural-sparsity, or by another tool|in format 2)"
    expected = (
        rf"{re.escape(str(path))}: written {author}, but this version"
        r" reads format 3; delete results/ or [a-z ]+ another folder"
    )
    with pytest.raises(UserError) as error:
        read(path)
    assert re.fullmatch(expected, str(error.value))


def test_products_of_a_later_format_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FORMAT", 4)
    files.write_json(tmp_path / "a.json", {"x": 1})
    files.write_parquet(tmp_path / "t.parquet", pd.DataFrame({"a": [1]}))
    monkeypatch.undo()
    for name, read in (("a.json", files.read_json), ("t.parquet", lambda path: files.read_parquet(path, ["a"]))):
        with pytest.raises(
            UserError, match=rf"{name}: written in format 4, but this version reads format 3; delete results/"
        ):
            read(tmp_path / name)


def test_every_product_says_its_format(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": 1})
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["format", "x", "digest"]
    assert files.read_json(tmp_path / "a.json")["format"] == files.FORMAT == 3
    files.write_parquet(tmp_path / "t.parquet", pd.DataFrame({"a": [1]}), {"epoch": 3})
    assert files.read_schema(tmp_path / "t.parquet").metadata[b"natural_sparsity_format"] == b"3"
    files.write_array(tmp_path / "a.npy", np.arange(3))
    assert b"natural-sparsity 3\n" in (tmp_path / "a.npy").read_bytes()[-60:]


def test_metadata_and_digests_are_those_of_the_content(tmp_path):
    about = {"vocabulary": "of these words", "split": "train"}
    files.write_array(tmp_path / "a.npy", np.arange(300), about)
    assert files.read_metadata(tmp_path / "a.npy") == about
    files.write_parquet(tmp_path / "t.parquet", pd.DataFrame({"a": range(300)}), about)
    content = (tmp_path / "a.npy").read_bytes()
    assert files.read_digest(tmp_path / "a.npy") == xxhash.xxh3_128_hexdigest(content[:-16]) == content[-16:].hex()
    content = (tmp_path / "t.parquet").read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little") - 16
    stored, rest = content[start : start + 16], content[:start] + content[start + 16 :]
    assert xxhash.xxh3_128_hexdigest(rest) == stored.hex()
    # Readers of other libraries see an ordinary file.
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {"a": list(range(300))}
    assert np.load(tmp_path / "a.npy").tolist() == list(range(300))


def test_only_leftovers_of_killed_writers_are_removed(tmp_path):
    script = """
import os, signal, sys, time
from natural_sparsity import files
with files.atomic(sys.argv[1]) as path:
    path.write_text("half")
    print(path, flush=True)
    time.sleep(60)
"""
    path = tmp_path / "a[1]*.csv"
    writers = [subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) for _ in "ab"]
    try:
        dead, living = (Path(writer.stdout.readline().strip()) for writer in writers)
        assert dead.exists() and living.exists()
        writers[0].kill()
        writers[0].wait()
        assert dead.exists()
        other = tmp_path / ".a1.csv.7.part"
        other.touch()
        with files.atomic(path) as temporary:
            temporary.write_text("whole")
        assert sorted(tmp_path.iterdir()) == sorted([path, living, other])
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def test_content_and_name_are_on_the_disk_before_a_writer_goes_on(tmp_path, monkeypatch):
    """The order of calls; tests/workflow/test_power_cuts.py takes the power from a real filesystem."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def note_flush(number):
        calls.append(Path(f"/proc/self/fd/{number}").readlink())
        fsync(number)

    def note_rename(*names):
        calls.append("renamed")
        replace(*names)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "replace", note_rename)
    path = tmp_path / "new/folder/a.csv"
    with files.atomic(path) as temporary:
        temporary.write_text("whole")
        calls.append("written")
    assert calls == [tmp_path, tmp_path / "new", "written", temporary, "renamed", path.parent]


def test_the_digest_of_a_table_is_that_of_its_content_alone(tmp_path):
    """Arrow and pandas write their versions into the file: a model trained with one version goes on with the next."""
    frame = pd.DataFrame({"id": [0, 1], "word": ["a", None], "share": [0.5, float("nan")]})
    files.write_parquet(tmp_path / "a.parquet", frame)
    table = pa.Table.from_pandas(frame).replace_schema_metadata({"pandas": "of another version"})
    files.write_table(tmp_path / "b.parquet", table)
    assert (tmp_path / "a.parquet").read_bytes() != (tmp_path / "b.parquet").read_bytes()
    assert files.read_digest(tmp_path / "a.parquet") == files.read_digest(tmp_path / "b.parquet")
    for other in (frame[::-1], frame.rename(columns={"id": "number"}), frame.assign(word=["a", "b"])):
        files.write_parquet(tmp_path / "c.parquet", other)
        assert files.read_digest(tmp_path / "c.parquet") != files.read_digest(tmp_path / "a.parquet")


def test_nothing_puts_another_file_in_the_place_of_the_locked_one(tmp_path, monkeypatch):
    """Else a leftover could not be told from the file of a living writer."""
    numbers = []
    original = files.rename_durably

    def rename(temporary, path):
        numbers.append((held.pop(), temporary.stat().st_ino))
        original(temporary, path)

    held = []
    create = files.open_temporary

    def open_temporary(path):
        file, temporary = create(path)
        held.append(temporary.stat().st_ino)
        return file, temporary

    monkeypatch.setattr(files, "rename_durably", rename)
    monkeypatch.setattr(files, "open_temporary", open_temporary)
    checkpoint.save(tmp_path, language_model(5, embedding=2, hidden=[2]), dict.fromkeys(checkpoint.FIELDS))
    files.write_parquet(tmp_path / "t.parquet", pd.DataFrame({"a": [1]}))
    save(Figure(), pd.DataFrame({"a": [1]}), tmp_path / "figure")
    assert len(numbers) == 6
    assert all(before == after for before, after in numbers)
