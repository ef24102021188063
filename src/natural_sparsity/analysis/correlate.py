"""Correlation over words of mean sparsity with training frequency, epoch by epoch: ρ← and ρ→.

Role ``target`` gives ρ←, role ``input`` gives ρ→. ``<unk>`` and ``<eos>`` are left out. Every value has a bootstrap
interval over words; all tensors, measures, epochs and roles of a word set see the same resamples, so that their
differences have intervals too.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import (
    NORMS,
    PROBED,
    ROLES,
    Origin,
    check_chain,
    check_rows,
    check_same,
    find_origin,
    read_origin,
    read_tensors,
)
from natural_sparsity.analysis.statistics import pearson, percentile_interval, resampling_weights, spearman
from natural_sparsity.analysis.tensors import GRADIENT, find_top
from natural_sparsity.config.base import read_block
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.corpus.vocabulary import SPECIALS, read_by_id
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_run
from natural_sparsity.settings import add_expect_option, parse_json_object

# The mean over words is no correlation, but the class effect is a difference of means.
STATISTICS = ["pearson", "pearson_log", "spearman", "mean"]
AXES = ["words", "role", "tensor", "measure", "statistic"]
# Word sets whose difference, first minus second, is taken within an epoch.
SETS = [("open", "closed"), ("open_matched", "closed_matched")]
Pairs = Sequence[tuple[str, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--probes", type=Path, nargs="+", required=True, help="Parquet, one file per epoch")
    parser.add_argument("--words", type=Path, required=True, help="Parquet: vocabulary with classes and counts")
    parser.add_argument(
        "--statistics",
        type=parse_json_object,
        default={},
        help="JSON, the configuration's block: resamples, level, seed",
    )
    parser.add_argument("--correlations", type=Path, required=True, help="out: Parquet, tidy")
    parser.add_argument("--differences", type=Path, required=True, help="out: Parquet, tidy")
    add_expect_option(parser)


def pair_tensors(tensors: Sequence[str]) -> list[tuple[str, str]]:
    """The tensors whose difference, first minus second, is taken within an epoch; L is the top recurrent layer.

    ∇h_L and h_L, ∇h_L and ∇x, h_e and h_1.
    """
    top = find_top(tensors)
    pairs = [(GRADIENT + top, top), (GRADIENT + top, "grad_x"), ("h_e", "h_1")]
    return [pair for pair in pairs if set(pair) <= set(tensors)]


def select_words(words: pd.DataFrame) -> dict[str, np.ndarray]:
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


def arrange_by_word(probe: pd.DataFrame, vocabulary: int, tensors: list[str], measures: list[str]) -> np.ndarray:
    """The probe's means as (roles, vocabulary, tensors · measures), NaN where a word has none."""
    values = np.full((len(ROLES), vocabulary, len(tensors), len(measures)), np.nan)
    role = pd.Index(ROLES).get_indexer(pd.Index(probe["role"]))
    tensor = pd.Index(tensors).get_indexer(pd.Index(probe["tensor"]))
    values[role, probe["id"], tensor] = probe[[f"{measure}_mean" for measure in measures]]
    return values.reshape(len(ROLES), vocabulary, -1)


