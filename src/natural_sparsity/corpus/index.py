"""Turn one shard of sentences into arrays of type ids, so that later passes only do arithmetic on integers."""

import argparse
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from natural_sparsity import files
from natural_sparsity.corpus.streams import open_compressed
from natural_sparsity.errors import UserError

LINES_PER_BLOCK = 50_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    help_text = "sentences: one per line, tokens separated by a space"
    parser.add_argument("--text", type=Path, required=True, help=help_text)
    parser.add_argument("--types", type=Path, required=True, help="out: Parquet word, count; a type's row is its id")
    parser.add_argument("--tokens", type=Path, required=True, help="out: .npy, type id of each token")
    parser.add_argument("--lengths", type=Path, required=True, help="out: .npy, number of tokens of each sentence")


def read_blocks(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a zstd-compressed text file, without line ends, ``LINES_PER_BLOCK`` at a time."""
    try:
        with io.TextIOWrapper(open_compressed(path), encoding="utf-8", newline="\n") as text:
            while lines := list(islice(text, LINES_PER_BLOCK)):
                yield [line.rstrip("\n") for line in lines]
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); delete it and run again") from error


def run(args: argparse.Namespace) -> None:
    """Number the shard's types in order of first appearance and write its tokens as these numbers."""
    ids: dict[str, int] = {}
    counts = np.zeros(0, np.int64)
    lengths = [np.zeros(0, np.uint32)]
    with files.atomic(args.tokens) as tokens_path:
        tokens = files.ArrayWriter(tokens_path, np.uint32)
        for lines in read_blocks(args.text):
            # Arrow's hash table handles the tokens; Python sees each type once per block.
            block = pa.array(" ".join(lines).split(" "), pa.string()).dictionary_encode()
            to_id = np.array([ids.setdefault(word, len(ids)) for word in block.dictionary.to_pylist()], np.uint32)
            block_ids = to_id[block.indices.to_numpy()]
            counts = np.pad(counts, (0, len(ids) - len(counts)))
            counts += np.bincount(block_ids, minlength=len(ids))
            tokens.append(block_ids)
            lengths.append(np.array([line.count(" ") + 1 for line in lines], np.uint32))
        digest = tokens.close()
        text = files.compute_digest(args.text).hex()
        files.write_array(args.lengths, np.concatenate(lengths), {"text": text, "tokens": digest})
        frame = pd.DataFrame({"word": pd.Series(list(ids), dtype="str"), "count": counts})
        files.write_parquet(args.types, frame, {"text": text})
