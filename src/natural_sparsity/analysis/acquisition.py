"""When in training a word is acquired and forgotten, and what of ρ surprisal and norms account for.

The age of acquisition is that of Chang & Bergen (2022, Word Acquisition in Neural Language Models, TACL 10): the tokens
seen in training when a word's mean surprisal has gone half of its way from the untrained model's to its least. They
take it from a sigmoid over log steps. Few checkpoints do not determine a sigmoid's four parameters, so here the curve
is the monotone one nearest to the points by least squares, from the untrained model to the least surprisal, straight
over log tokens between checkpoints. The same rule dates the change of a measure of the top layer's gradient by target
word, from the untrained value to the last: not to the farthest, which in the first steps may be a passing one.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.correlate import Bootstrap, Probes
from natural_sparsity.analysis.products import GROUP, ROLES, SEEN, check_chain, check_same, read_origin
from natural_sparsity.analysis.statistics import (
    LEAST_VARIANCE,
    LEAST_WORDS,
    pearson,
    percentile_interval,
    resampling_weights,
    spearman,
    standardise,
)
from natural_sparsity.analysis.tensors import GRADIENT, check_tensors, find_top
from natural_sparsity.analysis.word_sets import COLUMNS, select_words
from natural_sparsity.config.base import read_block
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.corpus.vocabulary import read_by_id
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from, check_run
from natural_sparsity.settings import add_expect_option, add_statistics_option

# A word is acquired if training at least doubles the geometric mean of its probabilities: a bit of surprisal.
LEAST_DROP = float(np.log(2))
# The least change of a measure that is dated, as a share of the untrained value.
LEAST_CHANGE = 0.05
# What is known of the date of a change: it has one; more than half was there at the first trained checkpoint; it is too
# small to have one.
DATED, EARLIER, NEVER = "dated", "earlier", "never"
# What a partial correlation is given.
GIVEN: dict[str, tuple[str, ...]] = {
    "": (),
    "surprisal": ("surprisal",),
    "log l2": ("log l2",),
    "surprisal, log l2": ("surprisal", "log l2"),
}
# The frequency that a statistic is taken with.
FREQUENCIES = {"pearson": "frequency", "pearson_log": "log frequency"}
VARIABLES = [*FREQUENCIES.values(), "measure", "surprisal", "log l2"]
# The curves that are dated beside surprisal: a word's measure, and that minus its mean over all words.
CURVES = ("measure", "relative")
# What a file has of each word beyond the words table, besides its curves.
DATES = [
    *("surprisal_untrained", "surprisal_least", "surprisal_last", "age", "status", "forgetting", "forgotten"),
    *(f"{curve}_{name}" for curve in CURVES for name in ("untrained", "last", "age", "status", "lag")),
]
# What a file of partial correlations has.
PARTIALS = [*SEEN.values(), "role", "tensor", "measure", "statistic", "given", "value", "low", "high", "n"]
# What the files of several seeds have in common.
SAME = (*GROUP, "statistics", "measure", "tensor", "course", "vocabulary", "words", "tokens")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--probes", type=Path, nargs="+", required=True, help="Parquet, one file per checkpoint, the untrained one too"
    )
    parser.add_argument("--words", type=Path, required=True, help="Parquet: vocabulary with classes and counts")
    add_statistics_option(parser)
    parser.add_argument("--acquisition", type=Path, required=True, help="out: Parquet, a row per word")
    parser.add_argument("--partials", type=Path, required=True, help="out: Parquet, tidy")
    add_expect_option(parser)


class Dates(NamedTuple):
    """When words changed, each (words,): the age in tokens, NaN unless dated, and what is known of the date."""

    age: np.ndarray
    status: np.ndarray


def date_change(curves: np.ndarray, end: np.ndarray, changed: np.ndarray, tokens: np.ndarray) -> Dates:
    """Date the point where each curve has gone half of its way from its first value to that at ``end``.

    Args:
        curves: (words, checkpoints), the untrained model first; NaN where a word has no value.
        end: (words,) the checkpoint where the way ends.
        changed: (words,) whether the change until there is large enough to have a date.
        tokens: (checkpoints,) tokens seen in training, ascending from 0.

    Returns:
        The dates; ``status`` is "" for a curve with a value missing.
    """
    from scipy.optimize import isotonic_regression  # here, since only curves need it

    missing = np.isnan(curves).any(1)
    age, status = np.full(len(curves), np.nan), np.where(missing, "", np.where(changed, DATED, NEVER)).astype(object)
    with np.errstate(divide="ignore"):
        log_tokens = np.log(tokens)
    for word in np.flatnonzero(status == DATED):
        way = curves[word, : end[word] + 1] - curves[word, 0]
        # From 0 to 1. The fit passes the middle once; a curve that wavers may do so several times.
        risen = isotonic_regression(way / way[-1]).x
        i = int(np.argmax(risen >= 0.5))
        if i == 1:
            status[word] = EARLIER
        else:
            part = (0.5 - risen[i - 1]) / (risen[i] - risen[i - 1])
            age[word] = np.exp(log_tokens[i - 1] + part * (log_tokens[i] - log_tokens[i - 1]))
    return Dates(age, status)


def describe_words(surprisal: np.ndarray, measure: np.ndarray, tokens: np.ndarray) -> pd.DataFrame:
    """A row per word: when it was acquired and when its measure changed, and how much was forgotten. :data:`DATES`.

    ``surprisal_…`` in nats; ``age`` in tokens, and ``status``; ``forgetting``, the last minus the least surprisal;
    ``forgotten``, whether the last is above the half-way level again, missing for words never acquired. For the measure
    and, as ``relative``, for the measure minus its mean over all words at the checkpoint: the untrained and the last
    value, age and status of the change between them, and ``lag``, log₂ of that age over the age of acquisition,
    negative where the measure leads, NaN unless both are dated.

    Args:
        surprisal, measure: (words, checkpoints), the untrained model first.
        tokens: (checkpoints,) tokens seen in training, ascending from 0.
    """
    rows = np.arange(len(surprisal))
    lowest = 1 + np.argmin(np.nan_to_num(surprisal[:, 1:], nan=np.inf), axis=1)
    first, least, last = surprisal[:, 0], surprisal[rows, lowest], surprisal[:, -1]
    acquired = date_change(surprisal, lowest, first - least >= LEAST_DROP, tokens)
    forgotten = pd.Series(last > (first + least) / 2, dtype="boolean")
    columns = {
        "surprisal_untrained": first,
        "surprisal_least": least,
        "surprisal_last": last,
        "age": acquired.age,
        "status": acquired.status,
        "forgetting": last - least,
        "forgotten": forgotten.mask(~np.isin(acquired.status, [DATED, EARLIER])),
    }
    whole = ~np.isnan(measure).any(1)
    mean = measure[whole].mean(0) if whole.any() else np.zeros(len(tokens))
    enough = LEAST_CHANGE * np.abs(measure[:, 0])
    for name, curves in zip(CURVES, (measure, measure - mean), strict=True):
        way = curves[:, -1] - curves[:, 0]
        changed = date_change(
            curves, np.full(len(curves), len(tokens) - 1), (np.abs(way) >= enough) & (way != 0), tokens
        )
        values = (curves[:, 0], curves[:, -1], *changed, np.log2(changed.age / acquired.age))
        columns |= dict(zip([column for column in DATES if column.startswith(f"{name}_")], values, strict=True))
    return pd.DataFrame(columns)


def correlate_all(variables: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlations of all variables with each other in every resample, from weighted moments.

    Args:
        variables: (n, k), nothing missing.
        weights: (r, n) how often each resample draws each word.

    Returns:
        (r, k, k), NaN where a variable is constant.
    """
    z = standardise(variables)[0]
    k = z.shape[1]
    products = (z[:, :, None] * z[:, None]).reshape(len(z), -1)
    total = weights.sum(1)[:, None]
    mean, square = np.split(weights @ np.concatenate([z, products], 1) / total, [k], axis=1)
    covariance = square.reshape(-1, k, k) - mean[:, :, None] * mean[:, None]
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    deviation = np.sqrt(np.where(variance > LEAST_VARIANCE, variance, np.nan))
    return covariance / (deviation[:, :, None] * deviation[:, None])


