"""List the vocabulary: types that still reach ``min_count`` after the filter, with their counts in training."""

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.corpus.shards import Shard, check_filter, check_lists, check_shards, count_types
from natural_sparsity.corpus.split import TRAIN
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_run

SPECIALS = ["<unk>", "<eos>"]
UNK, EOS = range(2)
# What the entries of a vocabulary are called; ``token`` where some corpora have words and others characters.
UNITS = ("word", "character", "token")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--counts", type=Path, required=True, help="frequent types of the corpus, with both counts")
    help_text = "rows of each shard's types in --counts"
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help="tokens of each shard")
    parser.add_argument("--lengths", type=Path, nargs="+", required=True, help="sentence lengths of each shard")
    parser.add_argument("--assignment", type=Path, nargs="+", required=True, help="sentence splits of each shard")
    help_text = "how often a word must occur in the kept sentences to be in the vocabulary"
    parser.add_argument("--min-count", type=int, required=True, help=help_text)
    parser.add_argument("--output", type=Path, required=True, help="out: Parquet id, word, count (in training)")


def in_units(text: str, unit: str) -> str:
    """Replace "word" and "words" in a text by the vocabulary's ``unit``."""
    return re.sub(r"\b([Ww])ord(s?)\b", lambda match: match_case(match[1], unit) + match[2], text)


def match_case(first: str, unit: str) -> str:
    """Capitalise the unit if ``first`` is a capital."""
    return unit.capitalize() if first.isupper() else unit


def read_by_id(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read ``id`` and ``columns`` of a table with one row per vocabulary word, in which a word's id is its row.

    Raises:
        UserError: the rows are not in the order of their ids; also as :func:`files.read_table` does.
    """
    frame = files.read_parquet(path, ["id", *columns])
    if not np.array_equal(frame["id"], np.arange(len(frame))):
        raise UserError(f"{path}: its rows are not in the order of their ids; delete it and run again")
    return frame


def run(args: argparse.Namespace) -> None:
    """Number the words by falling training count, ties in alphabetical order, after the special symbols."""
    check_lists(args.lengths, args.tokens)
    texts = check_shards(args.lengths, args.rows, args.assignment)
    check_filter(args.counts, texts, args.rows, args.assignment)
    check_run(args.counts, files.read_metadata(args.counts), {"min_count": args.min_count})
    types = files.read_table(args.counts, ["word", "kept_count"])
    # The last count is that of <unk> in the text and of the rare types, which only given splits still have.
    counts, sentences = np.zeros(len(types) + 1, np.int64), 0
    for rows_path, tokens, lengths, assignment_path in zip(
        args.rows, args.tokens, args.lengths, args.assignment, strict=True
    ):
        rows, in_training = files.read_array(rows_path), files.read_array(assignment_path) == TRAIN
        counts += count_types(Shard.open(tokens, lengths), in_training, rows, len(counts))
        sentences += int(in_training.sum())
    counts, unknown = counts[:-1], int(counts[-1])
    known = types["kept_count"].to_numpy() >= args.min_count
    frame = pd.DataFrame({"word": types["word"].combine_chunks().filter(known).to_pandas(), "count": counts[known]})
    frame = frame.sort_values(["count", "word"], ascending=[False, True])
    specials = pd.DataFrame({"word": SPECIALS, "count": [unknown + int(counts[~known].sum()), sentences]})
    frame = pd.concat([specials, frame], ignore_index=True)
    frame.insert(0, "id", np.arange(len(frame), dtype=np.int32))
    files.write_parquet(args.output, frame, {"assignment": [files.read_digest(path) for path in args.assignment]})
