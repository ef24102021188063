"""Sparsified models beside the dense one: values, paired differences, and what is not compared; and their figure."""

import argparse

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from natural_sparsity import files
from natural_sparsity.analysis import natural
from natural_sparsity.errors import UserError
from natural_sparsity.figures import natural as figure
from natural_sparsity.figures.style import Style

SEEDS = (1, 2, 3)
TENSORS = ("h_2", "grad_h_2", "x")
SHIFT = {"dense": 0.0, "imp-level1": 0.1, "imp-level1-random_mask": -0.2, "student": 0.3}
KINDS = {
    "dense": {},
    "imp-level1": {"family": "imp", "role": "ticket", "level": 1},
    "imp-level1-random_mask": {"family": "imp", "role": "random_mask", "level": 1},
    "student": {"family": "student", "role": "student"},
}


def write(folder, model, seed, width=8, epochs=(1, 2)):
    generator = np.random.default_rng(seed)  # what the models of a seed share
    rows = []
    for epoch in epochs:
        for tensor in TENSORS:
            for statistic in ("pearson", "pearson_log", "spearman", "mean"):
                for role in ("target", "input"):
                    value = generator.normal(0, 0.05) + SHIFT[model] * epoch / 2 + (5 if role == "input" else 0)
                    rows.append((epoch, role, tensor, "chi", "all", statistic, value, value - 0.1, value + 0.1, 90))
    columns = ["epoch", "role", "tensor", "measure", "words", "statistic", "value", "low", "high", "n"]
    frame = pd.DataFrame(rows, columns=columns).assign(run=f"corpus/{model}/seed{seed}")
    paths = folder / f"{model}{seed}.parquet", folder / f"{model}{seed}.json"
    files.write_parquet(paths[0], frame, {"condition": "frozen"})
    state = {"epoch": max(epochs), "seed": seed, "architecture": {"embedding": 5, "hidden": [7, width]}}
    files.write_json(paths[1], {**state, "sparsify": KINDS[model]})
    return paths


@pytest.fixture
def given(tmp_path):
    """Correlations and checkpoints of four models, three seeds each, the student's of another width."""
    pairs = [write(tmp_path, model, seed, 4 if model == "student" else 8) for model in SHIFT for seed in SEEDS]
    correlations, checkpoints = zip(*pairs, strict=True)
    return list(correlations), list(checkpoints)


def test_differences_are_paired_by_seed_at_the_last_epoch(given):
    rows = natural.table(natural.read_last(*given)).set_index(["model", "tensor", "statistic"])
    for model, shift in SHIFT.items():
        row = rows.loc[(model, "h_2", "pearson_log")]
        assert (row["epoch"], row["seeds"]) == (2, 3)
        if model == "dense":
            assert np.isnan(row["difference"])
            continue
        # The seeds' noise is shared, so that it is in the value's interval and not in the difference's.
        assert row["difference"] == pytest.approx(shift)
        assert row["difference_high"] - row["difference_low"] < 1e-9 < row["high"] - row["low"]
    chosen = "model == 'dense' and tensor == 'h_2' and statistic == 'pearson'"
    values = [natural.read_last(*given).query(chosen)["value"]]
    low, high = stats.t.interval(0.95, 2, values[0].mean(), stats.sem(values[0]))
    assert tuple(rows.loc[("dense", "h_2", "pearson"), ["low", "high"]]) == pytest.approx((low, high))


def test_means_at_another_width_are_not_compared_but_correlations_are(given):
    rows = natural.table(natural.read_last(*given)).set_index(["model", "tensor", "statistic"])
    assert np.isnan(rows.loc[("student", "h_2", "mean"), "difference"])
    assert rows.loc[("student", "h_2", "pearson"), "difference"] == pytest.approx(0.3)
    assert rows.loc[("student", "x", "mean"), "difference"] == pytest.approx(0.3)  # as wide as the vocabulary
    assert rows.loc[("imp-level1", "h_2", "mean"), "difference"] == pytest.approx(0.1)


def test_models_trained_for_other_numbers_of_epochs_are_not_compared(given, tmp_path):
    """A ticket of four epochs beside a dense model of two: values, no differences."""
    correlations, checkpoints = given
    for place, (path, state) in enumerate(zip(correlations, checkpoints, strict=True)):
        if path.name.startswith("imp-level1") and "random" not in path.name:
            seed = files.read_json(state)["seed"]
            correlations[place], checkpoints[place] = write(tmp_path, "imp-level1", seed, epochs=(1, 2, 3, 4))
    rows = natural.table(natural.read_last(correlations, checkpoints))
    by_model = rows.set_index(["model", "tensor", "statistic"]).sort_index()
    longer, same = (by_model.loc[(model, "h_2", "pearson_log")] for model in ("imp-level1", "imp-level1-random_mask"))
    assert (longer["epoch"], same["epoch"]) == (4, 2)
    assert np.isnan(longer["difference"])
    assert longer["pairs"] == 0
    assert longer["value"] == pytest.approx(by_model.loc[("dense", "h_2", "pearson_log"), "value"] + 0.2, abs=0.1)
    assert same["difference"] == pytest.approx(-0.2)
    assert "| imp-level1 | 4 | 3 |" in natural.markdown(rows)


def test_the_page_and_what_is_refused(given, tmp_path):
    correlations, checkpoints = given
    out = {"csv": tmp_path / "n.csv", "markdown": tmp_path / "n.md"}
    natural.run(argparse.Namespace(correlations=correlations, checkpoints=checkpoints, **out))
    text = out["markdown"].read_text()
    assert "**+0.100 [+0.100, +0.100]**" in text and "**−0.200 [−0.200, −0.200]**" in text
    with pytest.raises(UserError, match="is not of the seed and last epoch"):
        natural.read_last(correlations[:1], checkpoints[1:2])
    with pytest.raises(UserError, match="no correlations of the dense model"):
        natural.read_last(correlations[3:], checkpoints[3:])
    with pytest.raises(UserError, match="give as many"):
        natural.run(argparse.Namespace(correlations=correlations, checkpoints=checkpoints[1:], **out))


def test_the_figure_draws_each_model_beside_the_dense_one(given):
    table = figure.table(*given, "chi", "pearson_log")
    assert set(table["seeds"]) == {3}
    dense = table.query("model == 'dense' and tensor == 'h_2' and epoch == 2").squeeze()
    level = table.query("model == 'imp-level1' and tensor == 'h_2' and epoch == 2").squeeze()
    assert level["rho"] - dense["rho"] == pytest.approx(0.1)
    with Style().applied():
        drawn = figure.draw(table, Style())
        drawn.canvas.draw()
    panels = [ax for ax in drawn.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["imp", "student"]
    lines = {line.get_gid(): line for ax in drawn.axes for line in ax.lines if line.get_gid()}
    assert {"imp dense 0 h_2", "imp ticket 1 h_2", "imp random_mask 1 grad_h_2", "student student 0 h_2"} <= set(lines)
    assert "student ticket 1 h_2" not in lines
    np.testing.assert_allclose(
        lines["imp ticket 1 h_2"].get_ydata(), table.query("model == 'imp-level1' and tensor == 'h_2'")["rho"]
    )
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert names[:3] == ["dense", "level 1", "level 1, random mask"]
    with pytest.raises(UserError, match="a dense model and one that was made from it"):
        figure.table(given[0][:3], given[1][:3], "chi", "pearson_log")
