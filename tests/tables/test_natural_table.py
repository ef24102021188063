"""Sparsified models compared with the dense one: values, paired differences, and what is not compared."""

import numpy as np
import pytest
from scipy import stats

from example_products import SHIFT, grid_lines, tabulate, write_family, write_member
from natural_sparsity.analysis.tensors import STATIC
from natural_sparsity.errors import UserError
from natural_sparsity.tables import natural, schedule


@pytest.fixture
def given(tmp_path):
    """Correlations and checkpoints of four models, three seeds each, the student's of another width."""
    return write_family(tmp_path)


def by_place(correlations, checkpoints):
    """The table's rows by model, tensor and statistic."""
    rows = natural.compare(natural.read_last(correlations, checkpoints), schedule.read_rates(checkpoints))
    return rows.set_index(["model", "tensor", "statistic"]).sort_index()


def test_differences_are_paired_by_seed_at_the_last_epoch(given):
    rows = by_place(*given)
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
    rows = by_place(*given)
    assert np.isnan(rows.loc[("student", "h_2", "mean"), "difference"])
    assert rows.loc[("student", "h_2", "pearson"), "difference"] == pytest.approx(0.3)
    assert rows.loc[("student", "x", "mean"), "difference"] == pytest.approx(0.3)  # as wide as the vocabulary
    assert rows.loc[("imp-level1", "h_2", "mean"), "difference"] == pytest.approx(0.1)


def test_the_static_gradient_is_as_wide_as_the_top_layer(tmp_path):
    """The student's is narrower: its mean is not compared."""
    pairs = [
        write_member(tmp_path, model, seed, (7, 4) if model == "student" else (7, 8), tensors=["grad_h_2", STATIC])
        for model in SHIFT
        for seed in (1, 2)
    ]
    rows = by_place(*map(list, zip(*pairs, strict=True)))
    assert rows.loc[("imp-level1", STATIC, "mean"), "difference"] == pytest.approx(0.1)
    assert np.isnan(rows.loc[("student", STATIC, "mean"), "difference"])


def test_models_trained_for_other_numbers_of_epochs_are_not_compared(given, tmp_path):
    """A ticket of four epochs, where the dense model has two: values, no differences."""
    for seed in (1, 2, 3):
        write_member(tmp_path, "imp-level1", seed, epochs=(1, 2, 3, 4))
    rows = by_place(*given)
    longer, same = (rows.loc[(model, "h_2", "pearson_log")] for model in ("imp-level1", "imp-level1-random_mask"))
    assert (longer["epoch"], same["epoch"]) == (4, 2)
    assert np.isnan(longer["difference"])
    assert np.isnan(longer["difference_pairs"])
    assert longer["value"] == pytest.approx(rows.loc[("dense", "h_2", "pearson_log"), "value"] + 0.2, abs=0.1)
    assert same["difference"] == pytest.approx(-0.2)
    table = tabulate(natural, correlations=given[0], checkpoints=given[1])
    assert any(line.startswith("imp-level1 | 4 | *other*: 20 | 3 |") for line in grid_lines(table))


def test_files_are_matched_by_their_run_in_any_order(given):
    one = natural.read_last(*given)
    other = natural.read_last(given[0], given[1][::-1])
    assert one.equals(other)


def test_what_readers_see_and_what_is_refused(given, tmp_path):
    correlations, checkpoints = given
    table = tabulate(natural, correlations=correlations, checkpoints=checkpoints)
    text = "\n".join(grid_lines(table))
    assert "**+0.100 [+0.100, +0.100]**" in text and "**−0.200 [−0.200, −0.200]**" in text
    assert [grid.caption for grid in table.grids] == ["**ρ← with log frequency of χ**", "**ρ← of χ**", "**mean χ**"]
    with pytest.raises(UserError, match=r"dense1\.parquet: is of corpus/dense, seed 1, epoch 2, but no"):
        natural.read_last(correlations[:1], checkpoints[1:2])
    with pytest.raises(UserError, match="no correlations of the dense model"):
        natural.read_last(correlations[3:], checkpoints[3:])


def test_models_of_other_depths_have_gaps_where_they_have_no_such_layer(given, tmp_path):
    """A student of one layer, whose dense model has two."""
    tensors = ["h_e", "h_1", "x", "grad_h_e", "grad_h_1", "grad_x"]
    for seed in (1, 2, 3):
        write_member(tmp_path, "student", seed, hidden=[4], tensors=tensors)
    table = tabulate(natural, correlations=given[0], checkpoints=given[1])
    heads = ["h_1", "h_2", "grad_h_1", "grad_h_2"]
    assert table.grids[0].heads[4:] == [f"{name}, {end}" for name in heads for end in ("value", "minus dense")]
    by_model = {row[0]: row for row in table.grids[0].rows}
    assert by_model["student"][6:8] == by_model["dense"][4:6] == ["", ""]
    assert by_model["student"][4] and by_model["dense"][6]
    assert natural.list_widths({"embedding": 5, "hidden": [3, 2, 1]})["grad_h_3"] == 1
