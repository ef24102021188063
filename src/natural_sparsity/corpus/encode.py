"""Token streams: the sentences of each split in the documents' original order, ``<eos>`` after each."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from natural_sparsity import files
from natural_sparsity.corpus.shards import Shard, starts_of
from natural_sparsity.corpus.split import SPLITS
from natural_sparsity.corpus.vocabulary import EOS, UNK
from natural_sparsity.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--types", type=Path, nargs="+", required=True, help="each shard's types")
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help="each shard's tokens")
    parser.add_argument("--lengths", type=Path, nargs="+", required=True, help="each shard's sentence lengths")
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="each shard's documents")
    parser.add_argument("--assignment", type=Path, nargs="+", required=True, help="each shard's sentence splits")
    parser.add_argument("--train", type=Path, required=True, help="out: .npy")
    parser.add_argument("--dev", type=Path, required=True, help="out: .npy")
    parser.add_argument("--test", type=Path, required=True, help="out: .npy")
    parser.add_argument("--summary", type=Path, required=True, help="out: JSON, sizes of the corpus")


def word_ids(types_path: Path, words: pa.Array, dtype: np.dtype) -> np.ndarray:
    """The vocabulary id (n_types,) of each of a shard's types; ``<unk>`` where it is not in the vocabulary."""
    types = files.read_table(types_path, ["word"])["word"].combine_chunks()
    return pc.fill_null(pc.index_in(types, words), UNK).to_numpy(zero_copy_only=False).astype(dtype)


def document_lengths(shard: Shard, in_split: np.ndarray, sentences_a_document: np.ndarray) -> np.ndarray:
    """Tokens (n_documents,) that each document has in the split, ``<eos>`` counted."""
    lengths = np.where(in_split, shard.lengths.astype(np.int64) + 1, 0)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    last = np.cumsum(sentences_a_document)
    return ends[last] - ends[last - sentences_a_document]


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


def fill_stream(stream: np.ndarray, encoded: EncodedShard, split: int, starts: np.ndarray, sizes: np.ndarray) -> None:
    """Write one shard's part of a split into ``stream``, a block of sentences at a time."""
    from_shard_to_stream = np.repeat(starts - starts_of(sizes), encoded.sentences)
    written = 0
    for sentences, tokens in encoded.shard.blocks():
        chosen = encoded.assignment[sentences] == split
        all_lengths = encoded.shard.lengths[sentences].astype(np.int64)
        block = append_eos(
            encoded.ids[encoded.shard.tokens[tokens][np.repeat(chosen, all_lengths)]], all_lengths[chosen]
        )
        shift = np.repeat(from_shard_to_stream[sentences][chosen], all_lengths[chosen] + 1)
        stream[np.arange(written, written + len(block)) + shift] = block
        written += len(block)


def run(args: argparse.Namespace) -> None:
    """Write the three streams."""
    words = files.read_table(args.vocabulary, ["word"])["word"].combine_chunks()
    dtype = np.min_scalar_type(len(words) - 1)
    shards = []
    for types, tokens, lengths, documents, assignment in zip(
        args.types, args.tokens, args.lengths, args.documents, args.assignment, strict=True
    ):
        shard, frame = Shard.open(tokens, lengths), files.read_parquet(documents, ["index", "sentences"])
        splits = files.read_array(assignment)
        if len(splits) != len(shard.lengths):
            raise UserError(f"{assignment}: {len(splits)} sentences, but {lengths} has {len(shard.lengths)}")
        ids = word_ids(types, words, dtype)
        shards.append(EncodedShard(shard, ids, splits, frame["index"].to_numpy(), frame["sentences"].to_numpy()))
    summary: dict[str, int | float | None] = {
        "documents": sum(len(shard.index) for shard in shards),
        "sentences": sum(len(shard.assignment) for shard in shards),
        "tokens": sum(len(shard.shard.tokens) for shard in shards),
        "vocabulary": len(words),
    }
    for name, split in SPLITS.items():
        sizes = [document_lengths(shard.shard, shard.assignment == split, shard.sentences) for shard in shards]
        starts, length = stream_starts(shards, sizes)
        with files.atomic(getattr(args, name)) as temporary:
            stream = np.lib.format.open_memmap(temporary, "w+", dtype, (length,))
            for encoded, shard_starts, shard_sizes in zip(shards, starts, sizes, strict=True):
                fill_stream(stream, encoded, split, shard_starts, shard_sizes)
            stream.flush()
            summary[f"{name}_tokens"] = length
            summary[f"{name}_unk_fraction"] = float((stream == UNK).mean()) if length else None
    files.write_json(args.summary, summary)
