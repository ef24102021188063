"""Correlations against SciPy, and which words enter them."""

import argparse

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from example_products import RUN, describe_depth, write_probe, write_words
from natural_sparsity import files
from natural_sparsity.analysis import correlate
from natural_sparsity.analysis.products import read_probes
from natural_sparsity.analysis.statistics import resampling_weights
from natural_sparsity.errors import UserError

SETTINGS = {"resamples": 200, "level": 0.9, "seed": 3}
INDEX = ["epoch", "role", "tensor", "measure", "words", "statistic"]


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    x = rng.zipf(1.5, 200).astype(float)
    return x, 0.1 * np.log(x) + rng.normal(size=200)


def probed(epoch, **other):
    return {**RUN, "epoch": epoch, "condition": "frozen", "measures": ["chi", "gini"], **other}


@pytest.fixture
def products(tmp_path, sample):
    """Probes of 200 words, of which 0 and 1 are special, 9 has no χ and 11 no training count."""
    count, chi = sample
    count[11] = 0
    words = pd.DataFrame({"id": range(200), "word": [f"w{i}" for i in range(200)], "count": count.astype(int)})
    words["pos_class"] = [None, None] + ["open", "closed", None] * 66
    words["matched"] = (words["id"] % 2 == 0) & words["pos_class"].notna()
    write_words(tmp_path / "words.parquet", words)
    chi[9] = np.nan
    for epoch, noise in ((7, 0.0), (8, 0.3)):
        other = chi + noise * np.random.default_rng(epoch).normal(size=200)
        columns = [
            ("target", "grad_h_2", other),
            ("target", "h_2", other**2),
            ("target", "grad_x", -other),
            ("input", "h_1", -other),
        ]
        probe = pd.concat(
            [
                pd.DataFrame({"id": range(200), "role": role, "tensor": tensor, "chi_mean": y, "l1_mean": chi**2})
                for role, tensor, y in columns
            ]
        )
        probe = probe.assign(l2_mean=probe["l1_mean"], gini_mean=-probe["chi_mean"])
        write_probe(tmp_path / f"probe{epoch}.parquet", probe, **probed(epoch))
    return tmp_path, words, chi


def run(folder, epochs=(7,), expect=None, **settings):
    correlate.run(
        argparse.Namespace(
            probes=[folder / f"probe{epoch}.parquet" for epoch in epochs],
            words=folder / "words.parquet",
            statistics=SETTINGS | settings,
            correlations=folder / "correlations.parquet",
            differences=folder / "differences.parquet",
            expect=expect or {},
        )
    )
    correlations, differences = (pd.read_parquet(folder / f"{k}.parquet") for k in ("correlations", "differences"))
    assert not correlations.duplicated(INDEX).any()
    assert not differences.duplicated([*INDEX, "kind", "against"]).any()
    return correlations.set_index(INDEX), differences.set_index(INDEX)


@pytest.fixture
def table(products):
    folder, words, chi = products
    return run(folder)[0], words, chi


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
    mean = table.loc[7, "target", "grad_h_2", "chi", name, "mean"]
    assert mean["value"] == pytest.approx(chi[chosen].mean(), abs=1e-12)


def loop(words, members, values, weights):
    """Pearson's correlation in each resample, one by one."""
    ids = np.flatnonzero(members)
    rhos = []
    for draw in weights[1:].astype(int):
        rows = np.repeat(ids, draw)
        rows = rows[~np.isnan(values[rows])]
        rhos.append(stats.pearsonr(words["count"][rows], values[rows]).statistic)
    return np.array(rhos)


