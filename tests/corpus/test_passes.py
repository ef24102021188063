"""Index, filter, split, vocabulary and encode on real text, against plain Python over lists of words."""

import argparse
import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zstandard
from passes_chain import FRACTIONS, list_arguments, run_passes, write_shards

from natural_sparsity import files
from natural_sparsity.corpus import encode, index, shards, split, thresholds, vocabulary
from natural_sparsity.errors import UserError

MIN_COUNT = 3


@pytest.fixture(scope="module")
def documents():
    """The news articles that gensim ships: {id: sentences, each a list of lowercased words}."""
    [folder] = importlib.util.find_spec("gensim").submodule_search_locations
    lines = Path(folder, "test/test_data/lee_background.cor").read_text().lower().splitlines()
    return {
        f"news {i}": [sentence.split() for sentence in line.split(".") if sentence.split()]
        for i, line in enumerate(lines)
    }


def plain(documents, min_count=MIN_COUNT):
    """The same by loops: the words of the vocabulary, and each split's words."""
    counts = Counter(word for sentences in documents.values() for words in sentences for word in words)
    kept = {
        key: [s for s in sentences if all(counts[w] >= min_count for w in s)] for key, sentences in documents.items()
    }
    recount = Counter(word for sentences in kept.values() for words in sentences for word in words)
    known = {word for word, count in recount.items() if count >= min_count}
    streams = {"train": [], "dev": [], "test": []}
    for key, sentences in kept.items():
        name = ["train", "dev", "test"][split.split_of(key, FRACTIONS, 1) - 1]
        for words in sentences:
            streams[name] += [word if word in known else "<unk>" for word in words] + ["<eos>"]
    return known, streams


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
def passes(request, tmp_path, documents, monkeypatch):
    monkeypatch.setattr(shards, "TOKENS_PER_BLOCK", 1000)  # many blocks, ending anywhere
    monkeypatch.setattr(index, "LINES_PER_BLOCK", 100)
    run_passes(tmp_path, documents, request.param, MIN_COUNT)
    return tmp_path


def test_streams_equal_plain_python(passes, documents):
    known, streams = plain(documents)
    words = files.read_parquet(passes / "vocabulary.parquet", ["id", "word", "count"])
    assert list(words["id"]) == list(range(len(words)))
    assert list(words["word"][:2]) == ["<unk>", "<eos>"]
    assert set(words["word"][2:]) == known
    assert streams["train"].count("<unk>") > 0, "no word became rare, so the test shows nothing"
    for name, expected in streams.items():
        stream = np.load(passes / f"{name}.npy")
        assert stream.dtype == np.uint8 if len(words) <= 256 else np.uint16
        assert [words["word"][i] for i in stream] == expected
    training = Counter(streams["train"])
    assert dict(zip(words["word"], words["count"], strict=True)) == {word: training[word] for word in words["word"]}
    assert words["count"][2:].is_monotonic_decreasing


def test_summary_counts(passes, documents):
    _, streams = plain(documents)
    summary = files.read_json(passes / "summary.json")
    assert summary["tokens"] == sum(len(words) for sentences in documents.values() for words in sentences)
    assert summary["documents"] == len(documents)
    for name, stream in streams.items():
        assert summary[f"{name}_tokens"] == len(stream)
        assert summary[f"{name}_unk_fraction"] == stream.count("<unk>") / len(stream)


def test_a_split_without_tokens_is_refused_and_leaves_no_stream(tmp_path, documents):
    run_passes(tmp_path, documents, 1, MIN_COUNT)
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.npy").unlink()
    assignment = tmp_path / "0.assignment.npy"
    all_training = (files.read_array(assignment) > 0).astype(np.uint8)
    files.write_array(assignment, all_training, files.read_metadata(assignment))
    arguments = list_arguments(tmp_path, 1, MIN_COUNT)
    vocabulary.run(arguments[vocabulary])
    with pytest.raises(UserError, match=r"leaves dev 0 tokens, too few for a run"):
        encode.run(arguments[encode])
    assert not list(tmp_path.glob("*train*")) + list(tmp_path.glob("*dev*")) + list(tmp_path.glob("*test*"))


def test_a_documents_split_does_not_depend_on_the_others(tmp_path, documents):
    few = dict(list(documents.items())[:150])
    run_passes(tmp_path, few, 2, min_count=1)
    text = {key: [" ".join(s) for s in sentences] for key, sentences in few.items()}
    words = files.read_parquet(tmp_path / "vocabulary.parquet", ["word"])["word"]
    for name, value in split.SPLITS.items():
        stream = " ".join(words[i] for i in np.load(tmp_path / f"{name}.npy"))
        expected = [s for key in few if split.split_of(key, FRACTIONS, 1) == value for s in text[key]]
        assert stream == " ".join(f"{s} <eos>" for s in expected)


def test_split_fractions_and_seed(documents):
    ids = [f"document {i}" for i in range(20_000)]
    for seed in (1, 2):
        shares = np.bincount([split.split_of(i, FRACTIONS, seed) for i in ids], minlength=4)[1:] / len(ids)
        np.testing.assert_allclose(shares, FRACTIONS, atol=0.015)
    assert [split.split_of(i, FRACTIONS, 1) for i in ids] != [split.split_of(i, FRACTIONS, 2) for i in ids]


