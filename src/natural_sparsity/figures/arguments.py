"""Arguments that several figures have, each declared once."""

import argparse
from pathlib import Path

from natural_sparsity.corpus.vocabulary import UNITS

# The correlations that can be drawn, and how a label writes them.
STATISTICS = {"pearson": "Pearson", "spearman": "Spearman", "pearson_log": "Pearson, log frequency"}


def add_probes(parser: argparse.ArgumentParser) -> None:
    """Probes and words."""
    parser.add_argument(
        "--probes", type=Path, metavar="P", nargs="+", required=True, help="probe Parquet, one file per seed and epoch"
    )
    parser.add_argument("--words", type=Path, metavar="W", required=True, help="words Parquet")


def add_correlations(parser: argparse.ArgumentParser, statistic: str = "pearson") -> None:
    """Correlations, and which of them."""
    parser.add_argument(
        "--correlations", type=Path, metavar="C", nargs="+", required=True, help="Parquet, one file per seed"
    )
    add_measure(parser)
    parser.add_argument("--statistic", choices=list(STATISTICS), default=statistic, help="default %(default)s")


def add_control(parser: argparse.ArgumentParser) -> None:
    """Correlations of the model that learned the same text with its tokens shuffled."""
    parser.add_argument(
        "--control",
        type=Path,
        metavar="C",
        nargs="+",
        default=[],
        help="Parquet of the same model on the shuffled text, one file per seed",
    )


def add_checkpoints(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """States of checkpoints."""
    parser.add_argument(
        "--checkpoints",
        type=Path,
        metavar="J",
        nargs="+",
        required=required,
        default=[],
        help="state.json, one file per seed and epoch",
    )


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Checkpoints whose tensors are read."""
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FOLDER", nargs="+", required=True, help="one folder per model and seed"
    )


def add_measure(parser: argparse.ArgumentParser) -> None:
    """The measure of sparsity."""
    parser.add_argument("--measure", default="chi", help="measure of sparsity (default %(default)s)")


def add_threshold(parser: argparse.ArgumentParser, default: int) -> None:
    """How often a word must occur to be drawn; ``default`` is the paper's."""
    parser.add_argument(
        "--threshold",
        type=int,
        metavar="N",
        default=default,
        help="draw words with more than N training occurrences (default %(default)s, the paper's)",
    )


def add_unit(parser: argparse.ArgumentParser) -> None:
    """What the labels call the vocabulary's entries."""
    parser.add_argument(
        "--unit", choices=UNITS, default="word", help="what the data's tokens are (default %(default)s)"
    )
