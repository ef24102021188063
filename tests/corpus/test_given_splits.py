"""Splits that the source gives, and ``<unk>`` in the text, against plain Python over lists of words."""

import itertools
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from passes_chain import FRACTIONS, read_streams, run_passes, write_shards

from natural_sparsity import files
from natural_sparsity.corpus import shards, split
from natural_sparsity.corpus.account import percent
from natural_sparsity.errors import UserError

MIN_COUNT = 4


def make_documents(share_unknown=0.1):
    """90 documents of ten sentences, of 60 words and ``<unk>``."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(60)])

    def draw():
        drawn = words[np.minimum(rng.zipf(1.5, rng.integers(1, 8)) - 1, 59)]
        return np.where(rng.random(len(drawn)) < share_unknown, "<unk>", drawn).tolist()

    return {f"d{i}": [draw() for _ in range(10)] for i in range(90)}


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
def n_shards(request, monkeypatch):
    monkeypatch.setattr(shards, "TOKENS_PER_BLOCK", 100)
    return request.param


@pytest.fixture
def given():
    """Dev, train and test in turn, so that no order, fraction or seed gives the same."""
    return dict(zip(make_documents(), itertools.cycle(["dev", "train", "train", "test"]), strict=False))


def check_vocabulary(folder, streams):
    """Each word's count is that of the training stream, <unk> and <eos> included; so they sum to its length."""
    words = files.read_parquet(folder / "vocabulary.parquet", ["id", "word", "count"])
    training = Counter(streams["train"])
    assert dict(zip(words["word"], words["count"], strict=True)) == {word: training[word] for word in words["word"]}
    assert words["count"].sum() == len(streams["train"])
    assert words["word"].tolist()[:2] == ["<unk>", "<eos>"]
    assert words["word"].is_unique


def test_given_splits_keep_every_sentence_and_training_decides_the_words(tmp_path, n_shards, given, capsys):
    documents = make_documents()
    documents["d0"].append(["only", "in", "dev"] * 10)
    run_passes(tmp_path, documents, n_shards, MIN_COUNT, given)
    counts = Counter(w for key, text in documents.items() if given[key] == "train" for s in text for w in s)
    known = {word for word, count in counts.items() if count >= MIN_COUNT} - {"<unk>"}
    assert 10 < len(known) < len(counts) - 5, "no word is rare, so the test shows nothing"
    streams = read_streams(tmp_path)
    for name, stream in streams.items():
        sentences = [s for key, text in documents.items() if given[key] == name for s in text]
        assert stream == [w for s in sentences for w in [*(w if w in known else "<unk>" for w in s), "<eos>"]]
    check_vocabulary(tmp_path, streams)
    table = files.read_parquet(tmp_path / "thresholds.parquet", ["min_count", "sentences", "tokens", "types"])
    table["unknown"] = files.read_parquet(tmp_path / "thresholds.parquet", ["unknown_tokens"])["unknown_tokens"]
    every = Counter(w for text in documents.values() for s in text for w in s)
    for row in table.itertuples(index=False):
        words = {word for word, count in counts.items() if count >= row.min_count} - {"<unk>"}
        unknown = every.total() - sum(every[word] for word in words)
        assert tuple(row)[1:] == (sum(map(len, documents.values())), every.total(), len(words), unknown)
    made = sum(count for word, count in every.items() if word not in known) - every["<unk>"]
    story = capsys.readouterr().err
    assert f"filter: all {every.total():,} tokens kept; {percent(made / every.total())} more became <unk>, " in story
    before = files.read_json(tmp_path / "summary.json")["account"]["filter"]["before"]
    assert before["unknown_tokens"] == every["<unk>"] and before["types"] == len(every) - 1


def test_unk_in_the_text_is_the_special_and_drops_no_sentence(tmp_path, n_shards):
    documents = make_documents(0.02)
    counts = Counter(w for text in documents.values() for s in text for w in s)
    min_count = 30
    assert counts["<unk>"] >= min_count, "or the next line shows nothing"
    del documents["d3"][3:]
    documents["d3"] += [["<unk>"]] * 2
    counts = Counter(w for text in documents.values() for s in text for w in s)
    kept = {key: [s for s in text if all(counts[w] >= min_count for w in s)] for key, text in documents.items()}
    known = {w for w, n in Counter(w for t in kept.values() for s in t for w in s).items() if n >= min_count} - {
        "<unk>"
    }
    run_passes(tmp_path, documents, n_shards, min_count)
    streams = read_streams(tmp_path)
    for name, stream in streams.items():
        sentences = [s for key, t in kept.items() if split.split_of(key, FRACTIONS, 1) == split.SPLITS[name] for s in t]
        assert stream == [w for s in sentences for w in [*(w if w in known else "<unk>" for w in s), "<eos>"]]
    check_vocabulary(tmp_path, streams)