def test_intervals_of_values_and_of_paired_differences_are_those_of_a_loop(products):
    folder, words, chi = products
    correlations, differences = run(folder, (7, 8))
    members = (words["id"] >= 2) & (words["count"] > 0)
    weights = resampling_weights(members.sum(), 200, (3, 0))
    by_tensor = {}
    for epoch in (7, 8):
        probe = pd.read_parquet(folder / f"probe{epoch}.parquet")
        for tensor in ("grad_h_2", "h_2", "grad_x"):
            y = probe[probe["tensor"] == tensor]["chi_mean"].to_numpy()
            by_tensor[epoch, tensor] = loop(words, members, y, weights)
    row = correlations.loc[7, "target", "grad_h_2", "chi", "all", "pearson"]
    np.testing.assert_allclose(row[["low", "high"]].astype(float), np.quantile(by_tensor[7, "grad_h_2"], [0.05, 0.95]))
    assert row["low"] < row["value"] < row["high"]
    rows = differences.loc[8, "target", "grad_h_2", "chi", "all", "pearson"].set_index(["kind", "against"])
    cases = {
        ("tensor", "h_2"): by_tensor[8, "grad_h_2"] - by_tensor[8, "h_2"],
        ("tensor", "grad_x"): by_tensor[8, "grad_h_2"] - by_tensor[8, "grad_x"],
        ("epoch", "7"): by_tensor[8, "grad_h_2"] - by_tensor[7, "grad_h_2"],
    }
    assert set(rows.index) == set(cases)
    for key, expected in cases.items():
        np.testing.assert_allclose(rows.loc[key, ["low", "high"]].astype(float), np.quantile(expected, [0.05, 0.95]))
        assert rows.loc[key, "n"] == 196


def test_a_difference_of_classes_is_that_of_their_values_and_as_wide_as_both(products):
    correlations, differences = run(products[0], resamples=2000)
    for kind in ("", "_matched"):
        one, other = (correlations.loc[7, "input", "h_1", "chi", name + kind, "pearson"] for name in ("open", "closed"))
        row = differences.loc[7, "input", "h_1", "chi", "open" + kind, "pearson"]
        assert row["against"] == "closed" + kind
        assert row["value"] == pytest.approx(one["value"] - other["value"])
        assert row["n"] == min(one["n"], other["n"])
        # Independent samples: variances add.
        width = np.hypot(one["high"] - one["low"], other["high"] - other["low"])
        assert row["high"] - row["low"] == pytest.approx(width, rel=0.1)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(products):
    folder = products[0]
    contents = []
    for seed in (3, 3, 4):
        run(folder, (8, 7), seed=seed)
        contents.append([(folder / f"{name}.parquet").read_bytes() for name in ("correlations", "differences")])
    assert contents[0] == contents[1]
    assert contents[0][0] != contents[2][0] and contents[0][1] != contents[2][1]


def test_a_class_without_words_has_no_correlation_and_no_difference(products):
    folder, words, _ = products
    write_words(folder / "words.parquet", words.assign(pos_class=None, matched=False))
    correlations, differences = run(folder)
    row = correlations.loc[7, "target", "grad_h_2", "chi", "closed", "pearson"]
    assert row["n"] == 0 and row[["value", "low", "high"]].isna().all()
    gone = differences[differences["kind"] == "words"]
    assert len(gone) and gone[["value", "low", "high"]].isna().all(axis=None) and (gone["n"] == 0).all()


def test_two_probes_of_an_epoch_are_refused(products):
    with pytest.raises(UserError, match=r"probe7.parquet: a second probe of epoch 7"):
        run(products[0], (7, 7))


@pytest.mark.parametrize(
    "other",
    [
        {"data": "news"},
        {"model": "gru"},
        {"seed": 2},
        {"condition": "dev"},
        {"measures": ["chi"]},
        {"probe": {"batch": 7}},
    ],
)
def test_probes_that_do_not_belong_together_are_refused(products, other):
    folder, _, _ = products
    write_probe(folder / "probe8.parquet", pd.read_parquet(folder / "probe8.parquet"), **probed(8, **other))
    [key] = other
    with pytest.raises(
        UserError, match=rf"probe8\.parquet: {key} is .*, but in .*probe7\.parquet it is .*of one {key}"
    ):
        run(folder, (7, 8))


def test_the_tables_say_which_run_and_condition_they_are_of(products):
    run(products[0])
    for name in ("correlations", "differences"):
        metadata = files.read_metadata(products[0] / f"{name}.parquet")
        assert {key: metadata[key] for key in RUN} == RUN
        assert (metadata["condition"], metadata["statistics"]) == ("frozen", SETTINGS)


def test_a_probe_that_names_no_run_is_refused(products):
    folder, _, _ = products
    files.write_parquet(folder / "probe7.parquet", pd.read_parquet(folder / "probe7.parquet"), {"epoch": 7, "seed": 1})
    with pytest.raises(UserError, match=r"probe7\.parquet: its metadata has no 'data'; give a file that"):
        run(folder)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_pairs_of_tensors_are_formed_for_the_top_layer(layers):
    top = f"h_{layers}"
    pairs = [(f"grad_{top}", top), (f"grad_{top}", "grad_x"), ("h_e", "h_1")]
    assert correlate.pair_tensors(describe_depth(layers)) == pairs


