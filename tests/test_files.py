"""Products are whole or absent, are of this version's format, and say so when they are read."""

import hashlib
import json
import os
import re

import numpy as np
import pandas as pd
import pytest

from natural_sparsity import files
from natural_sparsity.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep/product"
    with files.atomic(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


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
    value = {"epoch": 1}
    path.write_text(json.dumps(value | {"digest": files.content_digest(value)}))


def write_old_parquet(path):
    """With a digest before the footer, and no format in the metadata."""
    pd.DataFrame({"word": ["a"]}).to_parquet(path)
    with path.open("rb+") as file:
        footer = files.read_footer(file)
        file.seek(-len(footer), os.SEEK_END)
        file.write(hashlib.sha256(footer).digest() + footer)


def write_old_array(path, length):
    """With a digest at the end, and no mark before it."""
    np.save(path, np.arange(length))
    with path.open("ab") as file:
        file.write(files.array_digest(path, path.stat().st_size))


OLD = {
    "state.json": (write_old_json, files.read_json),
    "table.parquet": (write_old_parquet, lambda path: files.read_parquet(path, ["word"])),
    "meta.parquet": (write_old_parquet, files.read_metadata),
    "tokens.npy": (lambda path: write_old_array(path, 5000), files.read_array),
    "empty.npy": (lambda path: write_old_array(path, 0), files.read_array),
}


@pytest.mark.parametrize("name", OLD)
def test_products_of_version_0_1_are_refused_in_one_line_that_says_how_to_go_on(tmp_path, name):
    write, read = OLD[name]
    path = tmp_path / name
    write(path)
    expected = (
        rf"{re.escape(str(path))}: written by version 0\.1 of natural-sparsity, or by another tool, and this version"
        r" reads format 2; delete results/ or [a-z ]+ another folder"
    )
    with pytest.raises(UserError) as error:
        read(path)
    assert re.fullmatch(expected, str(error.value))


def test_products_of_a_later_format_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FORMAT", 3)
    files.write_json(tmp_path / "a.json", {"x": 1})
    files.write_parquet(tmp_path / "t.parquet", pd.DataFrame({"a": [1]}))
    monkeypatch.undo()
    for name, read in (("a.json", files.read_json), ("t.parquet", lambda path: files.read_parquet(path, ["a"]))):
        with pytest.raises(
            UserError, match=rf"{name}: written in format 3, and this version reads format 2; delete results/"
        ):
            read(tmp_path / name)


def test_every_product_says_its_format(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": 1})
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["format", "x", "digest"]
    assert files.read_json(tmp_path / "a.json")["format"] == files.FORMAT == 2
    files.write_parquet(tmp_path / "t.parquet", pd.DataFrame({"a": [1]}), {"epoch": 3})
    assert files.read_schema(tmp_path / "t.parquet").metadata[b"natural_sparsity_format"] == b"2"
    files.write_array(tmp_path / "a.npy", np.arange(3))
    assert b"natural-sparsity 2\n" in (tmp_path / "a.npy").read_bytes()[-60:]
