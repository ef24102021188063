"""Correlation over words of mean sparsity with training frequency, checkpoint by checkpoint: ρ← and ρ→.

Role ``target`` gives ρ←, role ``input`` gives ρ→. ``<unk>`` and ``<eos>`` are left out. Every value has a bootstrap
interval over words; all tensors, measures, checkpoints and roles of a word set see the same resamples, so that their
differences have intervals too.
"""

import argparse
from collections.abc import Sequence
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
    SEEN,
    Origin,
    check_chain,
    check_rows,
    check_same,
    find_origin,
    read_origin,
    read_tensors,
)
from natural_sparsity.analysis.statistics import pearson, percentile_interval, resampling_weights, spearman
from natural_sparsity.analysis.tensors import GRADIENT, STATIC, find_top
from natural_sparsity.analysis.word_sets import COLUMNS, PAIRED, select_words
from natural_sparsity.config.base import read_block
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.corpus.vocabulary import read_by_id
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_run
from natural_sparsity.settings import add_expect_option, add_statistics_option

# The mean over words is no correlation, but the class effect is a difference of means.
STATISTICS = ["pearson", "pearson_log", "spearman", "mean"]
AXES = ["words", "role", "tensor", "measure", "statistic"]
# Word sets whose difference, first minus second, is taken within a checkpoint.
SETS = [("open", "closed"), ("open_matched", "closed_matched"), PAIRED, ("frequent", "rare")]
Pairs = Sequence[tuple[str, str]]
# Of a checkpoint: the values (r, …) in every resample, and the words that enter, (…) without the last axis.
Replicates = tuple[np.ndarray, np.ndarray]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--probes", type=Path, nargs="+", required=True, help="Parquet, one file per checkpoint")
    parser.add_argument("--words", type=Path, required=True, help="Parquet: vocabulary with classes and counts")
    add_statistics_option(parser)
    parser.add_argument("--correlations", type=Path, required=True, help="out: Parquet, tidy")
    help_text = "out: Parquet, tidy; between epochs, too, if no two checkpoints are of one epoch"
    parser.add_argument("--differences", type=Path, help=help_text)
    add_expect_option(parser)


def pair_tensors(tensors: Sequence[str]) -> list[tuple[str, str]]:
    """The tensors whose difference, first minus second, is taken within a checkpoint; L is the top recurrent layer.

    ∇h_L and h_L, ∇h_L and ∇x, h_e and h_1.
    """
    top = find_top(tensors)
    pairs = [(GRADIENT + top, top), (GRADIENT + top, "grad_x"), ("h_e", "h_1")]
    return [pair for pair in pairs if set(pair) <= set(tensors)]


def arrange_by_word(probe: pd.DataFrame, vocabulary: int, tensors: list[str], measures: list[str]) -> np.ndarray:
    """The probe's means as (roles, vocabulary, tensors · measures), NaN where a word has none."""
    values = np.full((len(ROLES), vocabulary, len(tensors), len(measures)), np.nan)
    role = pd.Index(ROLES).get_indexer(pd.Index(probe["role"]))
    tensor = pd.Index(tensors).get_indexer(pd.Index(probe["tensor"]))
    values[role, probe["id"], tensor] = probe[[f"{measure}_mean" for measure in measures]]
    return values.reshape(len(ROLES), vocabulary, -1)


