"""Correlations against SciPy, and which words enter them."""

import argparse

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from example_products import RUN, describe_depth, write_probe, write_words
from natural_sparsity import files
from natural_sparsity.analysis import correlate
from natural_sparsity.analysis.products import read_correlations, read_probes
from natural_sparsity.analysis.statistics import resampling_weights
from natural_sparsity.analysis.tensors import STATIC
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
    # Words 2, 5, 8 … are open and 3, 6, 9 … closed; each of the first 20 of one is in a pair with one of the other.
    words["pair"] = -1
    words.loc[words.index[2:62:3], "pair"] = np.arange(20)
    words.loc[words.index[3:63:3], "pair"] = np.random.default_rng(2).permutation(20)
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


@pytest.mark.parametrize(
    "name",
    [
        "all",
        "open",
        "closed",
        "open_matched",
        "closed_matched",
        "open_paired",
        "closed_paired",
        "frequent",
        "rare",
    ],
)
def test_each_word_set(table, name):
    table, words, chi = table
    real = words[(words["id"] >= 2) & (words["count"] > 0)]
    whole = (words["pair"] >= 0) & (words["pair"] != words["pair"][11])
    frequent = sorted(real["id"], key=lambda i: (-words["count"][i], i))[: len(real) // 2]
    chosen = {
        "all": words["id"] >= 2,
        "open": words["pos_class"] == "open",
        "closed": words["pos_class"] == "closed",
        "open_matched": (words["pos_class"] == "open") & words["matched"],
        "closed_matched": (words["pos_class"] == "closed") & words["matched"],
        "open_paired": (words["pos_class"] == "open") & whole,
        "closed_paired": (words["pos_class"] == "closed") & whole,
        "frequent": words["id"].isin(frequent),
        "rare": words["id"].isin(real["id"]) & ~words["id"].isin(frequent),
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


def test_pairs_are_drawn_as_pairs(products):
    """The interval of a difference between paired words is that of a loop that draws pairs."""
    folder, words, chi = products
    _, differences = run(folder)
    pairs = [words[(words["pos_class"] == name) & (words["pair"] >= 0)] for name in ("open", "closed")]
    ids = np.stack([part.set_index("pair").sort_index()["id"].to_numpy() for part in pairs])
    ids = ids[:, ids[0] != 11]  # has no training count
    rhos = []
    for draw in resampling_weights(19, 200, (3, 5))[1:].astype(int):
        drawn = [np.repeat(part, draw) for part in ids]
        drawn = [part[~np.isnan(chi[part])] for part in drawn]
        rhos.append([stats.pearsonr(words["count"][part], chi[part]).statistic for part in drawn])
    differences = differences[differences["kind"] == "words"]
    row = differences.loc[7, "target", "grad_h_2", "chi", "open_paired", "pearson"]
    assert row["against"] == "closed_paired" and row["n"] == 18
    expected = np.quantile(np.subtract(*np.transpose(rhos)), [0.05, 0.95])
    np.testing.assert_allclose(row[["low", "high"]].astype(float), expected)


def write_course(folder, *checkpoints, probe=None):
    """Copies of a probe, with noise, as probes of ``checkpoints`` (epoch, steps), with their tokens: 10 a step."""
    probe = pd.read_parquet(folder / "probe7.parquet") if probe is None else probe
    for i, (epoch, steps) in enumerate(checkpoints):
        noise = np.random.default_rng(i).normal(size=len(probe))
        about = probed(epoch, steps=steps, examples=10 * steps)
        write_probe(folder / f"probe{epoch}-{steps}.parquet", probe.assign(chi_mean=probe["chi_mean"] + noise), **about)
    return [f"{epoch}-{steps}" for epoch, steps in checkpoints]


def test_epochs_are_compared_with_the_untrained_model_the_first_and_the_last(products):
    folder, _, _ = products
    names = write_course(folder, (3, 30), (0, 0), (1, 10), (2, 20), (4, 40))
    correlations, differences = run(folder, names)
    times = correlations.reset_index()[["epoch", "steps", "tokens"]].drop_duplicates().to_numpy().tolist()
    assert times == [[epoch, 10 * epoch, 100 * epoch] for epoch in range(5)]
    between = differences[differences["kind"] == "epoch"]
    chosen = between.loc[:, "target", "grad_h_2", "chi", "all", "pearson"].reset_index()
    pairs = list(zip(chosen["epoch"], chosen["against"].astype(int), strict=True))
    zero, first, last = [(e, 0) for e in (1, 2, 3, 4)], [(e, 1) for e in (2, 3, 4)], [(4, 2), (4, 3)]
    assert sorted(pairs) == sorted(zero + first + last)
    value = correlations["value"].loc[:, "target", "grad_h_2", "chi", "all", "pearson"]
    for (later, earlier), row in zip(pairs, chosen.to_dict("records"), strict=True):
        assert row["value"] == pytest.approx(value[later] - value[earlier])
        assert (row["steps"], row["tokens"]) == (10 * later, 100 * later)
        assert row["low"] < row["value"] < row["high"]


def test_inside_the_first_epoch_checkpoints_are_told_apart_by_steps_and_no_epochs_compared(products):
    folder, _, _ = products
    names = write_course(folder, (1, 10), (0, 2), (0, 0), (0, 1))
    options = {name: folder / f"{name}.parquet" for name in ("correlations", "differences")}
    about = {"words": folder / "words.parquet", "statistics": SETTINGS, "expect": {}}
    correlate.run(argparse.Namespace(probes=[folder / f"probe{name}.parquet" for name in names], **about, **options))
    keys = ["epoch", "steps", "tokens"]
    for path, kinds in ((options["correlations"], None), (options["differences"], {"words", "tensor"})):
        frame = pd.read_parquet(path)
        assert frame[keys].drop_duplicates().to_numpy().tolist() == [[0, 0, 0], [0, 1, 10], [0, 2, 20], [1, 10, 100]]
        assert kinds is None or set(frame["kind"]) == kinds
        assert len(files.read_metadata(path)["checkpoints"]) == 4
    for name in names:
        alone = argparse.Namespace(**about, correlations=folder / "alone.parquet", differences=None)
        correlate.run(argparse.Namespace(probes=[folder / f"probe{name}.parquet"], **vars(alone)))
        frame = pd.read_parquet(options["correlations"])
        frame = frame[[f"{epoch}-{steps}" == name for epoch, steps in zip(frame["epoch"], frame["steps"], strict=True)]]
        pd.testing.assert_frame_equal(frame.reset_index(drop=True), pd.read_parquet(folder / "alone.parquet"))
    together = read_correlations([options["correlations"]], "chi", "pearson")
    assert all(together[key].is_monotonic_increasing for key in keys) and together["steps"].nunique() == 4


def test_the_static_gradient_is_correlated_with_target_words_alone(products):
    folder, words, chi = products
    probe = pd.read_parquet(folder / "probe7.parquet")
    static = probe[probe["tensor"] == "h_2"].assign(tensor=STATIC, chi_mean=-chi)
    names = write_course(folder, (0, 0), (1, 10), probe=pd.concat([probe, static]))
    for table in run(folder, names):
        index = table.reset_index()
        assert set(index.loc[index["tensor"] == STATIC, "role"]) == {"target"}
        assert set(index.loc[index["tensor"] == "h_1", "role"]) == {"target", "input"}
    frame = pd.read_parquet(folder / f"probe{names[0]}.parquet").query("tensor == @STATIC")
    chosen = (frame["id"] >= 2) & (words["count"] > 0).to_numpy() & frame["chi_mean"].notna()
    expected = stats.pearsonr(words["count"][frame["id"][chosen]], frame["chi_mean"][chosen]).statistic
    row = run(folder, names)[0].loc[0, "target", STATIC, "chi", "all", "pearson"]
    assert row["value"] == pytest.approx(expected, abs=1e-12) and row["n"] == chosen.sum()


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
    write_words(folder / "words.parquet", words.assign(pos_class=None, matched=False, pair=-1))
    correlations, differences = run(folder)
    row = correlations.loc[7, "target", "grad_h_2", "chi", "closed", "pearson"]
    assert row["n"] == 0 and row[["value", "low", "high"]].isna().all()
    gone = differences[(differences["kind"] == "words") & (differences["against"] != "rare")]
    assert len(gone) and gone[["value", "low", "high"]].isna().all(axis=None) and (gone["n"] == 0).all()


def test_two_probes_of_a_checkpoint_are_refused(products):
    with pytest.raises(UserError, match=r"probe7.parquet: a second probe of epoch7; give one file per checkpoint"):
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
        (lambda t: t.assign(id=t["id"] - 1), "has ids that are not among the 200 words of the words table"),
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
    with pytest.raises(
        UserError, match=r"probe7\.parquet: has ids that are not among the 100 words of the words table"
    ):
        run(folder)


def test_figures_do_not_mix_probes_of_other_settings(products):
    """Of another seed, say: their words would be averaged."""
    folder, _, _ = products
    path = folder / "probe8.parquet"
    for other in ({"probe": {"batch": 7}}, {"tokens": "other"}, {"measures": ["chi"]}):
        write_probe(path, pd.read_parquet(path), **probed(8, **other))
        with pytest.raises(UserError, match=rf"probe8\.parquet: {next(iter(other))} is .*give files of one"):
            read_probes([folder / "probe7.parquet", path], "target", "grad_h_2", "chi")
