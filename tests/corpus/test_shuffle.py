"""Shuffled data: the text's tokens in another order, and everything else the text's own."""

import argparse
import shutil

import numpy as np
import pandas as pd
import pytest
from passes_chain import run_passes

from natural_sparsity import files
from natural_sparsity.corpus import shuffle
from natural_sparsity.errors import UserError

SPLITS = ("train", "dev", "test")
# Of words that are frequent enough, a different set in each document.
DOCUMENTS = {
    f"Page {i}": [[f"w{(i * 7 + j * (k + 1)) % 11}" for j in range(3 + k)] for k in range(1 + i % 4)] for i in range(60)
}


@pytest.fixture(scope="module", params=[(1, None), (3, None), (2, "given")], ids=["one", "three", "given"])
def text(request, tmp_path_factory):
    """The files of a text: of one shard or several, with splits of its own or not."""
    n, given = request.param
    folder = tmp_path_factory.mktemp("text")
    run_passes(folder, DOCUMENTS, n, 2, given=given and {key: SPLITS[i % 3] for i, key in enumerate(DOCUMENTS)})
    return folder


def arguments(text, output, **changes):
    names = {"vocabulary": text / "vocabulary.parquet"}
    names |= {name: text / f"{name}.npy" for name in SPLITS}
    names |= {"documents": text / "document-tokens.parquet", "summary": text / "summary.json", "output": output}
    return argparse.Namespace(**{**names, "of": "sample", "within": "stream", "seed": 1, **changes})


def read_streams(text, output):
    """By split: the text's stream, the shuffled one, and the lengths of the documents."""
    lengths = files.read_parquet(text / "document-tokens.parquet", list(SPLITS))
    return {
        name: (
            files.read_array(text / f"{name}.npy"),
            files.read_array(output / f"tokens/{name}.npy"),
            lengths[name].to_numpy(),
        )
        for name in SPLITS
    }


def test_document_tokens_are_those_of_each_document_in_the_streams_order(text):
    """Counted from the stream: documents here differ in their sentences, and <eos> ends each."""
    table = files.read_parquet(text / "document-tokens.parquet", list(SPLITS))
    assert len(table) == len(DOCUMENTS)
    assert ((table > 0).sum(axis=1) <= 1).all(), "a document has one split"
    for name in SPLITS:
        stream = files.read_array(text / f"{name}.npy")
        assert table[name].sum() == len(stream)
        expected = np.array([sum(len(words) + 1 for words in sentences) for sentences in DOCUMENTS.values()])
        in_split = table[name] > 0
        assert table[name][in_split].tolist() == expected[in_split].tolist()
        ends = np.cumsum(table[name])[in_split]
        assert (stream[ends - 1] == 1).all(), "each document ends in <eos>"


@pytest.mark.parametrize("within", ["stream", "document"])
def test_tokens_are_the_same_in_another_order(text, tmp_path, within):
    shuffle.run(arguments(text, tmp_path, within=within))
    for name, (before, after, lengths) in read_streams(text, tmp_path).items():
        assert before.dtype == after.dtype
        assert not np.array_equal(before, after), name
        assert sorted(before) == sorted(after), name
        ends = np.cumsum(lengths)
        same = [sorted(a) == sorted(b) for a, b in zip(np.split(before, ends), np.split(after, ends), strict=True)]
        assert all(same) == (within == "document"), name


def test_a_rerun_gives_the_same_bytes_and_another_seed_does_not(text, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        shuffle.run(arguments(text, tmp_path / name, seed=seed))
    for path in (tmp_path / "a").rglob("*.*"):
        again = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == again.read_bytes()
    assert (tmp_path / "a/tokens/train.npy").read_bytes() != (tmp_path / "c/tokens/train.npy").read_bytes()


def test_splits_have_orders_of_their_own(text, tmp_path):
    """Two splits with the same tokens are not shuffled alike."""
    generators = [np.random.default_rng([1, number]) for number in (1, 2)]
    one, other = (shuffle.shuffle(np.arange(50), [50], generator) for generator in generators)
    assert not np.array_equal(one, other)


def test_everything_else_is_the_texts(text, tmp_path):
    shuffle.run(arguments(text, tmp_path))
    assert (tmp_path / "vocabulary.parquet").read_bytes() == (text / "vocabulary.parquet").read_bytes()
    vocabulary = files.read_digest(text / "vocabulary.parquet")
    summary, before = files.read_json(tmp_path / "summary.json"), files.read_json(text / "summary.json")
    assert summary["shuffled"] == {"of": "sample", "within": "stream", "seed": 1}
    for name in SPLITS:
        about, digest = files.check_array(tmp_path / f"tokens/{name}.npy")
        assert (about["split"], about["vocabulary"]) == (name, vocabulary)
        assert summary["streams"][name] == digest != before["streams"][name]
    for key in before.keys() - {"streams", "digest"}:
        assert summary[key] == before[key], key


@pytest.mark.parametrize("damaged", ["vocabulary", "dev", "document-tokens", "summary"])
def test_files_of_another_text_are_refused(text, tmp_path, damaged):
    copy = shutil.copytree(text, tmp_path / "copy")
    [path] = [path for path in copy.iterdir() if path.stem == damaged]
    if damaged == "dev":
        files.write_array(path, files.read_array(text / "dev.npy"), {"split": "dev", "vocabulary": "other"})
    elif damaged == "summary":
        other = {key: value for key, value in files.read_json(path).items() if key != "digest"}
        files.write_json(path, {**other, "streams": {**other["streams"], "dev": "other"}})
    else:
        frame = pd.read_parquet(path)
        frame.iloc[0, -1] = frame.iloc[1, -1]
        files.write_parquet(path, frame, {"vocabulary": "other", "streams": {}})
    with pytest.raises(UserError, match="does not belong to"):
        shuffle.run(arguments(copy, tmp_path / "out"))
    assert not (tmp_path / "out/summary.json").exists()
