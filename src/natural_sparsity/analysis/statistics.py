"""Correlations of one variable with many columns, in every bootstrap resample at once; and intervals.

A resample is a row of ``weights``: how often each word was drawn. The first row draws each word once, so that the first
value of each column is the estimate itself. NaN in a column is a word that it does not have: it is left out there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Of a standardised variable in a resample; below it, all its values there are equal except for rounding.
LEAST_VARIANCE = 1e-10
LEAST_WORDS = 3
Ranks = tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]


def resampling_weights(n: int, resamples: int, seed: tuple[int, ...]) -> np.ndarray:
    """(1 + resamples, n): ones, then how often each of n words is drawn in n draws with replacement."""
    generator = np.random.default_rng(seed)
    weights = np.ones((1 + resamples, n))
    for row in weights[1:]:
        row[:] = np.bincount(generator.integers(n, size=n), minlength=n) if n else 0
    return weights


def standardise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns with mean 0 and variance 1 (0 where NaN, or if constant), their means and standard deviations."""
    present = ~np.isnan(values)
    n = np.maximum(present.sum(0), 1)
    mean = np.where(present, values, 0).sum(0) / n
    centred = np.where(present, values - mean, 0)
    deviation = np.sqrt((centred**2).sum(0) / n)
    # A constant's deviation is what rounding left of it.
    deviation[deviation <= 1e-13 * np.abs(mean)] = 0
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0), mean, deviation


