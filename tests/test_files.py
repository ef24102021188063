"""Products are whole or absent, and say so when they are read."""

import json
import os

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
