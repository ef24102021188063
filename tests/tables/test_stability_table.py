"""The stability table: barriers with their intervals, and the verdict by a margin that is stated."""

import json

import numpy as np
import pytest
from scipy import stats

from example_products import grid_lines, write_line, write_state
from example_products import tabulate as tabulate_module
from natural_sparsity.errors import UserError
from natural_sparsity.tables import stability

BARRIERS = {"late": (4, [0.010, 0.012, 0.011]), "early": (0, [0.40, 0.42, 0.44]), "inside": ("step64", [0.0, 0.1, 0.2])}


def tabulate(folder, barriers=BARRIERS, margins=None, rates=None):
    """The table of twins of one model, each with the moment that it goes back to and its barrier by seed."""
    lines, states = [], []
    for family, (rewind, values) in barriers.items():
        for seed, barrier in enumerate(values, 1):
            path = folder / f"{family}{seed}.json"
            lines.append(write_line(path, family, rewind, barrier, seed=seed, model=family))
    for family, (rewind, values) in {"": (0, [0, 0, 0]), **barriers}.items():
        sparsify = {"family": family, "method": "twin", "role": "twin", "rewind": rewind} if family else {}
        for seed in range(1, len(values) + 1):
            path = folder / f"state-{family}{seed}.json"
            about = {"model": family or "lstm", "seed": seed, "sparsify": sparsify}
            states.append(write_state(path, 6, learning_rate_in=(rates or {}).get(family, 20.0), **about))
    margins = margins or dict.fromkeys(barriers, 0.05)
    return tabulate_module(stability, lines=lines, checkpoints=states, margins=json.dumps(margins))


def test_barriers_by_the_moment_in_the_order_of_training(tmp_path):
    rows = tabulate(tmp_path).frame
    assert rows["rewind"].tolist() == ["init", "step64", "epoch4"]
    assert rows["stable"].tolist() == ["no", "undecided", "yes"]
    for row, values in zip(
        rows.itertuples(), ([0.40, 0.42, 0.44], [0.0, 0.1, 0.2], [0.010, 0.012, 0.011]), strict=True
    ):
        interval = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        assert (row.barrier, row.barrier_low, row.barrier_high) == pytest.approx((np.mean(values), *interval))
        assert (row.seeds, row.epochs, row.loss_original, row.loss_twin) == (3, 6, 5.0, 5.2)
    assert rows["power"].iloc[1] < 0.1 < 0.99 < rows["power"].iloc[2]


def test_the_verdict_is_by_the_margin_of_each_twin(tmp_path):
    rows = tabulate(tmp_path, margins={"early": 0.5, "inside": 0.05, "late": 0.011}).frame
    assert rows["margin"].tolist() == [0.5, 0.05, 0.011]
    assert rows["stable"].tolist() == ["yes", "undecided", "undecided"]
    with pytest.raises(UserError, match="--margins: none for early; give it as"):
        tabulate(tmp_path, margins={"late": 0.05})


def test_one_seed_gives_no_verdict(tmp_path):
    table = tabulate(tmp_path, {"early": (0, [0.4])})
    assert table.frame["stable"].tolist() == ["not testable: one seed"]
    assert grid_lines(table)[1] == (
        "early | initial weights | 6 | 20 | 1 | 5.000 | 5.200 | 0.400 | 0.05 | not testable: one seed | "
    )


def test_a_twin_that_trained_at_other_rates_is_marked(tmp_path):
    lines = grid_lines(tabulate(tmp_path, rates={"late": 5.0}))
    assert ["*other*: 5" in line for line in lines[1:]] == [False, False, True]


def test_lines_that_do_not_belong_together_are_refused(tmp_path):
    one = write_line(tmp_path / "one.json", "early", 0, 0.4)
    again = write_line(tmp_path / "again.json", "early", 0, 0.4)
    longer = write_line(tmp_path / "longer.json", "late", 1, 0.4, epoch=7)
    with pytest.raises(UserError, match=r"again\.json: a second line of the same twin and seed$"):
        stability.read_lines([one, again])
    with pytest.raises(UserError, match=r"longer\.json.*epoch"):
        stability.read_lines([one, longer])
