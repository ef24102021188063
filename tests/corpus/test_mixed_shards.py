"""Files of other shards, runs or settings are refused in one line, and nothing is written."""

import argparse
import importlib.util
import shutil
from pathlib import Path

import pytest
import zstandard
from passes_chain import INDEX, list_arguments, run_passes

from natural_sparsity import files
from natural_sparsity.corpus import encode, filter, index, split, vocabulary
from natural_sparsity.errors import UserError

SHARDS, MIN_COUNT = 3, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The passes over three shards, of which no file is to be changed; in it, those with one setting changed."""
    [package] = importlib.util.find_spec("gensim").submodule_search_locations
    lines = Path(package, "test/test_data/lee_background.cor").read_text().lower().splitlines()
    documents = {
        f"news {i}": [sentence.split() for sentence in line.split(".") if sentence.split()]
        for i, line in enumerate(lines)
    }
    folder = tmp_path_factory.mktemp("passes")
    run_passes(folder, documents, SHARDS, MIN_COUNT)
    shutil.copytree(folder, folder / "seed")
    for command in (split, vocabulary):
        arguments = list_arguments(folder / "seed", SHARDS, MIN_COUNT)[command]
        arguments.seed = 2
        command.run(arguments)
    (folder / "min_count").mkdir()
    run_passes(folder / "min_count", documents, SHARDS, 2)
    (folder / "joined").mkdir()
    text = zstandard.ZstdDecompressor()
    both = b"".join(text.decompressobj().decompress((folder / f"{k}.txt.zst").read_bytes()) for k in (0, 1))
    (folder / "joined/0.txt.zst").write_bytes(zstandard.compress(both))
    outputs = {name: folder / f"joined/{name}" for name in INDEX}
    index.run(argparse.Namespace(text=folder / "joined/0.txt.zst", **outputs))
    for name, path in outputs.items():
        path.rename(folder / f"joined/0.{name}.{'parquet' if name == 'types' else 'npy'}")
    return folder


def swap(paths):
    return [paths[1], paths[0], *paths[2:]]


def repeat(paths):
    return [paths[0], paths[0], *paths[2:]]


def copy(paths):
    """The first shard's file, copied over the second's."""
    place = paths[1].parent / "copied" / paths[1].name
    place.parent.mkdir(exist_ok=True)
    shutil.copy2(paths[0], place)
    return [paths[0], place, *paths[2:]]


def leave_out(paths):
    return paths[:-1]


def one_of(name):
    return lambda paths: [paths[0].parent / name / paths[0].name, *paths[1:]]


def all_of(name):
    return lambda paths: [path.parent / name / path.name for path in paths]


def other(name):
    return lambda path: path.parent / name / path.name


def count_one_twice(paths):
    """The accounts of the sentences, one of them instead of another."""
    return [*paths[:-2], paths[1], paths[-1]]


def of_filter(paths):
    return [*paths[:-1], other("min_count")(paths[-1])]


INDEXED, OF_SHARDS = ("types", "tokens", "lengths"), ("tokens", "lengths", "rows", "assignment")
DIFFERENT = r"(npy|parquet): does not belong to .*\.(npy|parquet) \(different {}\); delete the older of the two"
TEXT, FILTER, TWICE = DIFFERENT.format("text"), DIFFERENT.format("run of filter"), "given 2 times; give each shard once"
WORDS = r"vocabulary\.parquet: does not belong to .* \(different assignment\)"
MISSING = "types.parquet: was not made from these 2 shards in this order; give the same shards as to filter"


@pytest.mark.parametrize(
    ("command", "names", "change", "said"),
    [
        (filter, ["types"], swap, TEXT),
        (filter, ["types"], repeat, TWICE),
        (filter, ["types"], copy, TEXT),
        (filter, ["types"], leave_out, "one of 2 files, but there are 3 like .*0.lengths.npy; give one of each shard"),
        (filter, ["tokens"], leave_out, "one of 2 files, but there are 3"),
        (filter, ["kept"], leave_out, "one of 2 files, but there are 3"),
        (filter, ["tokens"], swap, r"lengths\.npy: does not belong to .*tokens\.npy \(different tokens\)"),
        (filter, ["tokens", "lengths"], swap, TEXT),
        (filter, ["tokens", "lengths"], repeat, TWICE),
        (filter, ["tokens", "lengths"], copy, TEXT),
        (filter, ["documents"], swap, TEXT),
        (filter, ["documents"], repeat, TWICE),
        (filter, ["documents"], copy, TEXT),
        (filter, [*INDEXED, "documents"], copy, r"1\.documents\.parquet: holds documents that .*0\.documents\.parquet"),
        (filter, INDEXED, one_of("joined"), TEXT),
        (split, ["kept"], swap, TEXT),
        (split, ["kept"], one_of("min_count"), FILTER),
        (split, ["documents"], swap, TEXT),
        (vocabulary, ["rows"], swap, TEXT),
        (vocabulary, ["rows"], one_of("min_count"), FILTER),
        (vocabulary, ["rows"], all_of("min_count"), FILTER),
        (vocabulary, ["counts"], other("min_count"), FILTER),
        (vocabulary, ["assignment"], swap, TEXT),
        (vocabulary, ["assignment"], all_of("min_count"), FILTER),
        (vocabulary, ["min_count"], lambda _: 2, r"types\.parquet: its min_count is 3, expected 2"),
        (vocabulary, OF_SHARDS, leave_out, MISSING),
        (vocabulary, OF_SHARDS, repeat, TWICE),
        (vocabulary, OF_SHARDS, copy, MISSING.replace("2", "3")),
        (encode, ["rows"], swap, TEXT),
        (encode, ["rows"], one_of("min_count"), FILTER),
        (encode, ["counts"], other("min_count"), FILTER),
        (encode, ["documents"], swap, TEXT),
        (encode, ["assignment"], swap, TEXT),
        (encode, ["assignment"], one_of("seed"), WORDS),
        (encode, ["assignment"], all_of("seed"), WORDS),
        (encode, ["vocabulary"], other("seed"), WORDS),
        (encode, ["vocabulary"], other("min_count"), WORDS),
        (encode, [*OF_SHARDS, "documents"], leave_out, MISSING),
        (
            encode,
            ["accounts"],
            leave_out,
            "--accounts: 4 files, expected 5: of documents, of the sentences of each shard",
        ),
        (
            encode,
            ["accounts"],
            count_one_twice,
            r"counts [\d,]+ tokens, but .* has [\d,]+; give the account of each shard once",
        ),
        (encode, ["accounts"], of_filter, r"filter\.json: its min_count is 2, expected 3"),
    ],
)
def test_mixed_files_are_refused(folder, tmp_path, command, names, change, said):
    arguments = list_arguments(folder, SHARDS, MIN_COUNT)[command]
    for name in names:
        setattr(arguments, name, change(getattr(arguments, name)))
    before = list_files(folder)
    with pytest.raises(UserError, match=said) as refused:
        command.run(arguments)
    assert "\n" not in str(refused.value)
    assert list_files(folder) == before


def list_files(folder):
    """The files of the passes, each with the time of its last change."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("*.*")}


def test_a_vocabulary_with_other_counts_is_refused(folder, tmp_path):
    """Though it says that it was made from the same files."""
    arguments = list_arguments(folder, SHARDS, MIN_COUNT)[encode]
    words = files.read_parquet(arguments.vocabulary, ["id", "word", "count"])
    words.loc[len(words) - 1, "count"] += 1
    files.write_parquet(tmp_path / "vocabulary.parquet", words, files.read_metadata(arguments.vocabulary))
    arguments.vocabulary = tmp_path / "vocabulary.parquet"
    before = list_files(folder)
    with pytest.raises(UserError, match=r"vocabulary\.parquet: '\w+' occurs \d+ times, but .*train\.npy would have it"):
        encode.run(arguments)
    assert list_files(folder) == before


def test_shards_of_equal_text_are_accepted(tmp_path):
    """As when every document is the same, or there are fewer documents than shards."""
    run_passes(tmp_path, {f"d{i}": [["a", "b"]] * 3 for i in range(60)}, 2, 1)
    (tmp_path / "few").mkdir()
    with pytest.raises(UserError, match="^split: none of the 3 documents|^split: the corpus is one document"):
        run_passes(tmp_path / "few", {"d": [["a", "b"]]}, SHARDS, 1)
