"""Write the words table: the majority part of speech and class of each word, and samples of like frequency."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from
from natural_sparsity.settings import parse_positive
from natural_sparsity.tagging.matching import find_matched_ranges, pair_words

OPEN = ["ADJ", "ADV", "INTJ", "NOUN", "PROPN", "VERB"]
CLOSED = ["ADP", "AUX", "CCONJ", "DET", "PART", "PRON", "SCONJ"]
CLASSES = {**dict.fromkeys(OPEN, "open"), **dict.fromkeys(CLOSED, "closed")}  # NUM, PUNCT, SYM, X, SPACE have none


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--vocabulary", type=Path, required=True, help="Parquet id, word, count")
    help_text = "tag counts of each shard; without any, no word has a class"
    parser.add_argument("--tags", type=Path, nargs="*", default=[], help=help_text)
    help_text = "occurrences tagged with its majority part of speech that a word needs to have a class"
    parser.add_argument("--min-tagged", type=parse_positive, required=True, help=help_text)
    parser.add_argument(
        "--matched-size", type=parse_positive, required=True, help="words in each frequency-matched sample"
    )
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
    metadata: dict[str, Any] = {"vocabulary": digest}
    assignment = []
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
    frame["matched"], frame["pair"] = mark_matched(frame, args.matched_size), number_pairs(frame)
    samples = describe_samples(frame)
    classes = frame["pos_class"].value_counts()
    sizes = ", ".join(f"{classes.get(name, 0)} {name}" for name in ("open", "closed"))
    print(f"words: {len(frame)} words, {sizes}", file=sys.stderr)
    for name, sample in samples.items():
        deviation = "" if sample["sd"] is None else f", standard deviation {sample['sd']:.1f}"
        print(
            f"words: {name}: {sample['words']} words, counts {sample['least']} to {sample['most']}, mean"
            f" {sample['mean']:.1f}{deviation}",
            file=sys.stderr,
        )
    if args.tags and not frame["matched"].any():
        small = min(classes.get(name, 0) for name in ("open", "closed")) < args.matched_size
        because = (
            f"a class has fewer than {args.matched_size} words"
            if small
            else f"no range of {args.matched_size} words of one class is as frequent, within 1 %, as one of the other"
        )
        print(
            f"words: WARNING: no frequency-matched samples, because {because}; on a small corpus, lower matched_size or"
            " min_tagged",
            file=sys.stderr,
        )
    metadata |= {"min_tagged": args.min_tagged, "matched_size": args.matched_size, "samples": samples}
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


def sort_classes(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The rows of open-class words and of closed-class words, by falling count; equal counts keep the order of ids."""
    ids, counts = frame["id"].to_numpy(), frame["count"].to_numpy()
    open_rows, closed_rows = (
        rows[np.lexsort((ids[rows], -counts[rows]))]
        for rows in (np.flatnonzero(frame["pos_class"] == name) for name in ("open", "closed"))
    )
    return open_rows, closed_rows


def mark_matched(frame: pd.DataFrame, size: int) -> np.ndarray:
    """Mark (n_words,) bool the ``size`` open and ``size`` closed words with close means and like spreads of counts.

    All are False if there are none, as :func:`find_matched_ranges` says.
    """
    marks, counts = np.zeros(len(frame), bool), frame["count"].to_numpy()
    open_rows, closed_rows = sort_classes(frame)
    if starts := find_matched_ranges(counts[open_rows], counts[closed_rows], size):
        for rows, start in zip((open_rows, closed_rows), starts, strict=True):
            marks[rows[start : start + size]] = True
    return marks


def number_pairs(frame: pd.DataFrame) -> np.ndarray:
    """Number (n_words,) int32 the pairs of an open and a closed word of nearest frequency, from 0; -1 for the others.

    Pair 0 is the most frequent.
    """
    numbers, counts = np.full(len(frame), -1, np.int32), frame["count"].to_numpy()
    open_rows, closed_rows = sort_classes(frame)
    pairs = pair_words(counts[open_rows], counts[closed_rows])
    for rows, places in zip((open_rows, closed_rows), pairs.T, strict=True):
        numbers[rows[places]] = np.arange(len(pairs))
    return numbers


def describe_samples(frame: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """What the counts of each sample of like frequency are; a sample without words is left out.

    By the name of the set: ``words``, ``mean``, ``sd`` (the sample's; None for one word), ``least``, ``most``.
    """
    samples = {"matched": frame["matched"], "paired": frame["pair"] >= 0}
    chosen = {
        f"{name}_{sample}": frame.loc[mark & (frame["pos_class"] == name), "count"]
        for sample, mark in samples.items()
        for name in ("open", "closed")
    }
    return {
        name: {
            "words": len(counts),
            "mean": float(counts.mean()),
            "sd": float(counts.std()) if len(counts) > 1 else None,
            "least": int(counts.min()),
            "most": int(counts.max()),
        }
        for name, counts in chosen.items()
        if len(counts)
    }