def test_a_rare_unk_is_never_rare(tmp_path, n_shards):
    documents = make_documents(0)
    documents["d1"][0] = ["w0", "<unk>", "w0"]
    run_passes(tmp_path, documents, n_shards, 30)
    assert sum(stream.count("<unk>") for stream in read_streams(tmp_path).values()) >= 1
    name = ["train", "dev", "test"][split.split_of("d1", FRACTIONS, 1) - 1]
    assert " w0 <unk> w0 <eos> " in " ".join(read_streams(tmp_path)[name])


@pytest.mark.parametrize("given_splits", [True, False])
def test_eos_in_the_text_is_refused(tmp_path, given, given_splits):
    documents = make_documents()
    documents["d4"].append(["w0", "<eos>"])
    with pytest.raises(UserError, match=r"the text holds 1 × <eos>, which marks .*; remove it from the text$"):
        run_passes(tmp_path, documents, 2, MIN_COUNT, given if given_splits else None)


@pytest.mark.parametrize("n", [1, 2])
def test_splits_given_for_some_documents_only_are_refused(tmp_path, given, n):
    del given["d11"]
    with pytest.raises(UserError, match="only some of the documents have a given split"):
        run_passes(tmp_path, make_documents(), n, MIN_COUNT, given)


def test_an_unknown_split_is_refused(tmp_path, given):
    write_shards(tmp_path, make_documents(), 1, given | {"d5": "valid"})
    with pytest.raises(UserError, match=r"0\.documents\.parquet: a document's split is none of train, dev, test"):
        split.read_given_splits([tmp_path / "0.documents.parquet"])


def test_an_empty_shard_agrees_with_any_splits(tmp_path, given):
    frame = pd.DataFrame({"split": pd.Series([], dtype="str")})
    files.write_parquet(tmp_path / "empty.parquet", frame)
    assert split.read_given_splits([tmp_path / "empty.parquet"]) is None
    write_shards(tmp_path, make_documents(), 1, given)
    splits = split.read_given_splits([tmp_path / "empty.parquet", tmp_path / "0.documents.parquet"])
    assert [len(own) for own in splits] == [0, 90]


def test_a_training_file_without_frequent_words_names_min_count(tmp_path, given):
    with pytest.raises(
        UserError,
        match=r"min_count: 5000 leaves no word of the training file .*; min_count: 1 would turn [\d.]+ % into <unk>",
    ):
        run_passes(tmp_path, make_documents(), 1, 5000, given)


def test_a_given_split_without_text_is_named(tmp_path, given):
    given = {key: "train" if name == "dev" else name for key, name in given.items()}
    with pytest.raises(UserError, match=r"source\.dev: no sentence was found in it; name a file that holds text"):
        run_passes(tmp_path, make_documents(), 1, MIN_COUNT, given)


def test_a_given_split_that_is_too_small_is_named(tmp_path, given):
    documents, short = make_documents(), [key for key, name in given.items() if name == "test"]
    documents = {key: text for key, text in documents.items() if key not in short[1:]}
    documents[short[0]] = [["w0"] * 20] * 3
    with pytest.raises(UserError, match=r"source\.test: has 63 tokens, too few for a run \(at least 80\); name a lon"):
        run_passes(tmp_path, documents, 1, MIN_COUNT, given)
    documents[short[0]] = [["w0"] * 19] * 4
    run_passes(tmp_path, documents, 1, MIN_COUNT, given)


def test_a_split_that_is_nearly_all_unk_is_a_warning(tmp_path, given, capsys):
    documents = make_documents(0)
    documents |= {key: [["other", "tongue", "words"]] * 10 for key in documents if given[key] == "dev"}
    run_passes(tmp_path, documents, 1, MIN_COUNT, given)
    [warning] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert warning.startswith("warning: dev: 100 % of the tokens are <unk>; lower min_count, or check that all splits")
