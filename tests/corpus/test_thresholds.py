"""The table of what each ``min_count`` would leave, against the filter in plain Python, one candidate at a time."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies
from passes_chain import run_passes

from natural_sparsity import files
from natural_sparsity.corpus import shards
from natural_sparsity.corpus.thresholds import Survey, list_candidates, tabulate

SENTENCES = strategies.lists(strategies.lists(strategies.integers(0, 12), max_size=8), min_size=1, max_size=60)
UNKNOWN = 12


def filter_plainly(sentences, min_count, unknown=None):
    """Drop sentences with a rarer word, count again: sentences, tokens, words that reach min_count, other tokens."""
    counts = Counter(word for words in sentences for word in words)
    kept = [s for s in sentences if all(counts[word] >= min_count or word == unknown for word in s)]
    recount = Counter(word for words in kept for word in words)
    known = {word for word, count in recount.items() if count >= min_count and word != unknown}
    others = sum(count for word, count in recount.items() if word not in known)
    return len(kept), sum(map(len, kept)), len(known), others


def arrays(sentences):
    """The counts of 13 types, the tokens and the lengths."""
    tokens = np.array([word for words in sentences for word in words], np.uint32)
    return np.bincount(tokens, minlength=13), tokens, np.array(list(map(len, sentences)), np.uint32)


@given(SENTENCES, strategies.integers(1, 40), strategies.sampled_from([None, UNKNOWN]))
def test_every_row_is_what_the_filter_would_leave(sentences, min_count, unknown):
    table = tabulate(*arrays(sentences), min_count, unknown)
    counts = Counter(word for words in sentences for word in words if word != unknown)
    usual = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500]
    assert table["min_count"].tolist() == sorted(
        {1, min_count} | {c for c in usual if c <= max(counts.values(), default=0)}
    )
    for row in table.itertuples(index=False):
        assert tuple(row)[1:] == filter_plainly(sentences, row.min_count, unknown)


@given(SENTENCES, strategies.integers(1, 20))
def test_the_table_does_not_depend_on_shards_and_blocks(sentences, min_count):
    counts, tokens, lengths = arrays(sentences)
    whole = Survey(counts, [shards.Shard(tokens, lengths)], [np.arange(13)], min_count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "TOKENS_PER_BLOCK", 5)
        pieces, rows = [], []
        for part in (sentences[::2], sentences[1::2]):
            own = sorted({word for words in part for word in words}, reverse=True)  # a shard has its own type ids
            ids = np.array([own.index(word) for words in part for word in words], np.uint32)
            pieces.append(shards.Shard(ids, np.array(list(map(len, part)), np.uint32)))
            rows.append(np.array(own, np.int32))
        parts = Survey(counts, pieces, rows, min_count)
    pd.testing.assert_frame_equal(parts.table(), whole.table())
    np.testing.assert_array_equal(parts.kept_counts(min_count), whole.kept_counts(min_count))
    kept = np.empty(len(sentences), bool)
    kept[::2], kept[1::2] = parts.keep(min_count)
    np.testing.assert_array_equal(kept, whole.keep(min_count)[0])


def test_candidates():
    assert list_candidates(1200).tolist() == [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000]
    assert list_candidates(5, 7).tolist() == [1, 2, 3, 5, 7]
    assert list_candidates(0).tolist() == [1]


def test_the_filter_writes_the_table_of_the_whole_corpus(tmp_path):
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(300)])
    sentences = [words[np.minimum(rng.zipf(1.4, rng.integers(1, 9)) - 1, 299)].tolist() for _ in range(3000)]
    run_passes(tmp_path, {f"d{i}": sentences[i * 20 : i * 20 + 20] for i in range(150)}, 3, 7)
    table = files.read_parquet(tmp_path / "thresholds.parquet", ["min_count", "sentences", "tokens", "types"])
    assert 7 in table["min_count"].tolist()
    for row in table.itertuples(index=False):
        assert tuple(row)[1:] == filter_plainly(sentences, row.min_count)[:3]
    words = files.read_parquet(tmp_path / "vocabulary.parquet", ["word"])
    assert len(words) - 2 == table.set_index("min_count").loc[7, "types"] > 10


def test_a_corpus_of_four_thousand_million_occurrences_does_not_overflow():
    """Counts as of all of Wikipedia; the tokens themselves are left out."""
    counts = np.array([1 << 33, 5])
    survey = Survey(counts, [], [], 100)
    assert survey.cells.dtype == np.int64