def test_more_than_65536_words_need_four_bytes(tmp_path):
    many = {f"d{i}": [[f"w{j}" for j in range(i * 700, (i + 1) * 700)]] for i in range(100)}
    run_passes(tmp_path, many, 2, min_count=1)
    assert np.load(tmp_path / "train.npy").dtype == np.uint32


def test_min_count_that_drops_everything_is_refused(tmp_path, documents):
    counts = Counter(word for sentences in documents.values() for words in sentences for word in words)
    most = max(counts.values())
    with pytest.raises(
        UserError, match=rf"999999 drops every sentence \(.* {most:,} times\); min_count: 1 would keep 100 %$"
    ):
        run_passes(tmp_path, documents, 2, 999_999)
    assert not (tmp_path / "types.parquet").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({}, "the text has no sentence with a letter or digit"),
        ({"unknown": [["<unk>", "<unk>"]]}, "the text holds 2 × <unk> and no other word; use a version"),
    ],
    ids=["empty", "all <unk>"],
)
def test_a_corpus_without_words_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=f"^source: {message}"):
        run_passes(tmp_path, text, 1, MIN_COUNT)


def test_sentences_are_kept_but_every_word_has_become_rare(tmp_path):
    """Each word occurs thrice, once beside a rare one; so all kept sentences have words that are rare by now."""
    words = [f"w{i}" for i in range(12)]
    text = [words, words, [*words, "rare"]]
    with pytest.raises(UserError, match="^min_count: 3 leaves 0 of 13 words in the vocabulary, too few .*; "):
        run_passes(tmp_path, {"d": text}, 1, 3)
    assert not (tmp_path / "thresholds.parquet").exists()


def test_a_refusal_of_split_leaves_no_file_and_names_the_cause(tmp_path):
    same = {"d": [["a", "b"]] * 50}
    with pytest.raises(UserError, match=r"^split: the corpus is one document, so dev gets none"):
        run_passes(tmp_path, same, 1, 1)
    assert not (tmp_path / "0.assignment.npy").exists()
    with pytest.raises(UserError, match=r"the 3 documents that were read .*\(raise max_documents if"):
        run_passes(tmp_path, {f"d{i}": [["a", "b"]] for i in (1, 3, 4)}, 1, 1)
    frame = files.read_parquet(tmp_path / "0.documents.parquet", ["index", "id", "split", "sentences"])
    about = files.read_metadata(tmp_path / "0.documents.parquet")
    files.write_parquet(tmp_path / "0.documents.parquet", frame.assign(id="same"), about)
    with pytest.raises(UserError, match=r"^split: the 3 documents are all equal, so \w+ gets none; add"):
        split.run(list_arguments(tmp_path, 1, 1)[split])


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_truncated_shard_is_named_and_leaves_nothing(tmp_path, documents, part):
    write_shards(tmp_path, documents, 1)
    text = tmp_path / "0.txt.zst"
    whole = text.read_bytes()
    text.write_bytes(whole[: int(len(whole) * part)])
    outputs = {name: tmp_path / "out" / name for name in ("types", "tokens", "lengths")}
    with pytest.raises(UserError, match=r"0\.txt\.zst: (truncated or damaged|is empty)"):
        index.run(argparse.Namespace(text=text, **outputs))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_shard_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "0.txt.zst").write_bytes(zstandard.compress(b"caf\xe9\n"))
    with pytest.raises(UserError, match=r"0\.txt\.zst: not UTF-8"):
        list(index.read_blocks(tmp_path / "0.txt.zst"))


def test_truncated_files_are_named(passes):
    for name in ("0.tokens.npy", "vocabulary.parquet"):
        path = passes / name
        path.write_bytes(path.read_bytes()[:-100])  # more than the digest that follows an array
        with pytest.raises(UserError, match=f"{name}: (not a readable|changed or cut)"):
            files.read_array(path) if name.endswith("npy") else files.read_parquet(path, ["id"])


def test_empty_sentences_shift_no_other(monkeypatch):
    """With empty sentences at both ends and in between, in blocks of a few tokens."""
    monkeypatch.setattr(shards, "TOKENS_PER_BLOCK", 7)
    rng = np.random.default_rng(0)
    lengths = np.concatenate([[0, 0], rng.integers(0, 5, 200), [0]]).astype(np.uint32)
    tokens = rng.integers(0, 30, lengths.sum()).astype(np.uint32)
    counts = np.bincount(tokens, minlength=30)
    sentences = np.split(tokens, np.cumsum(lengths)[:-1])
    survey = thresholds.Survey(counts, [shards.Shard(tokens, lengths)], [np.arange(30)], 13)
    expected = [not (counts[words] < 13).any() for words in sentences]
    assert 0 < sum(expected) < len(expected)
    np.testing.assert_array_equal(survey.keep(13)[0], expected)
    chosen = rng.random(len(lengths)) < 0.5
    wanted = [word for words, keep in zip(sentences, chosen, strict=True) if keep for word in words]
    np.testing.assert_array_equal(shards.take_sentences(tokens, lengths, chosen), wanted)
    counted = shards.count_types(shards.Shard(tokens, lengths), chosen, np.arange(30), 30)
    np.testing.assert_array_equal(counted, np.bincount(wanted, minlength=30))
