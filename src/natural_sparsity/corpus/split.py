"""Split a corpus by document into train, dev and test.

A document's split follows from a seeded hash of its id alone, whatever other documents there are.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from natural_sparsity import files
from natural_sparsity.errors import UserError

DROPPED, TRAIN, DEV, TEST = range(4)
SPLITS = {"train": TRAIN, "dev": DEV, "test": TEST}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="documents of each shard")
    parser.add_argument("--kept", type=Path, nargs="+", required=True, help="kept sentences of each shard")
    help_text = "shares of the documents, which sum to 1"
    parser.add_argument(
        "--fractions", type=float, nargs=3, required=True, metavar=("TRAIN", "DEV", "TEST"), help=help_text
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the hash")
    help_text = "out: one .npy per shard, uint8, one value per sentence: 0 dropped, 1 train, 2 dev, 3 test"
    parser.add_argument("--assignment", type=Path, nargs="+", required=True, help=help_text)


def split_of(document: str, fractions: list[float], seed: int) -> int:
    """Return the split of one document by its id: ``TRAIN``, ``DEV`` or ``TEST``, with probabilities ``fractions``."""
    digest = hashlib.blake2b(f"{seed}/{document}".encode(), digest_size=8).digest()
    position = int.from_bytes(digest, "big") / 2**64
    if position < fractions[0]:
        return TRAIN
    return DEV if position < fractions[0] + fractions[1] else TEST


def run(args: argparse.Namespace) -> None:
    """Assign every sentence to its document's split, or to none if the filter dropped it."""
    if abs(sum(args.fractions) - 1) > 1e-9 or min(args.fractions) <= 0:
        raise UserError(f"fractions: {args.fractions} must be positive and sum to 1")
    sizes = np.zeros(4, np.int64)
    for documents_path, kept_path, assignment_path in zip(args.documents, args.kept, args.assignment, strict=True):
        documents = files.read_parquet(documents_path, ["id", "sentences"])
        splits = np.array(
            [split_of(document, args.fractions, args.seed) for document in documents["id"].tolist()], np.uint8
        )
        kept = files.read_array(kept_path)
        n_sentences = documents["sentences"].sum()
        if n_sentences != len(kept):
            raise UserError(
                f"{kept_path}: has {len(kept)} sentences, but {documents_path} counts {n_sentences}; "
                "delete both and run again"
            )
        assignment = np.repeat(splits, documents["sentences"]) * kept
        sizes += np.bincount(assignment, minlength=4)
        files.write_array(assignment_path, assignment.astype(np.uint8))
    for name, split in SPLITS.items():
        if not sizes[split]:
            raise UserError(f"split: no sentence fell into {name}; add documents, or change the fractions or the seed")
