"""Split a corpus by document into train, dev and test.

A document's split is the one that its source gives. Where it gives none, the split follows from a seeded hash of the
document's id alone, whatever other documents there are.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from natural_sparsity import files
from natural_sparsity.corpus.account import DOCUMENTS_KEYS, FILTER_KEYS, explain_loss, share_kept, suggest
from natural_sparsity.corpus.shards import check_lists, check_shards
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from

DROPPED, TRAIN, DEV, TEST = range(4)
SPLITS = {"train": TRAIN, "dev": DEV, "test": TEST}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="documents of each shard")
    parser.add_argument("--kept", type=Path, nargs="+", required=True, help="kept sentences of each shard")
    help_text = "shares of the documents, which sum to 1; with given splits, these and --seed are ignored"
    parser.add_argument(
        "--fractions", type=float, nargs=3, required=True, metavar=("TRAIN", "DEV", "TEST"), help=help_text
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the hash")
    help_text = "accounts of the commands documents and filter"
    parser.add_argument(
        "--accounts", type=Path, nargs=2, required=True, metavar=("DOCUMENTS", "FILTER"), help=help_text
    )
    help_text = "out: one .npy per shard, uint8, one value per sentence: 0 dropped, 1 train, 2 dev, 3 test"
    parser.add_argument("--assignment", type=Path, nargs="+", required=True, help=help_text)


def split_of(document: str, fractions: list[float], seed: int) -> int:
    """Return the split of one document by its id: ``TRAIN``, ``DEV`` or ``TEST``, with probabilities ``fractions``."""
    digest = hashlib.blake2b(f"{seed}/{document}".encode(), digest_size=8).digest()
    position = int.from_bytes(digest, "big") / 2**64
    if position < fractions[0]:
        return TRAIN
    return DEV if position < fractions[0] + fractions[1] else TEST


def read_given_splits(paths: list[Path]) -> list[np.ndarray] | None:
    """Read the splits that the source gives: of each shard's documents (n_documents,); None if the source gives none.

    Args:
        paths: tables of the shards' documents, with ``split``.

    Raises:
        UserError: some documents have a split and others none, or a split has an unknown name.
    """
    shards = []
    for path in paths:
        names = files.read_table(path, ["split"])["split"].combine_chunks()
        found = pc.index_in(names, pa.array(["", *SPLITS], names.type))
        if found.null_count:
            raise UserError(f"{path}: a document's split is none of {', '.join(SPLITS)}; delete the file and run again")
        shards.append(found.to_numpy().astype(np.uint8))
    given = {bool(split) for shard in shards for split in np.unique(shard)}
    if len(given) > 1:
        raise UserError(
            f"{paths[0].parent}: only some of the documents have a given split; delete the folder and run again"
        )
    return shards if given == {True} else None


def run(args: argparse.Namespace) -> None:
    """Assign every sentence to its document's split, or to none if the filter dropped it."""
    if abs(sum(args.fractions) - 1) > 1e-9 or min(args.fractions) <= 0:
        raise UserError(f"fractions: {args.fractions} must be positive and sum to 1")
    check_lists(args.kept, args.assignment)
    texts = check_shards(args.documents, args.kept)
    filters = [files.read_metadata(path).get("filter", "") for path in args.kept]
    for path, of_filter in zip(args.kept, filters, strict=True):
        check_made_from(path, {"filter": of_filter}, "filter", args.kept[0], filters[0], "run of filter")
    given = read_given_splits(args.documents)
    documents, before, after = 0, *np.zeros((2, 4), np.int64)
    assignments, first, equal = [], None, True
    for number, (documents_path, kept_path) in enumerate(zip(args.documents, args.kept, strict=True)):
        frame = files.read_parquet(documents_path, ["id", "sentences"])
        ids, sentences = frame["id"].tolist(), frame["sentences"].to_numpy()
        splits = given[number] if given else np.array([split_of(i, args.fractions, args.seed) for i in ids], np.uint8)
        assignment = np.repeat(splits, sentences) * files.read_array(kept_path)
        documents += len(ids)
        first = ids[0] if ids and first is None else first
        equal = equal and all(id_ == first for id_ in ids)
        before += np.bincount(splits, sentences, 4).astype(np.int64)
        after += np.bincount(assignment, minlength=4)
        assignments.append(assignment)
    for name, split in SPLITS.items():
        if not after[split]:
            keys = (DOCUMENTS_KEYS, FILTER_KEYS)
            accounts = [files.read_json(*pair) for pair in zip(args.accounts, keys, strict=True)]
            raise UserError(explain_empty(name, documents, int(before[split]), accounts[0], accounts[1], equal))
    settings = {"filter": filters[0], "fractions": args.fractions, "seed": args.seed}
    for path, assignment, text, documents_path in zip(args.assignment, assignments, texts, args.documents, strict=True):
        cased = files.read_metadata(documents_path).get("cased")
        files.write_array(path, assignment, {"text": text, "cased": cased, **settings})


def explain_empty(
    name: str, documents: int, sentences: int, read: dict[str, Any], filtered: dict[str, Any], equal: bool = False
) -> str:
    """Say why a split has no sentence.

    Args:
        name: the split.
        documents: how many documents the corpus has.
        sentences: how many sentences the split had before the filter.
        read: the account of the command ``documents``.
        filtered: the account of the command ``filter``.
        equal: whether all documents have one id, as texts that are equal have.
    """
    if filtered["given_splits"]:
        return f"source.{name}: no sentence was found in it; name a file that holds text"
    if sentences and share_kept(filtered) < 0.5:
        few = f"leaves none of the {sentences:,} sentences of {name}"
        return f"min_count: {few}: {explain_loss(filtered)}; {suggest(filtered)}"
    if sentences:
        rare = f"a word rarer than min_count {filtered['min_count']}"
        return f"split.{name}: each of its {sentences:,} sentences has {rare}; raise split.{name}, or add text"
    if documents == 1:
        cause, fix = f"the corpus is one document, so {name} gets none", "add documents"
    elif equal:
        cause, fix = f"the {documents:,} documents are all equal, so {name} gets none", "add other documents"
    else:
        cause = f"none of the {documents:,} documents that were read fell into {name}"
        fix = f"add documents (raise max_documents if it is set), raise split.{name}, or change split.seed"
    is_plain = any(form.split(",")[0] == "text" for form in read["formats"])
    hint = "; a document ends at a blank line: if each line is a sentence, set format: lines" if is_plain else ""
    return f"split: {cause}; {fix}{hint}"
