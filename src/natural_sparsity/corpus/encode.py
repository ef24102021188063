"""Write one token stream per split: its sentences in the documents' original order, each followed by ``<eos>``."""

import argparse
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from natural_sparsity import files
from natural_sparsity.corpus.shards import Shard, find_starts
from natural_sparsity.corpus.split import DROPPED, SPLITS
from natural_sparsity.corpus.vocabulary import EOS, UNK, read_by_id
from natural_sparsity.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--vocabulary", type=Path, required=True, help="Parquet id, word")
    parser.add_argument("--counts", type=Path, required=True, help="frequent types of the corpus")
    help_text = "rows of each shard's types in --counts"
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help="tokens of each shard")
    parser.add_argument("--lengths", type=Path, nargs="+", required=True, help="sentence lengths of each shard")
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="documents of each shard")
    parser.add_argument("--assignment", type=Path, nargs="+", required=True, help="sentence splits of each shard")
    parser.add_argument("--train", type=Path, required=True, help="out: .npy")
    parser.add_argument("--dev", type=Path, required=True, help="out: .npy")
    parser.add_argument("--test", type=Path, required=True, help="out: .npy")
    parser.add_argument("--summary", type=Path, required=True, help="out: JSON, sizes of the corpus")


@dataclass(frozen=True)
class EncodedShard:
    """A shard with what encoding needs.

    ``ids`` (n_types,): vocabulary ids of its types. ``assignment`` (n_sentences,): splits of its sentences. ``index``
    and ``sentences`` (n_documents,): places of its documents in the corpus and their numbers of sentences.
    """

    shard: Shard
    ids: np.ndarray
    assignment: np.ndarray
    index: np.ndarray
    sentences: np.ndarray


def map_rows_to_ids(counts_path: Path, words: pa.Array, dtype: np.dtype) -> np.ndarray:
    """Return the vocabulary id of each frequent type and, last, of the rare ones; ``<unk>`` outside the vocabulary."""
    types = files.read_table(counts_path, ["word"])["word"].combine_chunks()
    ids = pc.fill_null(pc.index_in(types, words.cast(types.type)), UNK).to_numpy(zero_copy_only=False)
    return np.append(ids, UNK).astype(dtype)


def count_tokens(encoded: EncodedShard) -> np.ndarray:
    """Count (n_documents, 4) each document's tokens that were dropped or are in each split, ``<eos>`` included."""
    cells = np.repeat(np.arange(0, 4 * len(encoded.sentences), 4), encoded.sentences)
    cells += encoded.assignment
    # bincount adds its weights as floats, which is exact below 2^53. Each sentence adds one <eos>.
    counts = np.bincount(cells, encoded.shard.lengths, 4 * len(encoded.sentences)).astype(np.int64)
    return (counts + np.bincount(cells, minlength=len(counts))).reshape(-1, 4)


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
        moves: for each split, how far each sentence (n_sentences,) moves from its place among the shard's sentences of
            that split to its place in the stream.
    """
    written = dict.fromkeys(streams, 0)
    for sentences, tokens in encoded.shard.blocks():
        lengths, assignment = encoded.shard.lengths[sentences].astype(np.int64), encoded.assignment[sentences]
        # The filter may have dropped most sentences: select before looking anything up.
        kept = assignment != DROPPED
        ids = encoded.ids.take(encoded.shard.tokens[tokens][np.repeat(kept, lengths)])
        token_splits = np.repeat(assignment[kept], lengths[kept])
        for split, stream in streams.items():
            chosen = assignment == split
            block = append_eos(ids[token_splits == split], lengths[chosen])
            # Sentences that move equally far are copied together: all of a single shard, else those of a document.
            own_moves, ends = moves[split][sentences][chosen], np.cumsum(lengths[chosen] + 1)
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


def run(args: argparse.Namespace) -> None:
    """Write the three streams and a summary of the corpus."""
    words = pa.array(read_by_id(args.vocabulary, ["word"])["word"])
    dtype = np.min_scalar_type(len(words) - 1)
    row_ids = map_rows_to_ids(args.counts, words, dtype)
    shards = []
    for rows, tokens, lengths, documents, assignment in zip(
        args.rows, args.tokens, args.lengths, args.documents, args.assignment, strict=True
    ):
        shard, frame = Shard.open(tokens, lengths), files.read_parquet(documents, ["index", "sentences"])
        splits = files.read_array(assignment)
        if len(splits) != len(shard.lengths):
            raise UserError(
                f"{assignment}: has {len(splits)} sentences, but {lengths} has {len(shard.lengths)}; "
                "delete both and run again"
            )
        ids = row_ids[files.read_array(rows)]
        shards.append(EncodedShard(shard, ids, splits, frame["index"].to_numpy(), frame["sentences"].to_numpy()))
    summary: dict[str, int | float | None] = {
        "documents": sum(len(shard.index) for shard in shards),
        "sentences": sum(len(shard.assignment) for shard in shards),
        "tokens": sum(len(shard.shard.tokens) for shard in shards),
        "vocabulary": len(words),
    }
    with ExitStack() as stack:
        streams: dict[int, np.memmap] = {}
        all_moves: list[dict[int, np.ndarray]] = [{} for _ in shards]
        all_sizes = [count_tokens(encoded) for encoded in shards]
        for name, split in SPLITS.items():
            sizes = [size[:, split] for size in all_sizes]
            starts, length = place_documents(shards, sizes)
            for encoded, moves, shard_starts, shard_sizes in zip(shards, all_moves, starts, sizes, strict=True):
                moves[split] = np.repeat(shard_starts - find_starts(shard_sizes), encoded.sentences)
            temporary = stack.enter_context(files.atomic(getattr(args, name)))
            streams[split] = np.lib.format.open_memmap(temporary, "w+", dtype, (length,))
            # Reserve the space: otherwise a full disk would be a bus error when the map is written.
            with temporary.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
            summary[f"{name}_tokens"] = length
        for encoded, moves in zip(shards, all_moves, strict=True):
            fill_streams(streams, encoded, moves)
        for name, split in SPLITS.items():
            unknown = int((streams[split] == UNK).sum())
            summary[f"{name}_unk_fraction"] = unknown / len(streams[split]) if len(streams[split]) else None
            streams[split].flush()
            files.append_digest(str(streams[split].filename))
    files.write_json(args.summary, summary)
