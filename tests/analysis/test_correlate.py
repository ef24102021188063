"""Correlations against SciPy, and which words enter them."""

import argparse

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from natural_sparsity import files
from natural_sparsity.analysis import correlate
from natural_sparsity.analysis.statistics import pearson, pearson_log, spearman


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    x = rng.zipf(1.5, 200).astype(float)
    return x, 0.1 * np.log(x) + rng.normal(size=200)


def test_coefficients_equal_scipy(sample):
    x, y = sample
    assert len(set(x)) < len(x), "ties must occur"
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert pearson_log(x, y) == pytest.approx(stats.pearsonr(np.log(x), y).statistic, abs=1e-12)


def test_undefined_coefficients_are_nan():
    assert np.isnan(pearson(np.ones(10), np.arange(10.0)))
    assert np.isnan(spearman(np.arange(2.0), np.arange(2.0)))


@pytest.fixture
def table(tmp_path, sample):
    """Correlate one probe of 200 words, of which 0 and 1 are special, 9 has no χ and 11 no training count."""
    count, chi = sample
    count[11] = 0
    words = pd.DataFrame({"id": range(200), "word": [f"w{i}" for i in range(200)], "count": count.astype(int)})
    words["pos_class"] = [None, None] + ["open", "closed", None] * 66
    words["matched"] = (words["id"] % 2 == 0) & words["pos_class"].notna()
    files.write_parquet(tmp_path / "words.parquet", words)
    chi[9] = np.nan
    probe = pd.concat(
        [
            pd.DataFrame({"id": range(200), "role": role, "tensor": tensor, "chi_mean": chi * sign, "l1_mean": chi**2})
            for role, tensor, sign in [("target", "grad_h_2", 1), ("input", "h_1", -1)]
        ]
    )
    probe["l2_mean"] = probe["l1_mean"]
    files.write_parquet(tmp_path / "probe.parquet", probe, {"epoch": 7})
    arguments = {"probes": [tmp_path / "probe.parquet"], "words": tmp_path / "words.parquet", "run": "a/b/seed1"}
    correlate.run(argparse.Namespace(**arguments, output=tmp_path / "correlations.parquet"))
    table = pd.read_parquet(tmp_path / "correlations.parquet")
    index = ["epoch", "role", "tensor", "measure", "words", "statistic"]
    assert not table.duplicated(index).any()
    return table.set_index(index), words, chi


@pytest.mark.parametrize("name", ["all", "open", "closed", "open_matched", "closed_matched"])
def test_each_word_set(table, name):
    table, words, chi = table
    chosen = {
        "all": words["id"] >= 2,
        "open": words["pos_class"] == "open",
        "closed": words["pos_class"] == "closed",
        "open_matched": (words["pos_class"] == "open") & words["matched"],
        "closed_matched": (words["pos_class"] == "closed") & words["matched"],
    }[name]
    chosen &= ~np.isnan(chi) & (words["count"] > 0)
    expected = stats.pearsonr(words["count"][chosen], chi[chosen]).statistic
    row = table.loc[7, "target", "grad_h_2", "chi", name, "pearson"]
    assert row["value"] == pytest.approx(expected, abs=1e-12)
    assert row["n"] == chosen.sum()
    assert table.loc[7, "input", "h_1", "chi", name, "pearson"]["value"] == pytest.approx(-expected, abs=1e-12)
    rank = stats.spearmanr(words["count"][chosen], chi[chosen] ** 2).statistic
    assert table.loc[7, "target", "grad_h_2", "l1", name, "spearman"]["value"] == pytest.approx(rank, abs=1e-12)
