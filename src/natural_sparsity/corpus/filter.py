"""Drop every sentence that has a type with fewer than ``min_count`` occurrences in the corpus, then count again.

Where the source gives the splits, no sentence is dropped: a type is rare if the training split has too few of it.
``<unk>`` in the text is the model's special, never rare.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from natural_sparsity import files
from natural_sparsity.corpus.account import refuse_few_words, suggest
from natural_sparsity.corpus.shards import Shard, check_lists, check_shards, count_types
from natural_sparsity.corpus.split import TRAIN, read_given_splits
from natural_sparsity.corpus.thresholds import Survey, mark_words, tabulate_given
from natural_sparsity.corpus.vocabulary import EOS, SPECIALS, UNK
from natural_sparsity.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--types", type=Path, nargs="+", required=True, help="types of each shard")
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="documents of each shard")
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help="tokens of each shard")
    parser.add_argument("--lengths", type=Path, nargs="+", required=True, help="sentence lengths of each shard")
    help_text = "how often a type must occur in the corpus for its sentences to be kept"
    parser.add_argument("--min-count", type=int, required=True, help=help_text)
    help_text = "out: one .npy per shard, bool, one value per sentence"
    parser.add_argument("--kept", type=Path, nargs="+", required=True, help=help_text)
    help_text = "out: one .npy per shard, the output row of each of its types; past the last row for rare types"
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help=help_text)
    help_text = "out: Parquet word, count, kept_count (in the kept sentences) of the frequent types"
    parser.add_argument("--output", type=Path, required=True, help=help_text)
    help_text = "out: Parquet, what each min_count would leave"
    parser.add_argument("--thresholds", type=Path, required=True, help=help_text)
    parser.add_argument("--account", type=Path, required=True, help="out: JSON, what was kept and dropped")


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


def find_row(words: pa.Array, word: str) -> int | None:
    """Find the row of a word; None if it is not there."""
    row = pc.index(words, pa.scalar(word, words.type)).as_py()
    return None if row < 0 else row


def run(args: argparse.Namespace) -> None:
    """Count the types, filter the sentences, count again.

    Raises:
        UserError: the corpus holds no words, or ``<eos>``; ``min_count`` leaves nothing; files do not fit together.
    """
    if args.min_count < 1:
        raise UserError(f"min_count: {args.min_count} is not positive; give at least 1")
    check_lists(args.lengths, args.tokens, args.kept, args.rows)
    texts = check_shards(args.lengths, args.types, args.documents)
    refuse_shared_documents(args.documents)
    words, rows, counts = unite_types([files.read_table(path, ["word", "count"]) for path in args.types])
    unknown = find_row(words, SPECIALS[UNK])
    is_word = mark_words(len(words), unknown)
    refuse_words(words, counts, is_word)
    shards = [Shard.open(*paths) for paths in zip(args.tokens, args.lengths, strict=True)]
    splits = read_given_splits(args.documents)
    if splits is None:
        survey = Survey(counts, shards, rows, args.min_count, unknown)
        compared, kept_counts, table = counts, survey.kept_counts(args.min_count), survey.table()
        all_kept = survey.keep(args.min_count)
    else:
        compared = kept_counts = count_in_training(shards, rows, splits, args.documents, len(words))
        all_kept = [np.ones(len(shard.lengths), bool) for shard in shards]
        table = tabulate_given(counts, compared, sum(map(len, all_kept)), args.min_count, unknown)
    frequent = is_word & (compared >= args.min_count)
    account = {"given_splits": splits is not None, **describe(table, args.min_count, counts[is_word])}
    if not frequent.any() or not account["after"]["tokens"]:
        raise UserError(explain_empty(account, compared[is_word].max()))
    refuse_few_words(account, least=1)  # of the kept sentences, counted again
    # All rare types and <unk> share one row, past the end of the table.
    to_row = np.full(len(words), frequent.sum(), np.uint32)
    to_row[frequent] = np.arange(frequent.sum())
    about: dict[str, Any] = {"min_count": args.min_count, "texts": texts}
    # The given splits, too, decide which words are rare.
    documents = [files.compute_digest(path).hex() for path in args.documents]
    run_id = files.digest_content(about | {"documents": documents})
    for text, kept, kept_path, own, rows_path in zip(texts, all_kept, args.kept, rows, args.rows, strict=True):
        files.write_array(kept_path, kept, {"text": text, "filter": run_id})
        files.write_array(rows_path, to_row[own], {"text": text, "filter": run_id})
    columns = {"count": counts[frequent], "kept_count": kept_counts[frequent]}
    frame = pd.DataFrame({"word": words.filter(frequent).to_pandas(), **columns})
    files.write_parquet(args.output, frame, about | {"filter": run_id})
    files.write_parquet(args.thresholds, table)
    files.write_json(args.account, account)


def refuse_shared_documents(paths: list[Path]) -> None:
    """Raise :class:`UserError` if a document is in two shards, as when one shard was copied over another."""
    indices = [files.read_table(path, ["index"])["index"].to_numpy() for path in paths]
    documents, times = np.unique(np.concatenate(indices), return_counts=True)
    for document in documents[times > 1]:
        holders = [path for path, index in zip(paths, indices, strict=True) if document in index]
        raise UserError(f"{holders[-1]}: holds documents that {holders[0]} holds, too; delete both and run again")


def refuse_words(words: pa.Array, counts: np.ndarray, is_word: np.ndarray) -> None:
    """Raise :class:`UserError` if the corpus holds no word, or ``<eos>``."""
    if not counts.any():
        raise UserError(
            "source: the text has no sentence with a letter or digit; check that format is right, or name another text"
        )
    if not counts[is_word].any():
        raise UserError(
            f"source: the text holds {counts.sum():,} × <unk> and no other word;"
            " use a version of the text with all its words"
        )
    row = find_row(words, SPECIALS[EOS])
    if row is not None:
        raise UserError(
            f"source: the text holds {counts[row]:,} × <eos>, which marks the end of a sentence for the model;"
            " remove it from the text"
        )


def count_in_training(
    shards: list[Shard], rows: list[np.ndarray], splits: list[np.ndarray], documents: list[Path], n_types: int
) -> np.ndarray:
    """Count (n_types,) the types in the training split, given the splits of each shard's documents."""
    counts = np.zeros(n_types, np.int64)
    for shard, own, split, path in zip(shards, rows, splits, documents, strict=True):
        in_training = np.repeat(split == TRAIN, files.read_parquet(path, ["sentences"])["sentences"])
        counts += count_types(shard, in_training, own, n_types)
    return counts


