"""Token streams: the sentences of each split in the documents' original order, ``<eos>`` after each."""

import argparse
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from natural_sparsity import files
from natural_sparsity.corpus.shards import Shard, starts_of
from natural_sparsity.corpus.split import DROPPED, SPLITS
from natural_sparsity.corpus.vocabulary import EOS, UNK, read_by_id
from natural_sparsity.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--counts", type=Path, required=True, help="the corpus's frequent types")
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="the rows in them of each shard's types")
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help="each shard's tokens")
    parser.add_argument("--lengths", type=Path, nargs="+", required=True, help="each shard's sentence lengths")
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="each shard's documents")
    parser.add_argument("--assignment", type=Path, nargs="+", required=True, help="each shard's sentence splits")
    parser.add_argument("--train", type=Path, required=True, help="out: .npy")
    parser.add_argument("--dev", type=Path, required=True, help="out: .npy")
    parser.add_argument("--test", type=Path, required=True, help="out: .npy")
    parser.add_argument("--summary", type=Path, required=True, help="out: JSON, sizes of the corpus")


def ids_by_row(counts_path: Path, words: pa.Array, dtype: np.dtype) -> np.ndarray:
    """The vocabulary id of each of the frequent types, then that of the rare; ``<unk>`` for what is no word."""
    types = files.read_table(counts_path, ["word"])["word"].combine_chunks()
    ids = pc.fill_null(pc.index_in(types, words.cast(types.type)), UNK).to_numpy(zero_copy_only=False)
    return np.append(ids, UNK).astype(dtype)


def document_lengths(encoded: "EncodedShard") -> np.ndarray:
    """Tokens (n_documents, 4) that each document has among the dropped and in each split, ``<eos>`` counted."""
    cells = np.repeat(np.arange(0, 4 * len(encoded.sentences), 4), encoded.sentences)
    cells += encoded.assignment
    # Weights are added as floats, exactly below 2^53; <eos> comes with each sentence.
    counts = np.bincount(cells, encoded.shard.lengths, 4 * len(encoded.sentences)).astype(np.int64)
    return (counts + np.bincount(cells, minlength=len(counts))).reshape(-1, 4)


def append_eos(ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Put ``<eos>`` after each of the sentences of these ``lengths`` (n,) that ``ids`` (sum of lengths,) strings."""
    stream = np.full(len(ids) + len(lengths), EOS, ids.dtype)
    is_word = np.ones(len(stream), bool)
    is_word[np.cumsum(lengths.astype(np.int64) + 1) - 1] = False
    stream[is_word] = ids
    return stream


@dataclass(frozen=True)
class EncodedShard:
    """A shard with what encoding needs: ``ids`` (n_types,) vocabulary ids, ``assignment`` (n_sentences,) splits,
    ``index`` and ``sentences`` (n_documents,) the documents' places in the corpus and their numbers of sentences.
    """

    shard: Shard
    ids: np.ndarray
    assignment: np.ndarray
    index: np.ndarray
    sentences: np.ndarray


def stream_starts(shards: list[EncodedShard], sizes: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Where each document begins in the stream, by shard, and the stream's length.

    Documents stand in their original order, so that the stream does not depend on the number of shards.
    """
    order = np.argsort(np.concatenate([shard.index for shard in shards]))
    all_sizes = np.concatenate(sizes)
    starts = np.empty_like(all_sizes)
    starts[order] = starts_of(all_sizes[order])
    return np.split(starts, np.cumsum([len(size) for size in sizes])[:-1]), int(all_sizes.sum())


def fill_streams(streams: dict[int, np.memmap], encoded: EncodedShard, places: dict[int, np.ndarray]) -> None:
    """Write one shard's part of every split, a block of sentences at a time.

    Args:
        streams: each split's stream.
        places: for each split, how far each sentence (n_sentences,) moves from its place among the shard's sentences of
            that split to its place in the stream.
    """
    written = dict.fromkeys(streams, 0)
    for sentences, tokens in encoded.shard.blocks():
        lengths, assignment = encoded.shard.lengths[sentences].astype(np.int64), encoded.assignment[sentences]
        # Most sentences may have been dropped: select before anything is looked up.
        kept = assignment != DROPPED
        ids = encoded.ids.take(encoded.shard.tokens[tokens][np.repeat(kept, lengths)])
        split_of_token = np.repeat(assignment[kept], lengths[kept])
        for split, stream in streams.items():
            chosen = assignment == split
            block = append_eos(ids[split_of_token == split], lengths[chosen])
            # Sentences that move equally far stay together: in one shard all of them, else those of a document.
            moves, ends = places[split][sentences][chosen], np.cumsum(lengths[chosen] + 1)
            last = np.append(np.flatnonzero(np.diff(moves)), len(moves) - 1) if len(moves) else np.zeros(0, int)
            start = 0
            for end, move in zip(ends[last].tolist(), (moves[last] + written[split]).tolist(), strict=True):
                stream[start + move : end + move] = block[start:end]
                start = end
            written[split] += len(block)


def run(args: argparse.Namespace) -> None:
    """Write the three streams."""
    words = pa.array(read_by_id(args.vocabulary, ["word"])["word"])
    dtype = np.min_scalar_type(len(words) - 1)
    by_row = ids_by_row(args.counts, words, dtype)
    shards = []
    for rows, tokens, lengths, documents, assignment in zip(
        args.rows, args.tokens, args.lengths, args.documents, args.assignment, strict=True
    ):
        shard, frame = Shard.open(tokens, lengths), files.read_parquet(documents, ["index", "sentences"])
        splits = files.read_array(assignment)
        if len(splits) != len(shard.lengths):
            raise UserError(f"{assignment}: {len(splits)} sentences, but {lengths} has {len(shard.lengths)}")
        ids = by_row[files.read_array(rows)]
        shards.append(EncodedShard(shard, ids, splits, frame["index"].to_numpy(), frame["sentences"].to_numpy()))
    summary: dict[str, int | float | None] = {
        "documents": sum(len(shard.index) for shard in shards),
        "sentences": sum(len(shard.assignment) for shard in shards),
        "tokens": sum(len(shard.shard.tokens) for shard in shards),
        "vocabulary": len(words),
    }
    with ExitStack() as stack:
        streams: dict[int, np.memmap] = {}
        places: list[dict[int, np.ndarray]] = [{} for _ in shards]
        all_sizes = [document_lengths(encoded) for encoded in shards]
        for name, split in SPLITS.items():
            sizes = [size[:, split] for size in all_sizes]
            starts, length = stream_starts(shards, sizes)
            for encoded, place, shard_starts, shard_sizes in zip(shards, places, starts, sizes, strict=True):
                place[split] = np.repeat(shard_starts - starts_of(shard_sizes), encoded.sentences)
            temporary = stack.enter_context(files.atomic(getattr(args, name)))
            streams[split] = np.lib.format.open_memmap(temporary, "w+", dtype, (length,))
            with temporary.open("rb+") as file:  # or a full disk would show as a bus error, when the map is written
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
            summary[f"{name}_tokens"] = length
        for encoded, place in zip(shards, places, strict=True):
            fill_streams(streams, encoded, place)
        for name, split in SPLITS.items():
            unknown = int((streams[split] == UNK).sum())
            summary[f"{name}_unk_fraction"] = unknown / len(streams[split]) if len(streams[split]) else None
            streams[split].flush()
            files.append_digest(str(streams[split].filename))
    files.write_json(args.summary, summary)
