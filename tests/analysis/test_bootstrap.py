"""Bootstrap replicates are those of the statistics recomputed on each resample."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from natural_sparsity.analysis import bootstrap
from natural_sparsity.analysis.bootstrap import LEAST_RESAMPLES, Measured, Resamples
from natural_sparsity.analysis.products import ROLES
from natural_sparsity.analysis.statistics import resampling_weights

TENSORS, MEASURES = ["h_1", "grad_h_1"], ["chi", "l1"]
N = 62  # two of them special


@pytest.fixture
def words():
    generator = np.random.default_rng(3)
    pair = np.full(N, -1)
    pair[[40, 22, 31]], pair[[2, 4, 6]] = [0, 1, 2], [0, 1, 2]
    classes = [None, None, *["closed"] * 8, *["open"] * 40, *[None] * 12]
    return pd.DataFrame(
        {
            "id": range(N),
            "count": np.sort((1000 / generator.uniform(1, 100, N)).astype(int) + 1)[::-1],
            "pos_class": classes,
            "matched": [8 <= i < 14 for i in range(N)],
            "pair": pair,
        }
    )


@pytest.fixture
def means():
    """Two epochs; one word lacks a value as input."""
    values = np.random.default_rng(4).uniform(0.1, 0.4, (2, len(ROLES), N, len(TENSORS), len(MEASURES)))
    values[:, ROLES.index("input"), 7] = np.nan
    return {0: values[0], 3: values[1]}


@pytest.fixture
def measured(words, means):
    return Measured(means, TENSORS, MEASURES, Resamples(words, 1, seed=5))


def test_the_estimate_is_scipys(words, means, measured):
    found, n = measured.replicate(3, "target", "grad_h_1", "l1", "all", "pearson")
    expected = scipy.stats.pearsonr(words["count"][2:], means[3][0, 2:, 1, 1])[0]
    assert found[0] == pytest.approx(expected) and n == N - 2 and len(found) == 1 + LEAST_RESAMPLES
    ids = np.delete(np.arange(2, N), 5)
    found, n = measured.replicate(0, "input", "h_1", "chi", "all", "pearson")
    expected = scipy.stats.pearsonr(words["count"][ids], means[0][1, ids, 0, 0])[0]
    assert found[0] == pytest.approx(expected) and n == N - 3
    found, n = measured.replicate(0, "target", "h_1", "chi", "closed", "mean")
    assert found[0] == pytest.approx(means[0][0, 2:10, 0, 0].mean()) and n == 8


def test_a_replicate_is_the_statistic_of_its_resample(words, means, measured):
    """Each word is repeated as often as it was drawn."""
    for name, statistic in (("all", "pearson"), ("open", "pearson"), ("rare", "mean")):
        ids = measured.resamples.sets[name]
        found, _ = measured.replicate(3, "input", "grad_h_1", "chi", name, statistic)
        for r in (0, 1, 777, LEAST_RESAMPLES - 1):
            drawn = np.repeat(ids, measured.resamples.draw(name)[r])
            assert len(drawn) == len(ids)
            y = means[3][1, drawn, 1, 0]
            x, y = words["count"].to_numpy()[drawn][~np.isnan(y)], y[~np.isnan(y)]
            expected = y.mean() if statistic == "mean" else scipy.stats.pearsonr(x, y)[0]
            assert found[1 + r] == pytest.approx(expected)


def test_the_first_resamples_are_those_of_the_correlations(words):
    resamples = Resamples(words, 1, seed=5)
    for place, (name, ids) in enumerate(resamples.sets.items()):
        if name != "closed_paired":
            expected = resampling_weights(len(ids), 20, (5, place))[1:]
            np.testing.assert_array_equal(resamples.draw(name)[:20], expected)


def test_pairs_are_drawn_and_other_sets_are_not(words):
    resamples = Resamples(words, 1, seed=5)
    assert resamples.draw("open_paired") is resamples.draw("closed_paired")
    assert [resamples.sets[name].tolist() for name in ("open_paired", "closed_paired")] == [[40, 22, 31], [2, 4, 6]]
    frequent, rare = resamples.draw("frequent"), resamples.draw("rare")
    assert frequent.shape == rare.shape and not np.array_equal(frequent, rare)


def test_differences_within_a_set_are_paired(measured):
    """Between tensors, epochs and runs with the same words: the resamples are the same."""
    a, b = (measured.replicate(3, "target", tensor, "chi", "all", "mean")[0] for tensor in TENSORS)
    weights = measured.resamples.draw("all")
    ids = measured.resamples.sets["all"]
    difference = measured.means[3][0, ids, 0, 0] - measured.means[3][0, ids, 1, 0]
    np.testing.assert_allclose((a - b)[1:], weights @ difference / len(ids), atol=1e-12)


def test_more_resamples_may_be_asked_for_but_not_fewer(words):
    assert Resamples(words, 100, 1).resamples == LEAST_RESAMPLES
    assert Resamples(words, 12_345, 1).resamples == 12_345
    assert not np.array_equal(Resamples(words, 100, 1).draw("all"), Resamples(words, 100, 2).draw("all"))


def test_the_blocks_change_nothing(words, means, measured, monkeypatch):
    expected = measured.replicate(3, "target", "h_1", "chi", "all", "pearson")[0]
    monkeypatch.setattr(bootstrap, "BLOCK", 999)
    again = Measured(means, TENSORS, MEASURES, Resamples(words, 1, seed=5))
    np.testing.assert_allclose(again.replicate(3, "target", "h_1", "chi", "all", "pearson")[0], expected, atol=1e-12)


def test_function_words_are_frequent_if_the_class_goes_with_log_frequency(words, measured):
    found, n = measured.replicate_class()
    classed = words[words["pos_class"].notna()]
    expected = scipy.stats.pearsonr(np.log(classed["count"]), classed["pos_class"] == "closed")[0]
    assert found[0] == pytest.approx(expected) and n == len(classed) == 48


def test_the_spread_is_over_all_words(means, measured):
    assert measured.spread(3, "target", "grad_h_1") == pytest.approx(means[3][0, 2:, 1, 0].std(ddof=1))
    assert measured.spread(0, "input", "h_1") == pytest.approx(np.nanstd(means[0][1, 2:, 0, 0], ddof=1))


def test_what_was_not_measured_is_no_value(measured):
    for key in (
        (1, "target", "h_1", "chi", "all", "mean"),
        (3, "target", "h_9", "chi", "all", "mean"),
        (3, "target", "h_1", "gini", "all", "mean"),
    ):
        with pytest.raises(KeyError):
            measured.replicate(*key)


def test_an_empty_set_has_undefined_values(words, means):
    words["pair"] = -1
    measured = Measured(means, TENSORS, MEASURES, Resamples(words, 1, seed=5))
    found, n = measured.replicate(3, "target", "h_1", "chi", "open_paired", "pearson")
    assert n == 0 and np.isnan(found).all()
