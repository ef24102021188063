"""ρ← and ρ→ (DESIGN §4): correlation over words of mean sparsity with training frequency, epoch by epoch.

Role ``target`` gives ρ←, role ``input`` gives ρ→. ``<unk>`` and ``<eos>`` are in no correlation. Every value has a
bootstrap interval over words; all tensors, measures, epochs and roles of a word set see the same resamples, so that
their differences have intervals too.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.statistics import interval, pearson, resampling_weights, spearman
from natural_sparsity.corpus.vocabulary import SPECIALS, read_by_id
from natural_sparsity.errors import UserError
from natural_sparsity.settings import json_object, read_block

ROLES = ["target", "input"]
NORMS = ["l1", "l2"]  # beside the measures that were probed
# The mean over words is no correlation, but the class effect is a difference of means.
STATISTICS = ["pearson", "pearson_log", "spearman", "mean"]
AXES = ["words", "role", "tensor", "measure", "statistic"]
# What is subtracted within an epoch: first less second.
SETS = [("open", "closed"), ("open_matched", "closed_matched")]
TENSORS = [("grad_h_2", "h_2"), ("grad_h_2", "grad_x"), ("h_e", "h_1")]


@dataclass(frozen=True)
class Statistics:
    """The bootstrap: ``resamples`` of the words, intervals of ``level``, random numbers from ``seed``."""

    resamples: int = 1000
    level: float = 0.95
    seed: int = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--probes", type=Path, nargs="+", required=True, help="a Parquet file an epoch")
    parser.add_argument("--words", type=Path, required=True, help="Parquet: vocabulary with classes and counts")
    parser.add_argument("--run", required=True, help="name of the run, for the table's column of that name")
    parser.add_argument(
        "--statistics", type=json_object, default={}, help="JSON, the configuration's block: resamples, level, seed"
    )
    parser.add_argument("--correlations", type=Path, required=True, help="out: Parquet, tidy")
    parser.add_argument("--differences", type=Path, required=True, help="out: Parquet, tidy")


def word_sets(words: pd.DataFrame) -> dict[str, np.ndarray]:
    """The sets of word ids over which correlations are taken: words that occur in training."""
    matched = words["matched"]
    open_class, closed_class = words["pos_class"] == "open", words["pos_class"] == "closed"
    masks = {
        "all": words["id"] >= len(SPECIALS),
        "open": open_class,
        "closed": closed_class,
        "open_matched": open_class & matched,
        "closed_matched": closed_class & matched,
    }
    return {name: words.loc[mask & (words["count"] > 0), "id"].to_numpy() for name, mask in masks.items()}


def by_word(probe: pd.DataFrame, vocabulary: int, tensors: list[str], measures: list[str]) -> np.ndarray:
    """The probe's means as (roles, vocabulary, tensors · measures), NaN where a word has none."""
    values = np.full((len(ROLES), vocabulary, len(tensors), len(measures)), np.nan)
    role = pd.Index(ROLES).get_indexer(pd.Index(probe["role"]))
    tensor = pd.Index(tensors).get_indexer(pd.Index(probe["tensor"]))
    values[role, probe["id"], tensor] = probe[[f"{measure}_mean" for measure in measures]]
    return values.reshape(len(ROLES), vocabulary, -1)


