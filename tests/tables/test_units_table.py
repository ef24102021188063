"""What units carry against what they keep, on units made up for the purpose."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from example_products import RUN, grid_lines, tabulate
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.tables import units

N, SEEDS = 40, (1, 2, 3)


def write(folder, model, seed, kept, sparsify, gates=4, **fields):
    """Units of one layer: parts and sizes by the seed; ``kept`` of 100 incoming weights, all of the outgoing."""
    generator = np.random.default_rng(seed)
    rows = []
    for tensor in ("h_1", "grad_h_1"):
        columns = {"part": generator.random(N), "size": generator.random(N)}
        sides = {"incoming": 100, "incoming_kept": kept, "outgoing": 50, "outgoing_kept": 50}
        sides |= {"gates": 4, "gates_kept": gates, "neuron": 1, "neuron_kept": 1}
        rows.append(pd.DataFrame({"layer": "h_1", "tensor": tensor, "unit": range(N), **columns, **sides}))
    path = folder / f"{model}{seed}.parquet"
    same = {"epoch": 3, "condition": "frozen", "probe": {"split": "dev"}, "tokens": "tokens"}
    metadata = {**RUN, "model": model, "seed": seed, "sparsify": sparsify, **same, **fields}
    files.write_parquet(path, pd.concat(rows), metadata)
    return path


def carried(seed):
    """The parts of ``h_1`` that :func:`write` draws."""
    return np.random.default_rng(seed).random(N)


@pytest.fixture
def given(tmp_path):
    """A dense model; a ticket that keeps what carries, with noise; its random mask."""
    paths = []
    imp = {"family": "imp", "level": 2}
    for seed in SEEDS:
        noise = np.random.default_rng(100 + seed)
        keeps = np.rint(50 * carried(seed) + 20 * noise.random(N))
        for model, kept, sparsify in (
            ("dense", 100, {}),
            ("imp-level2", keeps, {**imp, "role": "ticket"}),
            ("imp-level2-random_mask", noise.integers(40, 60, N), {**imp, "role": "random_mask"}),
        ):
            paths.append(write(tmp_path, model, seed, kept, sparsify))
    return paths


def test_the_correlation_is_scipys_and_the_interval_that_of_the_seeds(given):
    rows = units.compare(units.read_units(given))
    every = units.read_units(given)
    expected = {}
    for role in ("ticket", "random_mask"):
        expected[role] = []
        for seed in SEEDS:
            part = every[(every["seed"] == seed) & (every["role"] == role) & (every["tensor"] == "h_1")]
            expected[role].append(stats.spearmanr(carried(seed), part["incoming_kept"]).statistic)
    row = rows.query("model == 'imp-level2' and tensor == 'h_1' and quantity == 'part'").squeeze()
    on_fishers = np.arctanh(expected["ticket"])
    assert row["rho"] == pytest.approx(np.tanh(np.mean(on_fishers)))
    assert row["rho"] > 0.8
    ends = stats.t.interval(0.95, 2, np.mean(on_fishers), stats.sem(on_fishers))
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.tanh(ends)))
    assert row["high"] < 1
    assert row["units_low"] < row["rho"] < row["units_high"]
    assert row["null"] == pytest.approx(np.tanh(np.mean(np.arctanh(expected["random_mask"]))))
    assert row["excess"] == pytest.approx(np.mean(np.subtract(expected["ticket"], expected["random_mask"])))
    assert row["excess_low"] > 0
    assert (row["units"], row["seeds"]) == (N, 3)
    # What is not tied to the mask is not correlated with it.
    sizes = rows.query("model == 'imp-level2' and tensor == 'grad_h_1' and quantity == 'size'").squeeze()
    assert abs(sizes["rho"]) < 0.35


def test_sides_that_keep_everything_are_left_out(given):
    rows = units.compare(units.read_units(given))
    assert set(rows["side"]) == {"incoming"}
    assert len(rows) == 2 * 2 * 2  # models, tensors, quantities
    control = rows[rows["role"] == "random_mask"]
    assert control["null"].isna().all()


def test_gates_are_compared_with_what_permutations_give(tmp_path):
    """Units that carry more than the median keep all gates, in two seeds of three; in the third all units keep all."""
    paths = []
    for seed in SEEDS:
        part = carried(seed)
        gates = np.where(part > np.median(part), 4, 1) if seed < 3 else 4
        sparse = {"family": "sparse", "level": 0, "role": "sparse_vd"}
        paths += [write(tmp_path, "dense", seed, 100, {}), write(tmp_path, "sparse", seed, 100, sparse, gates=gates)]
    table = tabulate(units, units=paths)
    rows = table.frame
    assert set(rows["side"]) == {"gates"}
    row = rows.query("tensor == 'h_1' and quantity == 'part'").squeeze()
    expected = stats.spearmanr(carried(1), carried(1) > np.median(carried(1))).statistic
    assert row["rho"] == pytest.approx(expected)  # the same in every seed, for it depends on ranks alone
    assert row["seeds"] == 2
    # The mean of two independent correlations under permutation has the variance 1 / 2(n − 1).
    wide = 1.96 / np.sqrt(2 * (N - 1))
    assert (-row["chance_low"], row["chance_high"]) == (pytest.approx(wide, rel=0.15), pytest.approx(wide, rel=0.15))
    assert grid_lines(table)[0].endswith("gates that read, ρ | chance")


def test_one_seed_has_the_interval_over_units(given):
    rows = units.compare(units.read_units(given[:2]))
    assert np.allclose(rows["low"], rows["units_low"]) and np.allclose(rows["high"], rows["units_high"])
    assert (rows["low"] < rows["rho"]).all() and (rows["rho"] < rows["high"]).all()
    assert rows["null"].isna().all()


def test_what_readers_see_and_what_is_refused(given, tmp_path):
    imp = {"family": "imp", "level": 2}
    table = tabulate(units, units=given)
    lines = grid_lines(table)
    assert {line.count("|") for line in lines} == {4}
    assert lines[0] == "tensor | carries | units | incoming weights, ρ | random mask"
    assert any("h_1 | part in χ² | 40 | 0." in line for line in lines)
    assert [grid.caption.startswith("**imp-level2** (kept: h_1 incoming ") for grid in table.grids] == [True]
    with pytest.raises(UserError, match="no units of the dense model"):
        units.read_units(given[1:2])
    with pytest.raises(UserError, match="given twice for one seed"):
        units.read_units([*given, given[1]])
    other = write(tmp_path, "other", 1, 100, {"family": "x", "role": "ticket"}, condition="dev")
    with pytest.raises(
        UserError, match=r"other1\.parquet: condition is 'dev', but in .*dense1\.parquet it is 'frozen'"
    ):
        units.read_units([*given, other])
    settings = write(tmp_path, "settings", 1, 100, {"family": "x", "role": "ticket"}, probe={"split": "test"})
    with pytest.raises(UserError, match=r"settings1\.parquet: probe is .*test.*, but in .*dense1\.parquet it is .*dev"):
        units.read_units([*given, settings])
    longer = {**imp, "role": "ticket"}
    with pytest.raises(UserError, match=r"imp-level24\.parquet: epoch is 5, but in .*imp-level21\.parquet it is 3; "):
        units.read_units([*given, write(tmp_path, "imp-level2", 4, 100, longer, epoch=5)])
    # A dense model may have trained for longer.
    dense = [write(tmp_path, "dense", seed, 100, {}, epoch=5) for seed in SEEDS]
    assert len(units.read_units([*given[1:3], *dense[:1]])) == 3 * 2 * N
    with pytest.raises(UserError, match="no model has pruned weights"):
        units.compare(units.read_units(given[:1]))
