"""Coefficients and their bootstrap against SciPy, loops, and data whose correlation is known."""

import numpy as np
import pytest
from scipy import stats

from natural_sparsity.analysis.statistics import (
    pearson,
    percentile_interval,
    resampling_weights,
    spearman,
    t_interval,
)


def one(x, y, weights=None):
    """Pearson, Pearson with log x, Spearman and the mean of one column, in each row of the weights."""
    weights = np.ones((1, len(x))) if weights is None else weights
    (r, r_log), mean = pearson(np.stack([x, np.log(x)], 1), y[:, None], weights)
    return r[:, 0], r_log[:, 0], spearman(x, y[:, None], weights)[:, 0], mean[:, 0]


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    x = rng.zipf(1.5, 300).clip(1, 9999).astype(float)
    y = np.round(0.4 * np.log(x) + rng.normal(size=300), 1)
    assert len(set(x)) < len(x) / 2 and len(set(y)) < len(y) / 2, "ties must occur"
    return x, y


def test_estimates_are_scipys(sample):
    x, y = sample
    expected = [stats.pearsonr(x, y), stats.pearsonr(np.log(x), y), stats.spearmanr(x, y)]
    values = [float(value[0]) for value in one(x, y)]
    assert values == pytest.approx([*(result.statistic for result in expected), y.mean()], abs=1e-12)


def test_scale_and_offset_of_a_variable_do_not_matter(sample):
    x, y = sample
    np.testing.assert_allclose(np.ravel(one(x, 1e-9 * y + 0.5)[:3]), np.ravel(one(x, y)[:3]), rtol=1e-6)


def test_undefined_coefficients_are_nan():
    x = np.arange(1.0, 11)
    for y in (np.full(10, 0.1), np.where(x < 3, x, np.nan), np.full(10, np.nan)):
        assert np.isnan(np.ravel(one(x, y)[:3])).all()
    assert np.isnan(np.ravel(one(np.ones(10), x)[:3])).all()
    assert np.isnan(np.ravel(one(np.zeros(0), np.zeros(0)))).all()


def test_a_perfect_correlation_has_no_width():
    x = np.arange(1.0, 31)
    r, _, rho, _ = one(x, -x, resampling_weights(30, 50, (1,)))
    np.testing.assert_allclose(r, -1)
    np.testing.assert_allclose(rho, -1)


def test_columns_do_not_disturb_each_other_and_missing_words_are_left_out(sample):
    x, y = sample
    weights = resampling_weights(300, 20, (2,))
    gap = np.where(np.arange(300) % 7 == 0, np.nan, y**2)
    columns = np.stack([y, gap, np.zeros(300), gap + 1, y + x], 1)
    (r,), mean = pearson(x[:, None], columns, weights)
    rho = spearman(x, columns, weights)
    there = ~np.isnan(gap)
    for column, rows in ((0, slice(None)), (1, there), (3, there), (4, slice(None))):
        alone = one(x[rows], columns[rows, column], weights[:, rows])
        for together, expected in zip((r, rho, mean), (alone[0], alone[2], alone[3]), strict=True):
            np.testing.assert_allclose(together[:, column], expected, atol=1e-12)


def test_every_resample_is_that_of_a_loop(sample):
    """Exactly for Pearson and the mean; for Spearman, ranked anew in the loop, to first order."""
    x, y = sample
    weights = resampling_weights(300, 400, (5,))
    assert (weights[0] == 1).all() and (weights.sum(1) == 300).all()
    drawn = [np.repeat(np.arange(300), row.astype(int)) for row in weights[1:]]
    r, r_log, rho, mean = (values[1:] for values in one(x, y, weights))
    np.testing.assert_allclose(r, [stats.pearsonr(x[i], y[i]).statistic for i in drawn], atol=1e-10)
    np.testing.assert_allclose(r_log, [stats.pearsonr(np.log(x[i]), y[i]).statistic for i in drawn], atol=1e-10)
    np.testing.assert_allclose(mean, [y[i].mean() for i in drawn], atol=1e-10)
    exact = np.array([stats.spearmanr(x[i], y[i]).statistic for i in drawn])
    assert np.corrcoef(rho, exact)[0, 1] > 0.99
    assert rho.std() == pytest.approx(exact.std(), rel=0.03)
    assert abs(rho.mean() - exact.mean()) < 0.1 * exact.std()
    # Ranks kept fixed, which would be as cheap, are further off.
    u, v = stats.rankdata(x), stats.rankdata(y)
    fixed = [stats.pearsonr(u[i], v[i]).statistic for i in drawn]
    assert np.corrcoef(fixed, exact)[0, 1] < np.corrcoef(rho, exact)[0, 1]


