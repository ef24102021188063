"""Write one token stream per split: its sentences in the documents' original order, each followed by ``<eos>``.

Say what was kept of the text, and stop if that is too little to train on.
"""

import argparse
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from natural_sparsity import files
from natural_sparsity.corpus.account import list_warnings, read_accounts, refuse_small, tell
from natural_sparsity.corpus.shards import (
    TOKENS_PER_BLOCK,
    Shard,
    check_filter,
    check_lists,
    check_shards,
    find_starts,
    take_sentences,
)
from natural_sparsity.corpus.split import DROPPED, SPLITS, TRAIN
from natural_sparsity.corpus.vocabulary import EOS, UNK, read_by_id
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from, check_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--vocabulary", type=Path, required=True, help="Parquet id, word, count")
    parser.add_argument("--counts", type=Path, required=True, help="frequent types of the corpus")
    help_text = "rows of each shard's types in --counts"
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help="tokens of each shard")
    parser.add_argument("--lengths", type=Path, nargs="+", required=True, help="sentence lengths of each shard")
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="documents of each shard")
    parser.add_argument("--assignment", type=Path, nargs="+", required=True, help="sentence splits of each shard")
    help_text = "accounts of documents, of each shard's sentences, and of filter, in this order"
    parser.add_argument("--accounts", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--train", type=Path, required=True, help="out: .npy")
    parser.add_argument("--dev", type=Path, required=True, help="out: .npy")
    parser.add_argument("--test", type=Path, required=True, help="out: .npy")
    help_text = "out: Parquet train, dev, test: the tokens of each document, in the streams' order"
    parser.add_argument("--document-tokens", type=Path, required=True, help=help_text)
    parser.add_argument("--summary", type=Path, required=True, help="out: JSON, sizes and account of the corpus")


@dataclass(frozen=True)
class EncodedShard:
    """A shard with what encoding needs.

    ``ids`` (n_types,): vocabulary ids of its types. ``assignment`` and ``documents`` (n_sentences,): splits of its
    sentences, and the rows of their documents. ``index`` (n_documents,): places of its documents in the corpus.
    """

    shard: Shard
    ids: np.ndarray
    assignment: np.ndarray
    documents: np.ndarray
    index: np.ndarray


def map_rows_to_ids(counts_path: Path, words: pa.Array, dtype: np.dtype) -> np.ndarray:
    """Return the vocabulary id of each frequent type and, last, of the rare ones; ``<unk>`` outside the vocabulary."""
    types = files.read_table(counts_path, ["word"])["word"].combine_chunks()
    ids = pc.fill_null(pc.index_in(types, words.cast(types.type)), UNK).to_numpy(zero_copy_only=False)
    return np.append(ids, UNK).astype(dtype)


def count_tokens(encoded: EncodedShard) -> np.ndarray:
    """Count (n_documents, 4) each document's tokens in each split, ``<eos>`` included; the first column is 0."""
    # The filter may have dropped most sentences: select before counting anything.
    kept = np.flatnonzero(encoded.assignment != DROPPED)
    cells = 4 * encoded.documents[kept] + encoded.assignment[kept]
    # bincount adds its weights as floats, which is exact below 2^53. Each sentence adds one <eos>.
    n_cells = 4 * len(encoded.index)
    counts = np.bincount(cells, encoded.shard.lengths[kept], n_cells).astype(np.int64)
    return (counts + np.bincount(cells, minlength=n_cells)).reshape(-1, 4)


def append_eos(ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Put ``<eos>`` after each sentence: ``ids`` (sum of lengths,) are sentences of ``lengths`` (n,) in a row."""
    stream = np.full(len(ids) + len(lengths), EOS, ids.dtype)
    is_word = np.ones(len(stream), bool)
    is_word[np.cumsum(lengths.astype(np.int64) + 1) - 1] = False
    stream[is_word] = ids
    return stream


def place_documents(shards: list[EncodedShard], sizes: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Find where each document begins in the stream, by shard, and the stream's length.

    Documents stand in their original order, so that the stream does not depend on the number of shards.
    """
    order = np.argsort(np.concatenate([shard.index for shard in shards]))
    all_sizes = np.concatenate(sizes)
    starts = np.empty_like(all_sizes)
    starts[order] = find_starts(all_sizes[order])
    return np.split(starts, np.cumsum([len(size) for size in sizes])[:-1]), int(all_sizes.sum())


def fill_streams(streams: dict[int, np.memmap], encoded: EncodedShard, moves: dict[int, np.ndarray]) -> None:
    """Write one shard's part of every split's stream, a block of sentences at a time.

    Args:
        streams: the stream of each split.
        encoded: the shard.
        moves: for each split, how far each document's sentences (n_documents,) move from their place among the shard's
            sentences of that split to their place in the stream.
    """
    written = dict.fromkeys(streams, 0)
    for sentences, tokens in encoded.shard.blocks():
        lengths, assignment = encoded.shard.lengths[sentences].astype(np.int64), encoded.assignment[sentences]
        kept, documents = assignment != DROPPED, encoded.documents[sentences]
        ids = encoded.ids.take(take_sentences(encoded.shard.tokens[tokens], lengths, kept))
        token_splits = np.repeat(assignment[kept], lengths[kept])
        for split, stream in streams.items():
            chosen = assignment == split
            block = append_eos(ids[token_splits == split], lengths[chosen])
            # Sentences that move equally far are copied together: all of a single shard, else those of a document.
            own_moves, ends = moves[split][documents[chosen]], np.cumsum(lengths[chosen] + 1)
            last = (
                np.append(np.flatnonzero(np.diff(own_moves)), len(own_moves) - 1)
                if len(own_moves)
                else np.zeros(0, int)
            )
            start = 0
            for end, move in zip(ends[last].tolist(), (own_moves[last] + written[split]).tolist(), strict=True):
                stream[start + move : end + move] = block[start:end]
                start = end
            written[split] += len(block)


def count_ids(stream: np.ndarray, n_words: int) -> np.ndarray:
    """Count (n_words,) the ids of a stream, a block at a time."""
    counts = np.zeros(n_words, np.int64)
    for start in range(0, len(stream), TOKENS_PER_BLOCK):
        counts += np.bincount(stream[start : start + TOKENS_PER_BLOCK], minlength=n_words)
    return counts


def check_counts(path: Path, vocabulary: pd.DataFrame, counts: np.ndarray, train: Path) -> None:
    """Check that each id occurs in training as often (n_words,) as the vocabulary says."""
    for row in np.flatnonzero(vocabulary["count"] != counts)[:1]:
        word, count = vocabulary.loc[row, ["word", "count"]]
        raise UserError(
            f"{path}: {word!r} occurs {count:,} times, but {train} would have it {counts[row]:,} times;"
            " delete both and run again"
        )


def describe_split(counts: np.ndarray, documents: int) -> dict[str, int]:
    """Describe a split for the account, by how often each id (n_words,) occurs in it; ``tokens`` omit ``<eos>``."""
    return {
        "documents": documents,
        "sentences": int(counts[EOS]),
        "tokens": int(counts.sum() - counts[EOS]),
        "types": int((counts > 0).sum() - (counts[[UNK, EOS]] > 0).sum()),
        "unknown_tokens": int(counts[UNK]),
    }


def run(args: argparse.Namespace) -> None:
    """Write the three streams and a summary of the corpus.

    At the top of the summary, ``train_tokens`` and the like are the lengths of the streams, ``<eos>`` included, and
    ``train_unk_fraction`` is the share of ``<unk>`` in these; ``tokens``, and all counts under ``account``, are without
    ``<eos>``.

    Raises:
        UserError: files do not fit together; a split or the vocabulary is too small to train on.
    """
    check_lists(args.lengths, args.tokens)
    texts = check_shards(args.lengths, args.rows, args.documents, args.assignment)
    check_filter(args.counts, texts, args.rows, args.assignment)
    if len(args.accounts) != len(args.tokens) + 2:
        raise UserError(
            f"--accounts: {len(args.accounts)} files, expected {len(args.tokens) + 2}: of documents,"
            " of the sentences of each shard, of filter"
        )
    account = read_accounts(args.accounts)
    check_run(args.accounts[-1], account["filter"], {"min_count": files.read_metadata(args.counts)["min_count"]})
    assignment_digests = [files.read_digest(path) for path in args.assignment]
    about_words = files.read_metadata(args.vocabulary)
    check_made_from(args.vocabulary, about_words, "assignment", args.assignment[0].parent, assignment_digests)
    vocabulary, digests = files.read_digest(args.vocabulary), dict[str, str]()
    word_counts = read_by_id(args.vocabulary, ["word", "count"])
    words = pa.array(word_counts["word"])
    dtype = np.min_scalar_type(len(words) - 1)
    row_ids = map_rows_to_ids(args.counts, words, dtype)
    shards = []
    for rows, tokens, lengths, documents, assignment in zip(
        args.rows, args.tokens, args.lengths, args.documents, args.assignment, strict=True
    ):
        shard, frame = Shard.open(tokens, lengths), files.read_parquet(documents, ["index", "sentences"])
        splits = files.read_array(assignment)
        ids = row_ids[files.read_array(rows)]
        rows_of_sentences = np.repeat(np.arange(len(frame), dtype=np.int32), frame["sentences"])
        shards.append(EncodedShard(shard, ids, splits, rows_of_sentences, frame["index"].to_numpy()))
    summary: dict[str, Any] = {
        "documents": sum(len(shard.index) for shard in shards),
        "sentences": sum(len(shard.assignment) for shard in shards),
        "tokens": sum(len(shard.shard.tokens) for shard in shards),
        "vocabulary": len(words),
    }
    if account["sentences"]["tokens"] != summary["tokens"]:
        raise UserError(
            f"{args.accounts[1].parent}: counts {account['sentences']['tokens']:,} tokens, but {args.tokens[0].parent}"
            f" has {summary['tokens']:,}; give the account of each shard once"
        )
    with ExitStack() as stack:
        streams: dict[int, np.memmap] = {}
        all_moves: list[dict[int, np.ndarray]] = [{} for _ in shards]
        all_sizes = [count_tokens(encoded) for encoded in shards]
        for name, split in SPLITS.items():
            sizes = [size[:, split] for size in all_sizes]
            starts, length = place_documents(shards, sizes)
            for moves, shard_starts, shard_sizes in zip(all_moves, starts, sizes, strict=True):
                moves[split] = shard_starts - find_starts(shard_sizes)
            temporary = stack.enter_context(files.atomic(getattr(args, name)))
            streams[split] = np.lib.format.open_memmap(temporary, "w+", dtype, (length,))
            # Reserve the space: otherwise a full disk would be a bus error when the map is written.
            with temporary.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
            summary[f"{name}_tokens"] = length
        for encoded, moves in zip(shards, all_moves, strict=True):
            fill_streams(streams, encoded, moves)
        account["splits"] = {}
        for name, split in SPLITS.items():
            counts = count_ids(streams[split], len(words))
            if split == TRAIN:
                check_counts(args.vocabulary, word_counts, counts, args.train)
            documents = sum(int((size[:, split] > 0).sum()) for size in all_sizes)
            account["splits"][name] = describe_split(counts, documents)
            summary[f"{name}_unk_fraction"] = int(counts[UNK]) / max(len(streams[split]), 1)
            streams[split].flush()
            about = {"split": name, "vocabulary": vocabulary}
            digests[name] = files.seal_array(str(streams[split].filename), about)
        refuse_small(account)
    account["warnings"] = list_warnings(account)
    story = tell(account)
    del account["filter"]["thresholds"]  # a table of its own
    by_document = np.concatenate(all_sizes)[np.argsort(np.concatenate([shard.index for shard in shards]))]
    frame = pd.DataFrame({name: by_document[:, split] for name, split in SPLITS.items()})
    files.write_parquet(args.document_tokens, frame, {"vocabulary": vocabulary, "streams": digests})
    files.write_json(
        args.summary, summary | {"made_from": {"vocabulary": vocabulary}, "streams": digests, "account": account}
    )
    print("\n".join(story), file=sys.stderr)