def partial(correlations: np.ndarray, x: int, y: int, given: Sequence[int]) -> np.ndarray:
    """The correlation of two variables once the linear part of others has been taken from both, in every resample.

    Args:
        correlations: (r, k, k), from :func:`correlate_all`.
        x, y: the variables.
        given: the others, in any order.

    Returns:
        (r,), NaN where the others determine x or y.
    """
    if not given:
        return np.clip(correlations[:, x, y], -1, 1)
    z, *rest = given
    xy, xz, yz = (partial(correlations, i, j, rest) for i, j in ((x, y), (x, z), (y, z)))
    left = (1 - xz**2) * (1 - yz**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(left > LEAST_VARIANCE, np.clip((xy - xz * yz) / np.sqrt(left), -1, 1), np.nan)


def correlate_partially(variables: np.ndarray, weights: np.ndarray, level: float) -> list[dict[str, Any]]:
    """Correlations of a measure with frequency, given nothing, surprisal, the norm, or both; with intervals.

    Args:
        variables: (words, k) by :data:`VARIABLES`; a word that lacks one is left out of all.
        weights: (r, words), the first row all ones.
    """
    there = np.isfinite(variables).all(1)
    n = int(there.sum())
    enough = n >= LEAST_WORDS + 2
    correlations = correlate_all(variables[there], weights[:, there]) if enough else None
    rows = []
    for statistic, frequency in FREQUENCIES.items():
        for given, names in GIVEN.items():
            values = np.full(len(weights), np.nan)
            if correlations is not None:
                x, y, *others = (VARIABLES.index(name) for name in (frequency, "measure", *names))
                values = partial(correlations, x, y, others)
            low, high = percentile_interval(values[1:], level)
            rows.append({"statistic": statistic, "given": given, "value": values[0], "low": low, "high": high, "n": n})
    return rows


def list_places(tensors: Sequence[str]) -> list[tuple[str, str]]:
    """The roles and tensors whose correlations are explained: ∇h_L, h_L, h_e, h_1, each once."""
    top = find_top(tensors)
    return [(role, tensor) for role in ROLES for tensor in dict.fromkeys([GRADIENT + top, top, "h_e", "h_1"])]


def run(args: argparse.Namespace) -> None:
    """Date every word of a run, and take partial correlations at each of its checkpoints.

    Raises:
        UserError: the probes do not belong together, or none is of the untrained model, or no other is there.
    """
    settings = read_block(Statistics, args.statistics, "statistics")
    words = read_by_id(args.words, ["word", *COLUMNS])
    opened = Probes.open(args.probes)
    check_chain(args.probes, words=args.words)
    for path, about in zip(opened.paths, opened.about, strict=True):
        check_run(path, about, args.expect)
    times = [opened.time(i) for i in range(len(opened.paths))]
    if times[0]["steps"] or len(times) < 2:
        raise UserError(
            f"{opened.paths[0]}: is of {opened.about[0]['checkpoint']}, the earliest checkpoint of {len(times)}; ages"
            " need a probe of the untrained model and at least one of a trained checkpoint"
        )
    measure = opened.about[0]["measures"][0]
    probes = replace(opened, measures=[measure, "l2", "surprisal"])
    gradient = GRADIENT + find_top(probes.tensors)
    ids = select_words(words)["all"]
    counts = words["count"].to_numpy(float)[ids]
    weights = resampling_weights(len(ids), settings.resamples, (settings.seed, 0))
    curves, partials = [], []
    for i, time in enumerate(times):
        # (roles, words, tensors, columns)
        values = probes.read(i, len(words))[:, ids].reshape(len(ROLES), len(ids), len(probes.tensors), -1)
        curves.append(values[ROLES.index("target"), :, probes.tensors.index(gradient)])
        for role, tensor in list_places(probes.tensors):
            y, norm, surprisal = values[ROLES.index(role), :, probes.tensors.index(tensor)].T
            with np.errstate(divide="ignore"):
                variables = np.stack([counts, np.log(counts), y, surprisal, np.log(norm)], 1)
            for row in correlate_partially(variables, weights, settings.level):
                partials.append({**time, "role": role, "tensor": tensor, "measure": measure, **row})
    by_measure, _, by_surprisal = np.moveaxis(np.stack(curves, 1), 2, 0)
    table = words.iloc[ids].reset_index(drop=True)
    table = table.join(describe_words(by_surprisal, by_measure, np.array([time["tokens"] for time in times])))
    # Each word's curves, so that any of them can be drawn: a value per checkpoint of ``course``.
    table = table.assign(surprisal_curve=list(by_surprisal), measure_curve=list(by_measure))
    metadata = probes.origin._asdict() | {
        "condition": probes.condition,
        "statistics": settings.model_dump(),
        "measure": measure,
        "tensor": gradient,
        "course": times,
        "words": files.read_digest(args.words),
        "checkpoints": {key: value for about in probes.about for key, value in about["checkpoints"].items()},
        **{key: probes.about[0][key] for key in ("vocabulary", "tokens")},
    }
    files.write_parquet(args.acquisition, table, metadata)
    files.write_parquet(args.partials, pd.DataFrame(partials)[PARTIALS], metadata)


class Products(NamedTuple):
    """What ``acquire`` wrote for each seed, by seed, ascending.

    Attributes:
        words: ``id, word``, :data:`COLUMNS`, :data:`DATES` and the curves.
        partials: :data:`PARTIALS`.
        about: the metadata that the files have in common.
    """

    words: dict[int, pd.DataFrame]
    partials: dict[int, pd.DataFrame]
    about: dict[str, Any]


def read_products(acquisition: Sequence[Path], partials: Sequence[Path]) -> Products:
    """Read both files of every seed.

    Raises:
        UserError: the files are not of one run under one condition, two are of one seed, or one lacks its other.
    """
    paths = [*acquisition, *partials]
    given = {path: read_origin(path, [*SAME, "checkpoints"], "acquire")[1] for path in paths}
    check_same({path: {key: metadata[key] for key in SAME} for path, metadata in given.items()})
    by_seed: tuple[dict[int, Path], dict[int, Path]] = {}, {}
    for places, group in zip(by_seed, (acquisition, partials), strict=True):
        for path in group:
            seed = given[path]["seed"]
            if seed in places:
                raise UserError(f"{path}: a second file of seed {seed}; give one per seed")
            places[seed] = path
    words, others = ({seed: places[seed] for seed in sorted(places)} for places in by_seed)
    if words.keys() != others.keys():
        raise UserError(
            f"--partials: has seeds {', '.join(map(str, others))}, but --acquisition has seeds"
            f" {', '.join(map(str, words))}; give both files of every seed"
        )
    for seed, path in words.items():
        made_from = given[path]["checkpoints"]
        check_made_from(others[seed], given[others[seed]], "checkpoints", path, made_from, "checkpoints")
    check_tensors(paths[-1], files.read_parquet(paths[-1], ["tensor"])["tensor"].unique())
    columns = ["id", "word", *COLUMNS, *DATES, "surprisal_curve", "measure_curve"]
    return Products(
        {seed: files.read_parquet(path, columns) for seed, path in words.items()},
        {seed: files.read_parquet(path, PARTIALS) for seed, path in others.items()},
        {key: given[paths[0]][key] for key in SAME},
    )


# What a summary has, in order, with what readers call it; {measure} is that of the file.
SUMMARISED = {
    "acquired": "share of words acquired",
    "earlier": "share of words past half-way at the first trained checkpoint",
    "age": "median age of acquisition (tokens)",
    "age_spearman": "age of acquisition with frequency (Spearman)",
    "age_pearson_log": "log age of acquisition with log frequency (Pearson)",
    "measure_changed": "share of words whose {measure} changed",
    "measure_age": "median age of half the change in {measure} (tokens)",
    "measure_lag": "median lag of {measure} behind surprisal (log₂ of the ages' ratio)",
    "measure_leads": "share of words where {measure} leads",
    "relative_changed": "share of words whose {measure} minus its mean over words changed",
    "relative_age": "median age of half that change (tokens)",
    "relative_lag": "its median lag behind surprisal",
    "relative_leads": "share of words where it leads",
    "forgetting": "mean rise of surprisal after its lowest (nats)",
    "forgotten": "share of acquired words forgotten",
    "forgetting_spearman": "rise of surprisal with frequency (Spearman)",
}


def summarise(words: pd.DataFrame, first: int, settings: Statistics) -> pd.DataFrame:
    """The quantities of :data:`SUMMARISED` over each set of words, with bootstrap intervals over words.

    Columns ``quantity, words, value, low, high, n``; ages in tokens. A word past half-way at the first trained
    checkpoint counts as of that age in medians and in rank correlations, and is left out of the log correlation and of
    the lag. Where one curve is past half-way there and the other is not, it leads; where both are, nobody knows.

    Args:
        words: a row per word: ``id``, :data:`COLUMNS` and what :func:`describe_words` gives.
        first: tokens seen at the first trained checkpoint.
        settings: of the bootstrap.
    """
    bootstrap = Bootstrap.draw(words, settings)
    by_id = words.set_index("id")
    rows = []
    for name, ids in bootstrap.sets.items():
        for quantity, (replicates, n) in measure_set(by_id.loc[ids], bootstrap.weights[name], first).items():
            [low], [high] = percentile_interval(replicates[1:, None], settings.level)
            rows.append((quantity, name, replicates[0], low, high, n))
    return pd.DataFrame(rows, columns=["quantity", "words", "value", "low", "high", "n"])


def measure_set(words: pd.DataFrame, weights: np.ndarray, first: int) -> dict[str, tuple[np.ndarray, int]]:
    """The quantities of one set of words in every resample, (r,), and over how many words each is taken."""
    log_counts = np.log(words["count"].to_numpy(float))
    forgetting = words["forgetting"].to_numpy(float)
    known, acquired, earlier, age = find_ages(words, "", first)
    quantities = {
        "acquired": (known, average, acquired),
        "earlier": (known, average, earlier),
        "age": (acquired, median, age),
        "age_spearman": (acquired, correlate_ranks, age),
        "age_pearson_log": (acquired & ~earlier, correlate_values, age),
        "forgetting": (acquired, average, forgetting),
        "forgotten": (acquired, average, words["forgotten"].fillna(False).to_numpy(bool)),
        "forgetting_spearman": (acquired, correlate_ranks, forgetting),
    }
    for curve in CURVES:
        there, changed, at_once, changed_at = find_ages(words, f"{curve}_", first)
        lag = words[f"{curve}_lag"].to_numpy(float)
        quantities |= {
            f"{curve}_changed": (there, average, changed),
            f"{curve}_age": (changed, median, changed_at),
            f"{curve}_lag": (~np.isnan(lag), median, lag),
            f"{curve}_leads": (acquired & changed & ~(earlier & at_once), average, changed_at < age),
        }
    result = {}
    for name, (mask, function, values) in quantities.items():
        replicates = function(values[mask].astype(float), weights[:, mask], log_counts[mask])
        result[name] = np.exp2(replicates) if name.endswith("age") else replicates, int(mask.sum())
    return result


def find_ages(words: pd.DataFrame, prefix: str, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """By word: whether its curve is known, changed, and did so before the first trained checkpoint; log₂ of the age."""
    status = words[f"{prefix}status"]
    age = words[f"{prefix}age"].mask(status == EARLIER, first)
    masks = (status != "", status.isin([DATED, EARLIER]), status == EARLIER)
    return *(mask.to_numpy(bool) for mask in masks), np.log2(age.to_numpy(float))


def average(values: np.ndarray, weights: np.ndarray, _: np.ndarray) -> np.ndarray:
    """The mean of ``values`` (n,) in each resample, (r,); NaN without draws."""
    with np.errstate(invalid="ignore"):
        return weights @ values / weights.sum(1)


def median(values: np.ndarray, weights: np.ndarray, _: np.ndarray) -> np.ndarray:
    """The median of ``values`` (n,) in each resample, (r,); NaN without draws.

    That of an even number of draws is the mean of the two in the middle.
    """
    order = np.argsort(values, kind="stable")
    ordered, result = values[order], np.full(len(weights), np.nan)
    for i, row in enumerate(weights[:, order]):
        drawn = np.cumsum(row)
        if len(drawn) and drawn[-1]:
            middle = np.searchsorted(drawn, drawn[-1] / 2), np.searchsorted(drawn, drawn[-1] / 2, side="right")
            result[i] = ordered[list(middle)].mean()
    return result


def correlate_ranks(values: np.ndarray, weights: np.ndarray, log_counts: np.ndarray) -> np.ndarray:
    """Spearman's correlation of ``values`` with frequency in each resample."""
    return spearman(log_counts, values[:, None], weights)[:, 0]


def correlate_values(values: np.ndarray, weights: np.ndarray, log_counts: np.ndarray) -> np.ndarray:
    """Pearson's correlation of ``values`` with log frequency in each resample."""
    return pearson(log_counts[:, None], values[:, None], weights)[0][0, :, 0]