def statistics_of(values: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All statistics of one word set at one epoch.

    Args:
        values: (roles, words, columns), NaN where missing.
        counts: (words,) training counts, positive.
        weights: (r, words).

    Returns:
        (r, roles, columns, statistics), by :data:`STATISTICS`; (roles, columns) words that enter.
    """
    frequency = np.stack([counts, np.log(counts)], 1)
    result = []
    for y in values:
        coefficients, means = pearson(frequency, y, weights)
        result.append(np.stack([*coefficients, spearman(counts, y, weights), means], -1))
    return np.stack(result, 1), (~np.isnan(values)).sum(1)


def table(replicates: np.ndarray, n: np.ndarray, axes: dict[str, list[str]], level: float) -> pd.DataFrame:
    """A row for each entry of ``replicates`` (r, …) beyond its first axis, whose row 0 is the estimate.

    Args:
        n: words, of shape (…) less the last axis.
        axes: the names along each of the other axes.
    """
    low, high = interval(replicates[1:], level)
    index = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
    columns = {"value": replicates[0], "low": low, "high": high, "n": np.broadcast_to(n[..., None], low.shape)}
    return pd.DataFrame({name: array.ravel() for name, array in columns.items()}, index).reset_index()


def within_epoch(replicates: np.ndarray, n: np.ndarray, axes: dict[str, list[str]], level: float) -> pd.DataFrame:
    """Differences between word sets, which are resampled apart, and between tensors, which are paired.

    A row's ``n`` is the number of words on the smaller side.
    """
    tables = []
    for kind, position, pairs in (("words", 0, SETS), ("tensor", 2, TENSORS)):
        for first, second in pairs:
            if not {first, second} <= set(axes[kind]):
                continue
            i, j = ([axes[kind].index(name)] for name in (first, second))
            difference = replicates.take(i, position + 1) - replicates.take(j, position + 1)
            smaller = np.minimum(n.take(i, position), n.take(j, position))
            rows = table(difference, smaller, {**axes, kind: [first]}, level)
            tables.append(rows.assign(kind=kind, against=second))
    return pd.concat(tables, ignore_index=True)


def between_epochs(
    replicates: np.ndarray, n: np.ndarray, epochs: list[int], axes: dict[str, list[str]], level: float
) -> Iterator[pd.DataFrame]:
    """Differences of every later epoch to the first, and of the last to every one between.

    ``replicates`` (epochs, r, …) and ``n`` are all epochs'.
    """
    last = len(epochs) - 1
    for i, j in [(i, 0) for i in range(1, last + 1)] + [(last, j) for j in range(1, last)]:
        rows = table(replicates[i] - replicates[j], np.minimum(n[i], n[j]), axes, level)
        yield rows.assign(epoch=epochs[i], kind="epoch", against=str(epochs[j]))


@dataclass(frozen=True)
class Probes:
    """The probes of a run under one condition: its ``epochs``, ascending; what they have; and a file an epoch."""

    epochs: list[int]
    tensors: list[str]
    measures: list[str]
    paths: list[Path]
    condition: str

    @classmethod
    def open(cls, paths: list[Path]) -> "Probes":
        """See what the files hold.

        Raises:
            UserError: they are of several seeds or conditions, of other measures, or two are of one epoch.
        """
        by_epoch: dict[int, Path] = {}
        kinds: dict[str, Path] = {}
        for path in paths:
            metadata = files.read_metadata(path)
            kind = json.dumps([metadata.get(key) for key in ("seed", "condition", "measures")])
            kinds.setdefault(kind, path)
            if len(kinds) > 1:
                first, second = kinds
                raise UserError(f"{path}: seed, condition, measures are {second}, of {kinds[first]} they are {first}")
            if metadata["epoch"] in by_epoch:
                raise UserError(f"{path}: a second probe of epoch {metadata['epoch']}; give one file an epoch")
            by_epoch[metadata["epoch"]] = path
        epochs = sorted(by_epoch)
        tensors = files.read_parquet(by_epoch[epochs[0]], ["tensor"])["tensor"].unique()
        measures, condition = [*metadata["measures"], *NORMS], metadata["condition"]
        return cls(epochs, list(tensors), measures, [by_epoch[epoch] for epoch in epochs], condition)

    def values(self, vocabulary: int) -> Iterator[np.ndarray]:
        """Each epoch's means, as :func:`by_word` gives them."""
        for path in self.paths:
            probe = files.read_parquet(path, ["id", "role", "tensor", *(f"{name}_mean" for name in self.measures)])
            if probe["id"].max() >= vocabulary:
                raise UserError(f"{path}: has ids beyond the {vocabulary} of the words table; was another run's given?")
            yield by_word(probe, vocabulary, self.tensors, self.measures)


def run(args: argparse.Namespace) -> None:
    """Correlate every probe of a run."""
    settings = read_block(Statistics, args.statistics)
    words = read_by_id(args.words, ["count", "pos_class", "matched"])
    counts, sets = words["count"].to_numpy(float), word_sets(words)
    probes = Probes.open(args.probes)
    epochs = probes.epochs
    axes = dict(zip(AXES, [list(sets), ROLES, probes.tensors, probes.measures, STATISTICS], strict=True))
    # The resamples of a set depend on the seed and the words alone: runs on one corpus share them.
    weights = [
        resampling_weights(len(ids), settings.resamples, (settings.seed, i)) for i, ids in enumerate(sets.values())
    ]
    shape = tuple(map(len, axes.values()))
    # All are kept, since any epoch may be compared with the last: 8 kB a value at 1,000 resamples.
    replicates = np.empty((len(epochs), 1 + settings.resamples, *shape))
    n = np.empty((len(epochs), *shape[:-1]), int)
    for e, values in enumerate(probes.values(len(words))):
        for s, ids in enumerate(sets.values()):
            result, present = statistics_of(values[:, ids], counts[ids], weights[s])
            replicates[e, :, s] = result.reshape(len(result), *shape[1:])
            n[e, s] = present.reshape(shape[1:-1])
    correlations, differences = [], []
    for e, epoch in enumerate(epochs):
        correlations.append(table(replicates[e], n[e], axes, settings.level).assign(epoch=epoch))
        differences.append(within_epoch(replicates[e], n[e], axes, settings.level).assign(epoch=epoch))
    differences += between_epochs(replicates, n, epochs, axes, settings.level)
    order = ["run", "epoch", "role", "tensor", "measure", "words", "statistic"]
    numbers = ["value", "low", "high", "n"]
    for path, tables, columns in (
        (args.correlations, correlations, [*order, *numbers]),
        (args.differences, differences, [*order, "kind", "against", *numbers]),
    ):
        frame = pd.concat(tables, ignore_index=True).assign(run=args.run)
        files.write_parquet(path, frame[columns], {"statistics": asdict(settings), "condition": probes.condition})