def compute_statistics(values: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def tabulate(replicates: np.ndarray, n: np.ndarray, axes: dict[str, list[str]], level: float) -> pd.DataFrame:
    """A row for each entry of ``replicates`` (r, …) beyond its first axis, whose row 0 is the estimate.

    Args:
        n: words, of shape (…) without the last axis.
        axes: the names along each of the other axes.
    """
    low, high = percentile_interval(replicates[1:], level)
    index = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
    columns = {"value": replicates[0], "low": low, "high": high, "n": np.broadcast_to(n[..., None], low.shape)}
    return pd.DataFrame({name: array.ravel() for name, array in columns.items()}, index).reset_index()


def compare_within_epoch(
    replicates: np.ndarray, n: np.ndarray, axes: dict[str, list[str]], level: float
) -> pd.DataFrame:
    """Differences between word sets, which are resampled separately, and between tensors, which are paired.

    A row's ``n`` is the number of words on the smaller side.
    """
    tables = []
    pairs_of: dict[str, tuple[int, Pairs]] = {"words": (0, SETS), "tensor": (2, pair_tensors(axes["tensor"]))}
    for kind, (position, pairs) in pairs_of.items():
        for first, second in pairs:
            i, j = ([axes[kind].index(name)] for name in (first, second))
            difference = replicates.take(i, position + 1) - replicates.take(j, position + 1)
            smaller = np.minimum(n.take(i, position), n.take(j, position))
            rows = tabulate(difference, smaller, {**axes, kind: [first]}, level)
            tables.append(rows.assign(kind=kind, against=second))
    return pd.concat(tables, ignore_index=True)


def compare_epochs(
    replicates: np.ndarray, n: np.ndarray, epochs: list[int], axes: dict[str, list[str]], level: float
) -> Iterator[pd.DataFrame]:
    """Differences of every later epoch from the first, and of the last from every one between.

    ``replicates`` (epochs, r, …) and ``n`` are all epochs'.
    """
    last = len(epochs) - 1
    for i, j in [(i, 0) for i in range(1, last + 1)] + [(last, j) for j in range(1, last)]:
        rows = tabulate(replicates[i] - replicates[j], np.minimum(n[i], n[j]), axes, level)
        yield rows.assign(epoch=epochs[i], kind="epoch", against=str(epochs[j]))


@dataclass(frozen=True)
class Probes:
    """The probes of a run under one condition: ``epochs``, ascending, with a file for each, and what the files have."""

    origin: Origin
    condition: str
    epochs: list[int]
    tensors: list[str]
    measures: list[str]
    paths: list[Path]
    about: dict[Path, dict[str, Any]]

    @classmethod
    def open(cls, paths: list[Path]) -> "Probes":
        """See what the files hold.

        Raises:
            UserError: they belong to several runs or conditions, differ in measures, or two belong to one epoch.
        """
        given = {path: read_origin(path, ["epoch", *PROBED])[1] for path in paths}
        check_same({path: {key: metadata[key] for key in (*PROBED, "seed")} for path, metadata in given.items()})
        by_epoch: dict[int, Path] = {}
        for path in paths:
            epoch = given[path]["epoch"]
            if epoch in by_epoch:
                raise UserError(f"{path}: a second probe of epoch {epoch}; give one file per epoch")
            by_epoch[epoch] = path
        epochs = sorted(by_epoch)
        metadata = given[paths[0]]
        return cls(
            find_origin(metadata),
            metadata["condition"],
            epochs,
            read_tensors(by_epoch[epochs[0]]),
            [*metadata["measures"], *NORMS],
            [by_epoch[epoch] for epoch in epochs],
            given,
        )

    def values(self, vocabulary: int) -> Iterator[np.ndarray]:
        """Each epoch's means, as :func:`arrange_by_word` gives them."""
        for path in self.paths:
            probe = files.read_parquet(path, ["id", "role", "tensor", *(f"{name}_mean" for name in self.measures)])
            check_rows(path, probe, vocabulary, self.tensors)
            yield arrange_by_word(probe, vocabulary, self.tensors, self.measures)


def run(args: argparse.Namespace) -> None:
    """Correlate every probe of a run."""
    settings = read_block(Statistics, args.statistics, "statistics")
    words = read_by_id(args.words, ["count", "pos_class", "matched"])
    counts, sets = words["count"].to_numpy(float), select_words(words)
    probes = Probes.open(args.probes)
    check_chain(args.probes, words=args.words)
    for path, about in probes.about.items():
        check_run(path, about, args.expect)
    epochs = probes.epochs
    axes = dict(zip(AXES, [list(sets), list(ROLES), probes.tensors, probes.measures, STATISTICS], strict=True))
    # The resamples of a set depend on the seed and the words alone: runs on one corpus share them.
    weights = [
        resampling_weights(len(ids), settings.resamples, (settings.seed, i)) for i, ids in enumerate(sets.values())
    ]
    shape = tuple(map(len, axes.values()))
    # All are kept, since any epoch may be compared with the last: 8 kB per value at 1,000 resamples.
    replicates = np.empty((len(epochs), 1 + settings.resamples, *shape))
    n = np.empty((len(epochs), *shape[:-1]), int)
    for e, values in enumerate(probes.values(len(words))):
        for s, ids in enumerate(sets.values()):
            result, present = compute_statistics(values[:, ids], counts[ids], weights[s])
            replicates[e, :, s] = result.reshape(len(result), *shape[1:])
            n[e, s] = present.reshape(shape[1:-1])
    correlations, differences = [], []
    for e, epoch in enumerate(epochs):
        correlations.append(tabulate(replicates[e], n[e], axes, settings.level).assign(epoch=epoch))
        differences.append(compare_within_epoch(replicates[e], n[e], axes, settings.level).assign(epoch=epoch))
    differences += compare_epochs(replicates, n, epochs, axes, settings.level)
    metadata = probes.origin._asdict() | {
        "condition": probes.condition,
        "statistics": settings.model_dump(),
        "words": files.read_digest(args.words),
        "checkpoints": {key: value for about in probes.about.values() for key, value in about["checkpoints"].items()},
        **{key: probes.about[probes.paths[0]][key] for key in ("vocabulary", "tokens")},
    }
    order = ["epoch", "role", "tensor", "measure", "words", "statistic"]
    numbers = ["value", "low", "high", "n"]
    for path, tables, columns in (
        (args.correlations, correlations, [*order, *numbers]),
        (args.differences, differences, [*order, "kind", "against", *numbers]),
    ):
        files.write_parquet(path, pd.concat(tables, ignore_index=True)[columns], metadata)