def compute_statistics(values: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All statistics of one word set at one checkpoint.

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

    There are none of the static gradient by input words: it has none.

    Args:
        n: words, of shape (…) without the last axis.
        axes: the names along each of the other axes.
    """
    low, high = percentile_interval(replicates[1:], level)
    index = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
    columns = {"value": replicates[0], "low": low, "high": high, "n": np.broadcast_to(n[..., None], low.shape)}
    rows = pd.DataFrame({name: array.ravel() for name, array in columns.items()}, index).reset_index()
    return rows[(rows["role"] == "target") | (rows["tensor"] != STATIC)]


def compare_within_checkpoint(
    replicates: np.ndarray, n: np.ndarray, axes: dict[str, list[str]], level: float
) -> pd.DataFrame:
    """Differences between word sets and between tensors.

    Word sets are resampled separately, except those of pairs; tensors share the resamples. A row's ``n`` is the number
    of words on the smaller side.
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


def subtract(later: Replicates, earlier: Replicates, axes: dict[str, list[str]], level: float) -> pd.DataFrame:
    """The differences of one checkpoint from another, in the same resamples."""
    return tabulate(later[0] - earlier[0], np.minimum(later[1], earlier[1]), axes, level)


def list_references(epochs: list[int]) -> list[int]:
    """The places in ``epochs``, ascending, of those that every later one is compared with.

    The untrained model (epoch 0), if it is given, and the first epoch after it. None if two checkpoints are of one
    epoch: a difference would not say of which.
    """
    if len(set(epochs)) < len(epochs):
        return []
    return [0, 1] if epochs[0] == 0 else [0]


@dataclass(frozen=True)
class Probes:
    """The probes of a run under one condition, and what they have in common.

    ``paths`` are in the order of training, ``about`` is the metadata of each.
    """

    origin: Origin
    condition: str
    tensors: list[str]
    measures: list[str]
    paths: list[Path]
    about: list[dict[str, Any]]

    @classmethod
    def open(cls, paths: list[Path]) -> "Probes":
        """See what the files hold.

        Raises:
            UserError: they belong to several runs or conditions, differ in measures, or two belong to one checkpoint.
        """
        given = {path: read_origin(path, [*SEEN, "checkpoint", *PROBED])[1] for path in paths}
        check_same({path: {key: metadata[key] for key in (*PROBED, "seed")} for path, metadata in given.items()})
        by_time: dict[tuple[int, int], Path] = {}
        for path in paths:
            time = given[path]["epoch"], given[path]["steps"]
            if time in by_time:
                name = given[path]["checkpoint"]
                raise UserError(f"{path}: a second probe of {name}; give one file per checkpoint")
            by_time[time] = path
        ordered = [by_time[time] for time in sorted(by_time)]
        metadata = given[ordered[0]]
        return cls(
            find_origin(metadata),
            metadata["condition"],
            read_tensors(ordered[0]),
            [*metadata["measures"], *NORMS],
            ordered,
            [given[path] for path in ordered],
        )

    def name_sources(self) -> dict[str, Any]:
        """What is measured on, and how, for the metadata of what is made of the probes: ``checkpoints`` is of all."""
        checkpoints = {key: value for about in self.about for key, value in about["checkpoints"].items()}
        return {"checkpoints": checkpoints, **{key: self.about[0][key] for key in ("vocabulary", "tokens", "probe")}}

    @property
    def epochs(self) -> list[int]:
        """The epoch of each probe, ascending; 0 for the untrained model and those inside the first epoch."""
        return [metadata["epoch"] for metadata in self.about]

    def time(self, i: int) -> dict[str, int]:
        """When the checkpoint of probe ``i`` was saved, ``epoch, steps, tokens``."""
        return {column: self.about[i][name] for name, column in SEEN.items()}

    def read(self, i: int, vocabulary: int) -> np.ndarray:
        """The means of probe ``i``, as :func:`arrange_by_word` gives them."""
        path = self.paths[i]
        probe = files.read_parquet(path, ["id", "role", "tensor", *(f"{name}_mean" for name in self.measures)])
        check_rows(path, probe, vocabulary, self.tensors)
        return arrange_by_word(probe, vocabulary, self.tensors, self.measures)


@dataclass(frozen=True)
class Bootstrap:
    """The sets of words, by name, and what every checkpoint shares: the words' counts and the resamples of each set."""

    sets: dict[str, np.ndarray]
    counts: np.ndarray
    weights: dict[str, np.ndarray]

    @classmethod
    def draw(cls, words: pd.DataFrame, settings: Statistics) -> "Bootstrap":
        """Draw the resamples; the two sets of pairs share theirs, so that pairs are drawn.

        They depend on the seed and the words alone: runs on one corpus share them.
        """
        sets = select_words(words)
        places = {name: i for i, name in enumerate(sets)} | dict.fromkeys(PAIRED, list(sets).index(PAIRED[0]))
        weights = {
            name: resampling_weights(len(ids), settings.resamples, (settings.seed, places[name]))
            for name, ids in sets.items()
        }
        return cls(sets, words["count"].to_numpy(float), weights)

    def replicate(self, values: np.ndarray) -> Replicates:
        """All statistics of a checkpoint's means, as :func:`arrange_by_word` gives them.

        Returns:
            (r, sets, roles, columns, statistics) by :data:`STATISTICS`; (sets, roles, columns) words that enter.
        """
        results = [
            compute_statistics(values[:, ids], self.counts[ids], self.weights[name]) for name, ids in self.sets.items()
        ]
        replicates, n = zip(*results, strict=True)
        return np.stack(replicates, 1), np.stack(n)


def run(args: argparse.Namespace) -> None:
    """Correlate every probe of a run."""
    settings = read_block(Statistics, args.statistics, "statistics")
    words = read_by_id(args.words, COLUMNS)
    probes = Probes.open(args.probes)
    check_chain(args.probes, words=args.words)
    for path, about in zip(probes.paths, probes.about, strict=True):
        check_run(path, about, args.expect)
    bootstrap = Bootstrap.draw(words, settings)
    names = [list(bootstrap.sets), list(ROLES), probes.tensors, probes.measures, STATISTICS]
    axes = dict(zip(AXES, names, strict=True))
    shape = tuple(map(len, names))

    def replicate(i: int) -> Replicates:
        replicates, n = bootstrap.replicate(probes.read(i, len(words)))
        return replicates.reshape(-1, *shape), n.reshape(shape[:-1])

    last, references = len(probes.paths) - 1, list_references(probes.epochs)
    # Only those that others are compared with are kept: 8 kB per value and checkpoint at 1,000 resamples.
    kept = {last: replicate(last)}
    correlations, differences = [], []
    for i in range(last + 1):
        current = kept[i] if i in kept else replicate(i)
        time = probes.time(i)
        correlations.append(tabulate(*current, axes, settings.level).assign(**time))
        if not args.differences:
            continue
        differences.append(compare_within_checkpoint(*current, axes, settings.level).assign(**time))
        for j in references:
            if j < i:
                rows = subtract(current, kept[j], axes, settings.level)
                differences.append(rows.assign(**time, kind="epoch", against=str(probes.epochs[j])))
        if i in references:
            kept[i] = current
        elif references and i < last:
            rows = subtract(kept[last], current, axes, settings.level)
            differences.append(rows.assign(**probes.time(last), kind="epoch", against=str(probes.epochs[i])))
    metadata = probes.origin._asdict() | {
        "condition": probes.condition,
        "statistics": settings.model_dump(),
        "words": files.read_digest(args.words),
        **probes.name_sources(),
    }
    order = [*SEEN.values(), "role", "tensor", "measure", "words", "statistic"]
    numbers = ["value", "low", "high", "n"]
    for path, tables, columns in (
        (args.correlations, correlations, [*order, *numbers]),
        (args.differences, differences, [*order, "kind", "against", *numbers]),
    ):
        if path:
            files.write_parquet(path, pd.concat(tables, ignore_index=True)[columns], metadata)
