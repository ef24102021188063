"""ρ← and ρ→ (DESIGN §4): correlation over words of mean sparsity with training frequency, epoch by epoch.

Role ``target`` gives ρ←, role ``input`` gives ρ→. ``<unk>`` and ``<eos>`` are in no correlation.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.statistics import STATISTICS
from natural_sparsity.corpus.vocabulary import SPECIALS

MEASURES = {"chi": "chi_mean", "l1": "l1_mean", "l2": "l2_mean"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--probes", type=Path, nargs="+", required=True, help="a Parquet file an epoch")
    parser.add_argument("--words", type=Path, required=True, help="Parquet: vocabulary with classes and counts")
    parser.add_argument("--run", required=True, help="name of the run, for the table's column of that name")
    parser.add_argument("--output", type=Path, required=True, help="out: Parquet, tidy")


def word_sets(words: pd.DataFrame) -> dict[str, np.ndarray]:
    """The sets of word ids over which correlations are taken."""
    matched = words["matched"]
    open_class, closed_class = words["pos_class"] == "open", words["pos_class"] == "closed"
    masks = {
        "all": words["id"] >= len(SPECIALS),
        "open": open_class,
        "closed": closed_class,
        "open_matched": open_class & matched,
        "closed_matched": closed_class & matched,
    }
    return {name: words.loc[mask, "id"].to_numpy() for name, mask in masks.items()}


def correlate_probe(probe: pd.DataFrame, counts: np.ndarray, sets: dict[str, np.ndarray]) -> pd.DataFrame:
    """All correlations of one probe; ``counts`` (vocabulary,) are training counts by word id."""
    rows = []
    for (role, tensor), group in probe.groupby(["role", "tensor"], observed=True):
        ids, frequency = group["id"].to_numpy(), counts[group["id"].to_numpy()]
        for name, members in sets.items():
            in_set = np.isin(ids, members) & (frequency > 0)
            for measure, column in MEASURES.items():
                value = group[column].to_numpy()
                used = in_set & ~np.isnan(value)
                x, y = frequency[used].astype(float), value[used]
                for statistic, function in STATISTICS.items():
                    rows.append((role, tensor, measure, name, statistic, function(x, y), len(x)))
    return pd.DataFrame(rows, columns=["role", "tensor", "measure", "words", "statistic", "value", "n"])


def run(args: argparse.Namespace) -> None:
    """Correlate every probe of a run."""
    words = files.read_parquet(args.words, ["id", "word", "count", "pos_class", "matched"])
    counts, sets = words["count"].to_numpy(), word_sets(words)
    tables = []
    for path in args.probes:
        probe = files.read_parquet(path, ["id", "role", "tensor", *MEASURES.values()])
        table = correlate_probe(probe, counts, sets)
        table.insert(0, "epoch", files.read_metadata(path)["epoch"])
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "run", args.run)
    files.write_parquet(args.output, table)