def find_patterns(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct columns (n, patterns) of where ``values`` (n, columns) is not NaN, and each column's place in them.

    Most columns lack the same words, mostly none: what depends on that alone is then computed only a few times.
    """
    present = ~np.isnan(values)
    keys = [column.tobytes() for column in present.T]
    distinct = list(dict.fromkeys(keys))
    patterns = present[:, [keys.index(key) for key in distinct]]
    return patterns, np.array([distinct.index(key) for key in keys], int)


def pearson(xs: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's correlation of each of ``xs`` with each column of ``y``, and the columns' means.

    Weighted moments are matrix products of the weights. Variables are standardised first, so that the differences of
    moments do not cancel.

    Args:
        xs: (n, k), nothing missing.
        y: (n, columns), NaN where missing.
        weights: (r, n).

    Returns:
        (k, r, columns) correlations, NaN where a variable is constant or the column has fewer than three words;
        (r, columns) means of ``y``.
    """
    patterns, pattern = find_patterns(y)
    z, mean, deviation = standardise(y)
    zxs = [standardise(np.where(patterns, x[:, None], np.nan))[0] for x in xs.T]
    # One product of all: the weights, by far the largest matrix here, are read once.
    terms = [z, z**2, *(z * zx[:, pattern] for zx in zxs), patterns, *zxs, *(zx**2 for zx in zxs)]
    sums = weights @ np.concatenate(terms, 1)
    z1, z2, *products_and_x = np.split(sums, np.cumsum([term.shape[1] for term in terms])[:-1], 1)
    products, (total, *x1_and_x2) = products_and_x[: len(zxs)], products_and_x[len(zxs) :]
    enough = patterns.sum(0)[pattern] >= LEAST_WORDS
    result = np.empty((len(zxs), *z1.shape))
    with np.errstate(divide="ignore", invalid="ignore"):
        total = total[:, pattern]
        mean_z = z1 / total
        variance_z = z2 / total - mean_z**2
        for k, (xz, x1, x2) in enumerate(zip(products, x1_and_x2[: len(zxs)], x1_and_x2[len(zxs) :], strict=True)):
            mean_x = x1[:, pattern] / total
            variance_x = x2[:, pattern] / total - mean_x**2
            rho = (xz / total - mean_x * mean_z) / np.sqrt(variance_x * variance_z)
            defined = enough & (np.minimum(variance_x, variance_z) > LEAST_VARIANCE)
            result[k] = np.where(defined, np.clip(rho, -1, 1), np.nan)
        return result, np.where(total > 0, mean + deviation * mean_z, np.nan)


def spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's correlation of x (n,) with each column of ``y`` (n, columns), (r, columns); ties share a rank.

    The estimate is exact. A resample's is linear in its weights: the estimate plus the weighted mean of the words'
    influence on it (docs/method.md), on Fisher's scale, which keeps it within ±1. Ranking again in every resample would
    take minutes where this takes seconds.
    """
    estimate, influence = np.full(y.shape[1], np.nan), np.zeros(y.shape)
    patterns, pattern = find_patterns(y)
    for i, rows in enumerate(map(np.flatnonzero, patterns.T)):
        ranks = rank(x[rows])
        for column in np.flatnonzero(pattern == i):
            if len(rows) >= LEAST_WORDS:
                estimate[column], influence[rows, column] = spearman_influence(ranks, rank(y[rows, column]))
    present = np.maximum(patterns.sum(0), 1)[pattern]
    inside = np.abs(estimate) < 1 - 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = (weights @ influence) / present / (1 - estimate**2)
        shift[0] = 0  # the influences sum to zero except for rounding
        return np.where(inside, np.tanh(np.arctanh(np.where(inside, estimate, 0)) + shift), estimate)


def spearman_influence(x: Ranks, y: Ranks) -> tuple[float, np.ndarray]:
    """Spearman's correlation ρ of two variables, and each point's influence on it, (n,), which sum to zero.

    With u and v the mid-ranks over n, p and q the shares of the distinct values, ρ = 12 (mean(uv) − 1/4) / √(TU), where
    T = 1 − Σp³ and U = 1 − Σq³. A point counts by its own uv, by lifting the ranks of those above it, and in T and U.
    """
    (u, share_x, lift_by_x), (v, share_y, lift_by_y) = x, y
    cubes_x, cubes_y = np.mean(share_x**2), np.mean(share_y**2)
    if max(cubes_x, cubes_y) == 1:
        return np.nan, np.zeros(len(u))
    scale = 12 / np.sqrt((1 - cubes_x) * (1 - cubes_y))
    product = np.mean(u * v)
    rho = float(np.clip(scale * (product - 0.25), -1, 1))
    influence = scale * (u * v + lift_by_x(v) + lift_by_y(u) - 3 * product)
    influence += 1.5 * rho * ((share_x**2 - cubes_x) / (1 - cubes_x) + (share_y**2 - cubes_y) / (1 - cubes_y))
    return rho, influence


def rank(values: np.ndarray) -> Ranks:
    """Each value's mid-rank over n, the share of values equal to it, and a function that sums over larger values.

    The function maps (n,) terms to the mean, over all points, of the terms of larger values and half those of equal
    values.
    """
    n = len(values)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)

    def lift(terms: np.ndarray) -> np.ndarray:
        sums = np.bincount(place, terms)
        return (sums.sum() - np.cumsum(sums) + sums / 2)[place] / n

    return ((np.cumsum(counts) - counts / 2) / n)[place], (counts / n)[place], lift


def percentile_interval(replicates: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the percentile interval of each column of ``replicates`` (resamples, …); NaN if none is defined.

    Resamples in which a column is undefined (NaN) are left out.
    """
    ordered = np.sort(replicates, axis=0)  # NaN come last
    last = np.maximum((~np.isnan(ordered)).sum(0) - 1, 0)
    ends = []
    for quantile in ((1 - level) / 2, (1 + level) / 2):
        below = np.floor(quantile * last).astype(int)
        low, high = (np.take_along_axis(ordered, place[None], 0)[0] for place in (below, np.minimum(below + 1, last)))
        ends.append(low + (quantile * last - below) * (high - low))
    return ends[0], ends[1]


def exponentiate(losses: ArrayLike) -> Any:
    """The perplexities of losses in nats; infinite for a run that diverged, where a double cannot hold one."""
    with np.errstate(over="ignore"):
        return np.exp(losses)


def t_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """The mean of ``values`` and the ends of its t interval, which are NaN for fewer than two values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    from scipy.special import stdtrit  # here, since correlations over words do not need it

    half = float(stdtrit(len(values) - 1, (1 + level) / 2) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half
