"""Write the words table: the majority part of speech and class of each word, and the frequency-matched samples."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from
from natural_sparsity.tagging.matching import find_matched_ranges

OPEN = ["ADJ", "ADV", "INTJ", "NOUN", "PROPN", "VERB"]
CLOSED = ["ADP", "AUX", "CCONJ", "DET", "PART", "PRON", "SCONJ"]
CLASSES = {**dict.fromkeys(OPEN, "open"), **dict.fromkeys(CLOSED, "closed")}  # NUM, PUNCT, SYM, X, SPACE have none


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--vocabulary", type=Path, required=True, help="Parquet id, word, count")
    help_text = "tag counts of each shard; without any, no word has a class"
    parser.add_argument("--tags", type=Path, nargs="*", default=[], help=help_text)
    help_text = "occurrences tagged with its majority part of speech that a word needs to have a class"
    parser.add_argument("--min-tagged", type=int, required=True, help=help_text)
    parser.add_argument("--matched-size", type=int, required=True, help="words in each frequency-matched sample")
    parser.add_argument("--output", type=Path, required=True, help="out: Parquet, a row per vocabulary word")


def run(args: argparse.Namespace) -> None:
    """Sum the shards' tag counts and write the words table."""
    vocabulary = files.read_parquet(args.vocabulary, ["id", "word", "count"])
    none = pd.DataFrame(
        {"id": pd.Series(dtype="int32"), "pos": pd.Series(dtype="str"), "count": pd.Series(dtype="int64")}
    )
    counts = [files.read_parquet(path, ["id", "pos", "count"]) for path in args.tags]
    tags = pd.concat(counts, ignore_index=True) if counts else none
    digest = files.read_digest(args.vocabulary)
    metadata, assignment = {"vocabulary": digest}, []
    for path in args.tags:
        about = files.read_metadata(path)
        check_made_from(path, about, "vocabulary", args.vocabulary, digest)
        assignment.append(about.pop("assignment", ""))
        if path != args.tags[0] and about != metadata:
            raise UserError(
                f"{path}: tagged with other settings than {args.tags[0]}; delete the older file and run again"
            )
        metadata = about
    if args.tags and sorted(assignment) != sorted(files.read_metadata(args.vocabulary).get("assignment", [])):
        raise UserError(
            f"{args.tags[0].parent}: its {len(args.tags)} files are not the tags of each shard of {args.vocabulary};"
            " give each shard's once"
        )
    unknown = tags["id"][~tags["id"].isin(vocabulary["id"])]
    if len(unknown):
        raise UserError(
            f"{args.tags[0].parent}: has tags of id {unknown.iloc[0]}, which {args.vocabulary} lacks; "
            "delete the tags and run again"
        )
    frame = assign_majority(vocabulary, tags, args.min_tagged)
    excess = frame["tagged"] > frame["count"]
    if excess.any():
        word, tagged, count = frame.loc[excess, ["word", "tagged", "count"]].iloc[0]
        raise UserError(
            f"{args.vocabulary}: {word!r} occurs {count} times, but {tagged} were tagged; was a shard given twice?"
        )
    frame["matched"] = mark_matched(frame, args.matched_size)
    classes = frame["pos_class"].value_counts()
    sizes = ", ".join(f"{classes.get(name, 0)} {name}" for name in ("open", "closed"))
    print(f"words: {len(frame)} words, {sizes}", file=sys.stderr)
    if args.tags and not frame["matched"].any():
        print(
            f"words: WARNING: no frequency-matched samples, because a class has fewer than {args.matched_size} words; "
            "on a small corpus, lower matched_size or min_tagged",
            file=sys.stderr,
        )
    metadata |= {"min_tagged": args.min_tagged, "matched_size": args.matched_size}
    files.write_parquet(args.output, frame, metadata)


def assign_majority(vocabulary: pd.DataFrame, tags: pd.DataFrame, min_tagged: int) -> pd.DataFrame:
    """Give each word the POS of most of its occurrences.

    A word has POS P if more than half of its tagged occurrences, and at least ``min_tagged`` of them, are P.

    Args:
        vocabulary: ``id, word, count``, a row per word.
        tags: ``id, pos, count``; an id and a POS may have several rows, one per shard.
        min_tagged: occurrences as P that a word needs to have POS P.

    Returns:
        ``id, word, count``; ``tagged``: tagged occurrences; ``pos``: universal POS, or null; ``share``: of the most
        frequent POS in the tagged occurrences, NaN if there are none; ``pos_class``: ``open``, ``closed`` or null.
    """
    counts = tags.groupby(["id", "pos"])["count"].sum().reset_index()
    counts = counts.sort_values(["id", "count", "pos"], ascending=[True, False, True])
    top = counts.drop_duplicates("id").set_index("id").reindex(vocabulary["id"])
    tagged = counts.groupby("id")["count"].sum().reindex(vocabulary["id"], fill_value=0).to_numpy(np.int64)
    most = top["count"].fillna(0).to_numpy(np.int64)
    frame = vocabulary.reset_index(drop=True)
    frame["tagged"] = tagged
    frame["pos"] = top["pos"].astype("str").where((2 * most > tagged) & (most >= min_tagged)).to_numpy()
    frame["share"] = np.divide(most, tagged, out=np.full(len(frame), np.nan), where=tagged > 0)
    frame["pos_class"] = frame["pos"].map(CLASSES)
    # Otherwise a column that holds only nulls would be stored without a type.
    return frame.astype({"pos": "str", "pos_class": "str"})


def mark_matched(frame: pd.DataFrame, size: int) -> np.ndarray:
    """Mark (n_words,) bool the ``size`` open and ``size`` closed words with matching mean counts.

    Words with equal counts keep the order of their ids. All are False if a class has fewer than ``size`` words.
    """
    marks = np.zeros(len(frame), bool)
    by_class = []
    for name in ("open", "closed"):
        rows = np.flatnonzero(frame["pos_class"] == name)
        by_class.append(rows[np.lexsort((frame["id"].to_numpy()[rows], -frame["count"].to_numpy()[rows]))])
    counts = frame["count"].to_numpy()
    starts = find_matched_ranges(counts[by_class[0]], counts[by_class[1]], size)
    for rows, start in zip(by_class, starts or (), strict=False):
        marks[rows[start : start + size]] = True
    return marks
