"""Indexed shards, as the passes over the whole corpus read them, and the check that a shard's files belong together.

A shard's files record ``text``, the digest of its sentences. What ``filter`` makes of it, and what is made of that,
also records ``filter``, which stands for that command's run.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from

TOKENS_PER_BLOCK = 1 << 20


@dataclass(frozen=True)
class Shard:
    """One memory-mapped shard: ``tokens`` (n_tokens,), ids of the shard's own types; ``lengths`` (n_sentences,)."""

    tokens: np.ndarray
    lengths: np.ndarray

    @classmethod
    def open(cls, tokens: Path, lengths: Path) -> "Shard":
        """Memory-map a shard; raise :class:`UserError` if the two files do not belong together."""
        of_tokens, of_lengths = files.open_array(tokens), files.open_array(lengths)
        check_made_from(lengths, of_lengths.metadata, "tokens", tokens, of_tokens.digest)
        return cls(of_tokens.array, of_lengths.array)

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield (slice of sentences, slice of their tokens), about ``TOKENS_PER_BLOCK`` tokens each."""
        ends = np.cumsum(self.lengths, dtype=np.int64)
        sentence = token = 0
        while sentence < len(ends):
            stop = max(int(np.searchsorted(ends, token + TOKENS_PER_BLOCK, side="right")), sentence + 1)
            yield slice(sentence, stop), slice(token, int(ends[stop - 1]))
            sentence, token = stop, int(ends[stop - 1])


def check_lists(first: Sequence[Path], *others: Sequence[Path]) -> None:
    """Check lists of one file per shard; raise :class:`UserError` if their lengths differ or one names a file twice."""
    for paths in (first, *others):
        if len(paths) != len(first):
            raise UserError(
                f"{paths[0]}: one of {len(paths)} files, but there are {len(first)} like {first[0]};"
                " give one of each shard"
            )
        [(path, count)] = Counter(paths).most_common(1)
        if count > 1:
            raise UserError(f"{path}: given {count} times; give each shard once")


def check_shards(first: Sequence[Path], *others: Sequence[Path]) -> list[str]:
    """Check that lists of files, one file per shard, are of the same shards in the same order; return their texts.

    Raises:
        UserError: a file is of another shard; also as :func:`check_lists` does.
    """
    check_lists(first, *others)
    texts = [files.read_metadata(path).get("text", "") for path in first]
    for paths in others:
        for path, of_first, text in zip(paths, first, texts, strict=True):
            check_made_from(path, files.read_metadata(path), "text", of_first, text)
    return texts


def check_filter(counts: Path, texts: list[str], *lists: Sequence[Path]) -> None:
    """Check that ``counts``, which ``filter`` wrote, are of the shards with these texts and the lists of the same run.

    Raises:
        UserError: shards are missing, or a file is of another run of ``filter``.
    """
    about = files.read_metadata(counts)
    if about.get("texts") != texts:
        raise UserError(
            f"{counts}: was not made from these {len(texts)} shards in this order;"
            " give the same shards as to filter, or run filter again"
        )
    for paths in lists:
        for path in paths:
            check_made_from(path, files.read_metadata(path), "filter", counts, about["filter"], "run of filter")


def find_starts(lengths: np.ndarray) -> np.ndarray:
    """Return the offsets (n,) at which consecutive pieces of these lengths begin."""
    return np.cumsum(lengths, dtype=np.int64) - lengths


def take_sentences(tokens: np.ndarray, lengths: np.ndarray, selected: np.ndarray) -> np.ndarray:
    """Take the tokens of the sentences marked in ``selected`` (n_sentences,) bool, out of a block of sentences.

    By index: where few sentences are selected, most of the tokens are not even read.
    """
    chosen = lengths[selected].astype(np.int64)
    index = np.repeat(find_starts(lengths)[selected] - find_starts(chosen), chosen)
    index += np.arange(len(index))
    return tokens.take(index)


def count_types(shard: Shard, selected: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    """Count (n_rows,) the types in the sentences marked in ``selected`` (n_sentences,) bool.

    ``rows`` (n_types,) maps each of the shard's types to the row that it counts for.
    """
    counts = np.zeros(n_rows, np.int64)
    for sentences, tokens in shard.blocks():
        chosen = take_sentences(shard.tokens[tokens], shard.lengths[sentences], selected[sentences])
        # Not bincount, which would make an array of all rows for each block.
        np.add.at(counts, rows.take(chosen).astype(np.int64), 1)
    return counts
