"""Sentence filtering (DESIGN §4): drop every sentence that holds a type counted fewer than ``min_count`` times."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa

from natural_sparsity import files
from natural_sparsity.corpus.shards import Shard, count_types, starts_of
from natural_sparsity.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--types", type=Path, nargs="+", required=True, help="each shard's types")
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help="each shard's tokens")
    parser.add_argument("--lengths", type=Path, nargs="+", required=True, help="each shard's sentence lengths")
    parser.add_argument("--min-count", type=int, required=True, help="occurrences in the corpus that a type needs")
    parser.add_argument("--kept", type=Path, nargs="+", required=True, help="out, a shard: .npy bool, one a sentence")
    help_text = "out, a shard: .npy, the row in the output of each of its types"
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--output", type=Path, required=True, help="out: Parquet word, count, kept_count (recounted)")


def unite_types(paths: list[Path]) -> tuple[pa.Array, list[np.ndarray], np.ndarray]:
    """Unite the shards' types.

    Returns:
        The words (n_types,), for each shard the row of each of its types in them, and the corpus counts (n_types,).
    """
    tables = [files.read_table(path, ["word", "count"]) for path in paths]
    united = pa.chunked_array(
        [chunk for table in tables for chunk in table["word"].chunks] or [pa.array([], pa.string())]
    )
    encoded = united.cast(pa.large_string()).combine_chunks().dictionary_encode()
    rows = np.split(encoded.indices.to_numpy(), np.cumsum([len(table) for table in tables])[:-1])
    counts = np.zeros(len(encoded.dictionary), np.int64)
    for shard_rows, table in zip(rows, tables, strict=True):
        counts[shard_rows] += table["count"].to_numpy()  # a shard has each type once
    return encoded.dictionary, rows, counts


def keep_sentences(shard: Shard, rare: np.ndarray) -> np.ndarray:
    """Mark (n_sentences,) the sentences without any of the shard's types that ``rare`` (n_types,) bool marks."""
    kept = np.empty(len(shard.lengths), bool)
    for sentences, tokens in shard.blocks():
        is_rare = rare[shard.tokens[tokens]]
        kept[sentences] = ~np.logical_or.reduceat(is_rare, starts_of(shard.lengths[sentences]))
    return kept


def run(args: argparse.Namespace) -> None:
    """Count, filter the sentences, count again."""
    words, rows, counts = unite_types(args.types)
    if not len(words):
        raise UserError(
            f"{args.types[0].parent}: the corpus holds no tokens; is its format the one that was configured?"
        )
    rare = counts < args.min_count
    kept_counts = np.zeros_like(counts)
    for tokens, lengths, shard_rows, kept_path, rows_path in zip(
        args.tokens, args.lengths, rows, args.kept, args.rows, strict=True
    ):
        shard = Shard.open(tokens, lengths)
        kept = keep_sentences(shard, rare[shard_rows])
        kept_counts[shard_rows] += count_types(shard, kept, len(shard_rows))
        files.write_array(kept_path, kept)
        files.write_array(rows_path, shard_rows)
    if not kept_counts.any():
        raise UserError(
            f"min_count: {args.min_count} filters every sentence away "
            f"(the most frequent type occurs {counts.max()} times); lower it"
        )
    table = pa.table({"word": words, "count": counts, "kept_count": kept_counts})
    files.write_table(args.output, table)