def test_every_measure_that_was_probed_is_correlated(products):
    """Gini is −χ in these probes: so are its correlations, and its intervals mirrored."""
    folder, _, _ = products
    run(folder)
    keys = ["role", "tensor", "words", "statistic"]
    table = files.read_parquet(folder / "correlations.parquet", [*keys, "measure", "value", "low", "high"])
    assert set(table["measure"]) == {"chi", "gini", "l1", "l2"}
    chi, gini = (table.query("measure == @name").set_index(keys).sort_index() for name in ("chi", "gini"))
    np.testing.assert_allclose(gini["value"], -chi["value"], equal_nan=True)
    np.testing.assert_allclose(gini["low"], -chi["high"], atol=1e-12, equal_nan=True)


def test_files_of_another_run_or_vocabulary_are_refused(products):
    folder, words, _ = products
    said = r"probe7\.parquet: its model is 'lstm', expected 'gru'; put it back if it was moved or renamed"
    with pytest.raises(UserError, match=said):
        run(folder, expect={"data": RUN["data"], "model": "gru"})
    run(folder, expect=RUN | {"condition": "frozen"})
    write_words(folder / "words.parquet", words, vocabulary="of other words")
    with pytest.raises(
        UserError, match=r"probe7\.parquet: does not belong to .*words\.parquet \(different vocabulary\)"
    ):
        run(folder)


def test_the_tables_name_what_they_were_made_from(products):
    run(products[0], (7, 8))
    probes = [files.read_metadata(products[0] / f"probe{epoch}.parquet") for epoch in (7, 8)]
    for name in ("correlations", "differences"):
        metadata = files.read_metadata(products[0] / f"{name}.parquet")
        assert metadata["checkpoints"] == probes[0]["checkpoints"] | probes[1]["checkpoints"]
        assert [metadata[key] for key in ("vocabulary", "tokens")] == [
            probes[0][key] for key in ("vocabulary", "tokens")
        ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(tensor=t["tensor"].replace("h_2", "h_3")), "has other tensors than the run's first probe"),
        (lambda t: pd.concat([t, t.assign(tensor="h_7")]), "has other tensors than the run's first probe"),
        (lambda t: t.assign(role="both"), "has a role other than target and input"),
        (lambda t: pd.concat([t, t.head(1)]), "a word repeats in the same role and tensor"),
        (lambda t: t.assign(id=t["id"] - 1), "has ids outside the 200 of the words table"),
    ],
)
def test_invalid_rows_are_refused(products, change, said):
    """They would overwrite the values of another tensor, role or word."""
    folder, _, _ = products
    path = folder / "probe8.parquet"
    write_probe(path, change(pd.read_parquet(path)), **probed(8))
    with pytest.raises(UserError, match=rf"probe8\.parquet: {said}"):
        run(folder, (7, 8))


def test_words_out_of_order_are_refused(products):
    """A word's id is taken for its row: with rows shuffled, every correlation would be another's."""
    folder, words, _ = products
    write_words(folder / "words.parquet", words.sample(frac=1, random_state=0))
    with pytest.raises(UserError, match=r"words\.parquet: its rows are not in the order of their ids"):
        run(folder)


def test_a_probe_of_another_vocabulary_is_refused(products):
    folder, words, _ = products
    write_words(folder / "words.parquet", words[:100])
    with pytest.raises(UserError, match=r"probe7\.parquet: has ids outside the 100 of the words table"):
        run(folder)


def test_figures_do_not_mix_probes_of_other_settings(products):
    """Of another seed, say: their words would be averaged."""
    folder, _, _ = products
    path = folder / "probe8.parquet"
    for other in ({"probe": {"batch": 7}}, {"tokens": "other"}, {"measures": ["chi"]}):
        write_probe(path, pd.read_parquet(path), **probed(8, **other))
        with pytest.raises(UserError, match=rf"probe8\.parquet: {next(iter(other))} is .*give files of one"):
            read_probes([folder / "probe7.parquet", path], "target", "grad_h_2", "chi")
