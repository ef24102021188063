"""Indexed shards, as the passes over the whole corpus read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from natural_sparsity import files
from natural_sparsity.errors import UserError

TOKENS_PER_BLOCK = 1 << 20


@dataclass(frozen=True)
class Shard:
    """One memory-mapped shard: ``tokens`` (n_tokens,), ids of the shard's own types; ``lengths`` (n_sentences,)."""

    tokens: np.ndarray
    lengths: np.ndarray

    @classmethod
    def open(cls, tokens: Path, lengths: Path) -> "Shard":
        """Memory-map a shard; raise :class:`UserError` if the two files do not fit together."""
        shard = cls(files.read_array(tokens), files.read_array(lengths))
        total = int(shard.lengths.sum(dtype=np.int64))
        if total != len(shard.tokens):
            raise UserError(
                f"{lengths}: counts {total} tokens, but {tokens} has {len(shard.tokens)}; delete both and run again"
            )
        return shard

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield (slice of sentences, slice of their tokens), about ``TOKENS_PER_BLOCK`` tokens each."""
        ends = np.cumsum(self.lengths, dtype=np.int64)
        sentence = token = 0
        while sentence < len(ends):
            stop = max(int(np.searchsorted(ends, token + TOKENS_PER_BLOCK, side="right")), sentence + 1)
            yield slice(sentence, stop), slice(token, int(ends[stop - 1]))
            sentence, token = stop, int(ends[stop - 1])


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