def describe(table: pd.DataFrame, min_count: int, counts: np.ndarray) -> dict[str, Any]:
    """Say what the filter kept of a corpus whose words have these ``counts`` (n_words,).

    Returns:
        ``min_count``; ``before``: ``sentences``, ``tokens``, ``types`` and ``unknown_tokens`` (``<unk>`` in its text)
        of the corpus; ``after``: the same of what is kept; ``thresholds``: the rows of ``table``.
    """
    thresholds = [{key: int(value) for key, value in row.items()} for row in table.to_dict("records")]
    [after] = [row for row in thresholds if row["min_count"] == min_count]
    whole = thresholds[0]
    before = whole | {"types": int((counts > 0).sum()), "unknown_tokens": whole["tokens"] - int(counts.sum())}
    keys = ["sentences", "tokens", "types", "unknown_tokens"]
    return {
        "min_count": min_count,
        "before": {key: before[key] for key in keys},
        "after": {key: after[key] for key in keys},
        "thresholds": thresholds,
    }


def explain_empty(account: dict[str, Any], most: int) -> str:
    """Say that the filter left nothing, and why."""
    what = "leaves no word of the training file" if account["given_splits"] else "drops every sentence"
    return (
        f"min_count: {account['min_count']} {what} (the most frequent word occurs {most:,} times); {suggest(account)}"
    )