def test_intervals_are_scipys(sample):
    x, y = sample
    estimates = one(x, y, resampling_weights(300, 4000, (1,)))
    statistics = [
        lambda x, y: stats.pearsonr(x, y).statistic,
        lambda x, y: stats.pearsonr(np.log(x), y).statistic,
        lambda x, y: stats.spearmanr(x, y).statistic,
    ]
    for values, statistic in zip(estimates, statistics, strict=False):
        options = {"paired": True, "vectorized": False, "method": "percentile", "n_resamples": 1500}
        theirs = stats.bootstrap((x, y), statistic, rng=np.random.default_rng(1), **options).confidence_interval
        low, high = percentile_interval(values[1:, None], 0.95)
        tolerance = 0.12 * (theirs.high - theirs.low)
        assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=tolerance)


def test_the_interval_is_numpys_quantiles_of_what_is_defined():
    values = np.random.default_rng(0).normal(size=(501, 4))
    values[::3, 1] = np.nan
    values[:, 2] = np.nan
    values[1:, 3] = np.nan
    low, high = percentile_interval(values, 0.9)
    expected = np.nanquantile(values[:, [0, 1, 3]], [0.05, 0.95], axis=0)
    np.testing.assert_allclose([low[[0, 1, 3]], high[[0, 1, 3]]], expected)
    assert np.isnan([low[2], high[2]]).all()


def test_intervals_cover_a_known_correlation():
    rng = np.random.default_rng(7)
    rho, n, repetitions = 0.6, 150, 400
    spearman_rho = 6 / np.pi * np.arcsin(rho / 2)
    covered = np.zeros(2)
    weights = resampling_weights(n, 300, (1,))
    for _ in range(repetitions):
        x = rng.normal(size=n)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)
        (r,), _ = pearson(x[:, None], y[:, None], weights)
        for i, (values, truth) in enumerate(((r, rho), (spearman(x, y[:, None], weights), spearman_rho))):
            low, high = percentile_interval(values[1:], 0.9)
            covered[i] += low[0] < truth < high[0]
    # 0.9, less what percentile intervals lack at this n; 400 repetitions have a standard error of 0.015.
    assert (covered / repetitions > 0.84).all() and (covered / repetitions < 0.95).all()


def test_paired_differences_vary_less_than_unpaired_ones(sample):
    x, y = sample
    other = y + 0.2 * np.random.default_rng(3).normal(size=300)
    columns = np.stack([y, other], 1)
    paired, unpaired = [], []
    (r,), _ = pearson(np.log(x)[:, None], columns, resampling_weights(300, 1000, (1,)))
    (s,), _ = pearson(np.log(x)[:, None], columns, resampling_weights(300, 1000, (2,)))
    paired, unpaired = r[1:, 0] - r[1:, 1], r[1:, 0] - s[1:, 1]
    assert paired.var() < 0.2 * unpaired.var()


def test_the_t_interval_is_scipys():
    values = np.random.default_rng(0).normal(size=5)
    mean, low, high = t_interval(values)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 4, values.mean(), stats.sem(values)))
    assert t_interval(values, 0.5)[1] > low
    one = t_interval(values[:1])
    assert one[0] == values[0] and np.isnan(one[1:]).all()
