"""The experiment that suits a text.

How its values follow:

- ``min_count``: the largest value from 2 to the paper's 100 that keeps at least half of the tokens (95 % if they are
  characters). If none does, 2 if that keeps two fifths, else 1.
- ``thresholds``: about 700 words exceed ``fig5`` in training, and about 100 exceed ``fig2``. In a small vocabulary a
  tenth and a fiftieth of the words do, but at least 100 and 20. Both are rounded down to 1, 2 or 5 times a power of 10.
- ``tagging.min_tagged``: ``min_count``, but at least 5, since chance decides the part of speech of rarer words.
- ``tagging.matched_size``: the number of words that occur ``min_tagged`` times in training, divided by 80 and rounded
  down to tens; at least 3, and at most the paper's 120.
- ``split.seed``: the default, unless it gives a split less than half of its share, as can happen with few documents.
  Then, of the first hundred seeds, the one that does best.
- ``shards``: one, plus one per half million words, up to 64. Results do not depend on it.

For the text of the default run with its
``min_count`` of 3 they give that run's own values: 100 and 20, 5, 40, and 2.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity.config.data.text import Split
from natural_sparsity.corpus.account import MIN_WORDS
from natural_sparsity.corpus.filter import describe
from natural_sparsity.corpus.inspection.look import Look
from natural_sparsity.corpus.shards import Shard, count_types, find_starts
from natural_sparsity.corpus.split import SPLITS, TRAIN, split_of
from natural_sparsity.corpus.thresholds import mark_words, tabulate

TO_KEEP = {"word": 0.5, "character": 0.95}
LEAST_COUNT, MOST_COUNT = 2, 100
ABOUT_HALF = 0.4  # of the tokens: enough for LEAST_COUNT
DRAWN = {"fig2": (20, 50, 100), "fig5": (100, 10, 700)}  # the least words, the part of the vocabulary, the most words
LEAST_TAGGED = 5
TAGGED_PER_MATCHED, LEAST_MATCHED, MOST_MATCHED = 80, 3, 120
TOKENS_PER_SHARD, MOST_SHARDS = {"word": 500_000, "character": 2_500_000}, 64
SEEDS, MOST_DOCUMENTS = 100, 1000  # to try; with more documents, chance alone leaves no split short
LEAST_PART = 0.5  # of a split's share
SPLIT = Split()
SHARES = [SPLIT.train, SPLIT.dev, SPLIT.test]


@dataclass(frozen=True)
class Suggestion:
    """The values for a text, and what they leave of it.

    Attributes:
        table: what each ``min_count`` would leave, as :mod:`natural_sparsity.corpus.thresholds` has it.
        account: what the filter and the split leave, as :mod:`natural_sparsity.corpus.account` has it; a split's
            ``all_sentences`` are those before the filter.
        known: which types are words of the vocabulary (n_types,).
        kept: which sentences are kept (n_sentences,).
        drawn: how many words exceed each threshold.
    """

    min_count: int
    seed: int
    shards: int
    tagging: dict[str, int]
    thresholds: dict[str, int]
    table: pd.DataFrame
    account: dict[str, Any]
    known: np.ndarray
    kept: np.ndarray
    drawn: dict[str, int]


def suggest(text: Look, unit: str, min_count: int | None = None) -> Suggestion:
    """Suggest the values for a text; ``min_count``: not the one that suits it, but this one."""
    counts, shard = text.counts(), Shard(text.tokens, text.lengths)
    table = tabulate(counts, text.tokens, text.lengths, min_count, text.unknown)
    min_count = min_count or choose_min_count(table, unit)
    rows, is_word = np.arange(len(counts)), mark_words(len(counts), text.unknown)
    rare = is_word & (counts < min_count)
    kept = ~np.logical_or.reduceat(rare[text.tokens], find_starts(text.lengths))
    known = is_word & (count_types(shard, kept, rows, len(counts)) >= min_count)
    seed = choose_seed(text.ids, text.sum_by_document(text.lengths * kept))
    splits = np.repeat(assign(text.ids, seed), text.sentences)
    assignment = splits * kept
    training = count_types(shard, assignment == TRAIN, rows, len(counts))[known]
    thresholds = {
        figure: find_threshold(training, min(max(least, len(training) // part), most))
        for figure, (least, part, most) in DRAWN.items()
    }
    min_tagged = max(min_count, LEAST_TAGGED)
    matched_size = int((training >= min_tagged).sum()) // TAGGED_PER_MATCHED
    matched_size -= matched_size % 10 if matched_size > 10 else 0
    return Suggestion(
        min_count,
        seed,
        min(1 + len(text.tokens) // TOKENS_PER_SHARD[unit], MOST_SHARDS, len(text.ids)),
        {"min_tagged": min_tagged, "matched_size": min(max(matched_size, LEAST_MATCHED), MOST_MATCHED)},
        thresholds,
        table,
        {
            "filter": {"given_splits": False, **describe(table, min_count, counts[is_word])},
            "sentences": {"unit": unit},
            "splits": {
                name: {
                    "all_sentences": int((splits == split).sum()),
                    "sentences": int((assignment == split).sum()),
                    "tokens": int(text.lengths[assignment == split].sum()),
                }
                for name, split in SPLITS.items()
            },
        },
        known,
        kept,
        {figure: int((training > threshold).sum()) for figure, threshold in thresholds.items()},
    )


def choose_min_count(table: pd.DataFrame, unit: str) -> int:
    """Choose the ``min_count`` that suits a text, by what each would leave."""
    before = table.iloc[0]
    fits = table[
        table["min_count"].between(LEAST_COUNT, MOST_COUNT) & (table["types"] >= min(before["types"], MIN_WORDS))
    ]
    enough = fits[fits["tokens"] >= TO_KEEP[unit] * before["tokens"]]
    nearly = fits[fits["tokens"] >= ABOUT_HALF * before["tokens"]]
    return int(enough["min_count"].max()) if len(enough) else LEAST_COUNT if len(nearly) else 1


def assign(ids: list[str], seed: int) -> np.ndarray:
    """Assign (n_documents,) documents to splits of the default's shares."""
    return np.array([split_of(id_, SHARES, seed) for id_ in ids], np.uint8)


def choose_seed(ids: list[str], sizes: np.ndarray) -> int:
    """Choose the seed of the split of documents with these ``sizes`` (n_documents,), in tokens."""

    def find_least(seed: int) -> float:
        """The smallest part that a split has of its share."""
        return min(np.bincount(assign(ids, seed), sizes, 4)[1:] / max(sizes.sum(), 1) / SHARES)

    if len(ids) > MOST_DOCUMENTS or find_least(SPLIT.seed) >= LEAST_PART:
        return SPLIT.seed
    return max(range(1, SEEDS + 1), key=find_least)


def find_threshold(counts: np.ndarray, words: int) -> int:
    """Find a round number that so many ``words`` exceed, or all that occur."""
    falling = np.sort(counts[counts > 0])[::-1]
    if not len(falling):
        return 0
    return round_down(int(falling[min(words, len(falling)) - 1]) - 1)


def round_down(number: int) -> int:
    """Round to 1, 2 or 5 and zeros; 0 stays."""
    return max(
        (digit * 10**power for power in range(18) for digit in (1, 2, 5) if digit * 10**power <= number), default=0
    )
