"""What every ``min_count`` would leave of a corpus: a table, exact, from two passes over the tokens."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from natural_sparsity.corpus.shards import Shard, find_starts, take_sentences

COLUMNS = ["min_count", "sentences", "tokens", "types", "unknown_tokens"]


def list_candidates(most: int, min_count: int | None = None) -> np.ndarray:
    """List 1, 2, 3, 5, 10, 20, 50, 100 … up to ``most``, and ``min_count``, in rising order."""
    steps = [1, 2, 3, 5, *(digit * 10**power for power in range(1, 18) for digit in (1, 2, 5))]
    return np.unique([1, *(step for step in steps if step <= most), *([min_count] if min_count else [])])


def tabulate(
    counts: np.ndarray,
    tokens: np.ndarray,
    lengths: np.ndarray,
    min_count: int | None = None,
    unknown: int | None = None,
) -> pd.DataFrame:
    """Tabulate what each ``min_count`` would leave of a corpus: drop sentences with a rarer type, then count again.

    Args:
        counts: occurrences of each type (n_types,).
        tokens: the type of each token (n_tokens,), sentence after sentence.
        lengths: tokens of each sentence (n_sentences,).
        min_count: one more candidate beside the usual ones.
        unknown: the type that is ``<unk>`` in the text, if it has one: it is never rare, and no word.

    Returns:
        :data:`COLUMNS`, a row per candidate, in rising order: the sentences kept, their tokens (without ``<eos>``), the
        types that still reach ``min_count``, and how many of the tokens are ``<unk>`` because theirs do not.
    """
    return Survey(counts, [Shard(tokens, lengths)], [np.arange(len(counts))], min_count, unknown).table()


def tabulate_given(
    counts: np.ndarray, in_training: np.ndarray, sentences: int, min_count: int, unknown: int | None = None
) -> pd.DataFrame:
    """Do as :func:`tabulate` where the source gives the splits: every sentence is kept, and training decides the words.

    ``counts`` and ``in_training`` (n_types,) are each type's occurrences in all splits and in training.
    """
    is_word = mark_words(len(counts), unknown)
    candidates = list_candidates(int(in_training[is_word].max(initial=0)), min_count)
    total, rows = int(counts.sum()), []
    for candidate in candidates.tolist():
        known = is_word & (in_training >= candidate)
        rows.append((candidate, sentences, total, int(known.sum()), total - int(counts[known].sum())))
    return pd.DataFrame(rows, columns=COLUMNS)


def mark_words(n_types: int, unknown: int | None) -> np.ndarray:
    """Mark (n_types,) bool all types but ``unknown``."""
    return np.arange(n_types) != (-1 if unknown is None else unknown)


class Survey:
    """Counts of types for every candidate ``min_count`` at once.

    The level of a type is the number of candidates that its count reaches; the level of a sentence is the level of its
    rarest type. Candidate k (from 0) keeps the sentences whose level is above k. Types are ranked by falling level. A
    sentence of level n has only types of level n or more, the first ``reach[n]`` ranks, so only these need a cell for
    level n. Since most types are rare, there are about two cells per type, however many candidates there are.

    Attributes:
        levels: the level of each sentence of each shard, (n_sentences,) uint8; an empty sentence has the highest.
    """

    def __init__(
        self,
        counts: np.ndarray,
        shards: list[Shard],
        rows: list[np.ndarray],
        min_count: int | None = None,
        unknown: int | None = None,
    ):
        """Go twice over ``shards``; ``rows`` give the row in ``counts`` of each of their types (n_shard_types,)."""
        self.is_word = mark_words(len(counts), unknown)
        self.candidates = list_candidates(int(counts[self.is_word].max(initial=0)), min_count)
        levels = np.searchsorted(self.candidates, counts, side="right").astype(np.uint8)
        levels[~self.is_word] = len(self.candidates)
        self.reach = np.cumsum(np.bincount(levels, minlength=len(self.candidates) + 1)[::-1])[::-1]
        self.reach[0] = 0  # no sentence has level 0, since each of its types occurs
        order = np.argsort(len(self.candidates) - levels, kind="stable")
        self.ranks = np.empty(len(order), np.uint32)
        self.ranks[order] = np.arange(len(order), dtype=np.uint32)
        self.sentences, self.tokens = np.zeros((2, len(self.reach)), np.int64)
        self.levels = [self.find_levels(shard, levels[own]) for shard, own in zip(shards, rows, strict=True)]
        # The level with most tokens is not counted: it has what the others leave of the corpus.
        self.rest = int(self.tokens.argmax())
        self.starts = find_starts(self.reach)
        self.cells = np.zeros(self.reach.sum(), np.uint32 if counts.max(initial=0) < 1 << 32 else np.int64)
        for shard, own, found in zip(shards, rows, self.levels, strict=True):
            self.count(shard, self.ranks[own], found)
        left = counts[order]
        for level in range(len(self.reach)):
            left[: self.reach[level]] -= self.level_counts(level)
        self.level_counts(self.rest)[:] = left[: self.reach[self.rest]]

    def level_counts(self, level: int) -> np.ndarray:
        """The counts (reach[level],) by rank in the sentences of a level, as a view."""
        return self.cells[self.starts[level] :][: self.reach[level]]

    def find_levels(self, shard: Shard, levels: np.ndarray) -> np.ndarray:
        """Find the level of each sentence (n_sentences,), given the ``levels`` of the shard's types (n_types,)."""
        found = np.full(len(shard.lengths), len(self.candidates), np.uint8)
        for sentences, tokens in shard.blocks():
            lengths, block = shard.lengths[sentences], found[sentences]
            # reduceat would give an empty sentence the first token of the next one.
            starts = find_starts(lengths)[lengths > 0]
            if len(starts):
                block[lengths > 0] = np.minimum.reduceat(levels.take(shard.tokens[tokens]), starts)
            self.sentences += np.bincount(block, minlength=len(self.reach))
            # bincount adds its weights as floats, which is exact below 2^53.
            self.tokens += np.bincount(block, lengths, len(self.reach)).astype(np.int64)
        return found

    def count(self, shard: Shard, ranks: np.ndarray, found: np.ndarray) -> None:
        """Count a shard, given the ``ranks`` of its types (n_types,) and the levels of its sentences (n_sentences,)."""
        one = self.cells.dtype.type(1)  # a number of another type would make add.at ten times slower
        for sentences, tokens in shard.blocks():
            lengths, chosen = shard.lengths[sentences], found[sentences] != self.rest
            cells = np.repeat(self.starts[found[sentences][chosen]], lengths[chosen])
            cells += ranks.take(take_sentences(shard.tokens[tokens], lengths, chosen))
            np.add.at(self.cells, cells, one)

    def keep(self, min_count: int) -> list[np.ndarray]:
        """Mark (n_sentences,) the sentences of each shard that a candidate keeps."""
        return [levels > np.searchsorted(self.candidates, min_count) for levels in self.levels]

    def count_kept(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each candidate, the highest first, with the counts (n_types,) by rank in the sentences that it keeps.

        The counts are changed in place from one to the next.
        """
        counts = np.zeros(len(self.ranks), np.int64)
        # The highest candidate keeps the sentences of the highest level; each lower one keeps one level more.
        for level, candidate in reversed(list(enumerate(self.candidates.tolist(), 1))):
            counts[: self.reach[level]] += self.level_counts(level)
            yield candidate, counts

    def kept_counts(self, min_count: int) -> np.ndarray:
        """Count (n_types,) the types in the sentences that a candidate keeps."""
        return next(counts for candidate, counts in self.count_kept() if candidate == min_count)[self.ranks]

    def table(self) -> pd.DataFrame:
        """The table; see :func:`tabulate`."""
        is_word = np.empty(len(self.ranks), bool)
        is_word[self.ranks] = self.is_word
        kept = np.cumsum([self.sentences[:0:-1], self.tokens[:0:-1]], axis=1).T.tolist()
        rows = []
        for (candidate, counts), (sentences, tokens) in zip(self.count_kept(), kept, strict=True):
            known = (counts >= candidate) & is_word
            rows.append((candidate, sentences, tokens, int(known.sum()), tokens - int(counts[known].sum())))
        return pd.DataFrame(rows[::-1], columns=COLUMNS)
