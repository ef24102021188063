"""Drop every sentence that has a type with fewer than ``min_count`` occurrences in the corpus, then count again."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa

from natural_sparsity import files
from natural_sparsity.corpus.shards import Shard, count_types, find_starts
from natural_sparsity.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--types", type=Path, nargs="+", required=True, help="types of each shard")
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help="tokens of each shard")
    parser.add_argument("--lengths", type=Path, nargs="+", required=True, help="sentence lengths of each shard")
    parser.add_argument("--min-count", type=int, required=True, help="occurrences in the corpus that a type needs")
    help_text = "out: one .npy per shard, bool, one value per sentence"
    parser.add_argument("--kept", type=Path, nargs="+", required=True, help=help_text)
    help_text = "out: one .npy per shard, the output row of each of its types; past the last row for rare types"
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help=help_text)
    help_text = "out: Parquet word, count, kept_count (in the kept sentences) of the frequent types"
    parser.add_argument("--output", type=Path, required=True, help=help_text)


def unite_types(tables: list[pa.Table]) -> tuple[pa.Array, list[np.ndarray], np.ndarray]:
    """Unite the types of all shards.

    Args:
        tables: one per shard, with ``word`` and ``count``; each word occurs once in a table.

    Returns:
        The words (n_types,), for each shard the row of each of its types in them, and the corpus counts (n_types,).
    """
    if len(tables) == 1:
        words = tables[0]["word"].combine_chunks()
        return words, [np.arange(len(words), dtype=np.int32)], tables[0]["count"].to_numpy()
    # With 32-bit offsets a column could hold only 2 GiB of text.
    chunks = [chunk.cast(pa.large_string()) for table in tables for chunk in table["word"].chunks]
    encoded = pa.chunked_array(chunks, pa.large_string()).combine_chunks().dictionary_encode()
    rows = np.split(encoded.indices.to_numpy(), np.cumsum([len(table) for table in tables])[:-1])
    counts = np.zeros(len(encoded.dictionary), np.int64)
    for shard_rows, table in zip(rows, tables, strict=True):
        counts[shard_rows] += table["count"].to_numpy()
    return encoded.dictionary, rows, counts


def keep_sentences(shard: Shard, rare: np.ndarray) -> np.ndarray:
    """Mark (n_sentences,) the sentences that have none of the types marked in ``rare`` (n_types,) bool."""
    kept = np.ones(len(shard.lengths), bool)
    for sentences, tokens in shard.blocks():
        lengths = shard.lengths[sentences]
        # reduceat would give an empty sentence the first token of the next one.
        starts = find_starts(lengths)[lengths > 0]
        if len(starts):
            kept[sentences][lengths > 0] = ~np.logical_or.reduceat(rare.take(shard.tokens[tokens]), starts)
    return kept


def run(args: argparse.Namespace) -> None:
    """Count the types, filter the sentences, count again."""
    words, rows, counts = unite_types([files.read_table(path, ["word", "count"]) for path in args.types])
    if not len(words):
        raise UserError(
            f"{args.types[0].parent}: the corpus holds no tokens; check that its format is the configured one"
        )
    frequent = counts >= args.min_count
    if not frequent.any():
        raise UserError(explain_empty(args.min_count, counts))
    # A kept sentence has only frequent types. All rare types share one row, past the end of the table.
    to_row = np.full(len(words), frequent.sum(), np.uint32)
    to_row[frequent] = np.arange(frequent.sum())
    kept_counts = np.zeros(frequent.sum() + 1, np.int64)
    for tokens, lengths, shard_rows, kept_path, rows_path in zip(
        args.tokens, args.lengths, rows, args.kept, args.rows, strict=True
    ):
        shard = Shard.open(tokens, lengths)
        kept = keep_sentences(shard, ~frequent[shard_rows])
        own_rows = to_row[shard_rows]
        kept_counts += count_types(shard, kept, own_rows, len(kept_counts))
        files.write_array(kept_path, kept)
        files.write_array(rows_path, own_rows)
    if not kept_counts.any():
        raise UserError(explain_empty(args.min_count, counts))
    columns = {"word": words.filter(frequent), "count": counts[frequent], "kept_count": kept_counts[:-1]}
    files.write_table(args.output, pa.table(columns))


def explain_empty(min_count: int, counts: np.ndarray) -> str:
    """Say that the filter left no sentence, and why."""
    most = f"the most frequent type occurs {counts.max()} times"
    return f"min_count: {min_count} filters every sentence away ({most}); lower it"
