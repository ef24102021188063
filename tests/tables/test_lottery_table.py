"""The lottery-ticket table: counts, verdicts and intervals."""

import math

import numpy as np
import pytest
from scipy import stats

from example_products import ACCURACY, SQUARES, grid_lines, tabulate, write_evaluation
from natural_sparsity.errors import UserError
from natural_sparsity.tables import lottery

DENSE = [5.00, 5.04, 5.02]


@pytest.fixture
def write(tmp_path):
    """Write evaluations, one file per model and seed."""

    def write(*groups, **fields):
        paths = []
        for losses, *place in groups:
            for seed, loss in enumerate(losses, 1):
                path = tmp_path / f"{len(paths)}.json"
                paths.append(evaluation(path, loss, seed, *place, **fields))
        return paths

    return write


def evaluation(path, loss, seed, role="dense", level=0, epoch=6, **fields):
    density = 0.4**level
    sparsify = {"family": "imp", "method": "iterative", "role": role, "level": level} if level else {}
    counts = {"density": density, "weights": 1000, "nonzero": round(1000 * density)}
    values = {"loss": loss, "score": math.exp(loss), **counts, **fields}
    return write_evaluation(path, seed=seed, epoch=epoch, sparsify=sparsify, **values)


def levels(seeds=3):
    groups = [
        (DENSE,),
        ([5.01, 5.05, 5.03], "ticket", 1),
        ([5.21, 5.26, 5.24], "random_mask", 1),
        ([5.01, 5.06, 5.02], "random_init", 1),
        ([5.30, 5.36, 5.31], "ticket", 2),
        ([5.50, 5.57, 5.53], "random_mask", 2),
    ]
    return [(losses[:seeds], *place) for losses, *place in groups]


def test_verdicts(write):
    rows = tabulate(lottery, evaluations=write(*levels())).frame.set_index(["role", "level"])
    # 0.01 above the dense model's mean, whose spread over seeds is 0.02.
    assert rows.loc[("ticket", 1), "matching"] == "yes"
    assert rows.loc[("random_init", 1), "matching"] == "yes"
    assert rows.loc[("ticket", 2), "matching"] == rows.loc[("random_mask", 1), "matching"] == "no"
    assert rows.loc[("ticket", 1), "beats_controls"] == "no", "random weights on the same mask are as good"
    assert rows.loc[("ticket", 2), "beats_controls"] == "yes"
    assert rows.loc[("dense", 0), ["matching", "beats_controls"]].tolist() == ["", ""]


def test_differences_are_taken_seed_by_seed(write):
    rows = tabulate(lottery, evaluations=write(*levels())).frame.set_index(["role", "level"])
    row = rows.loc[("ticket", 2)]
    expected = stats.ttest_rel([5.30, 5.36, 5.31], DENSE).confidence_interval(0.95)
    assert (row["excess_low"], row["excess_high"]) == pytest.approx(tuple(expected))
    assert (row["measure"], row["digits"]) == ("perplexity", 1)
    assert row["score"] == pytest.approx(math.exp(np.mean([5.30, 5.36, 5.31])))
    assert row["score_low"] == pytest.approx(math.exp(row["low"]))
    assert (row["nonzero"], row["seeds"], row["density"]) == (160, 3, pytest.approx(0.16))


def test_one_seed_gives_no_verdict(write):
    table = tabulate(lottery, evaluations=write(*levels(seeds=1)))
    tickets = table.frame[table.frame["role"] == "ticket"]
    assert set(tickets["matching"]) == set(tickets["beats_controls"]) == {"not testable: one seed"}
    assert table.frame["low"].isna().all()
    assert not any("nan" in line for line in grid_lines(table))


@pytest.mark.parametrize(("measure", "shown"), [(ACCURACY, "0.800 ("), (SQUARES, "0.8000 (")])
def test_other_scores_have_means_of_their_own_and_losses_decide_the_matches(tmp_path, measure, shown):
    """The score of the dense model is the worse one, its loss the better one."""
    paths = []
    for seed, score in ((1, 0.7), (2, 0.9)):
        name = f"{seed}.json"
        paths.append(evaluation(tmp_path / f"dense{name}", 1 + seed / 10, seed, score=0.1, **measure))
        paths.append(evaluation(tmp_path / f"ticket{name}", 2 + seed / 10, seed, "ticket", 1, score=score, **measure))
    table = tabulate(lottery, evaluations=paths)
    row = table.frame.set_index("role").loc["ticket"]
    low, high = stats.t.interval(0.95, 1, 0.8, 0.1)
    assert (row["score"], row["score_low"], row["score_high"]) == pytest.approx((0.8, low, high))
    assert row["matching"] == "no"
    assert f"{measure['measure'].capitalize()} (95 %)" in grid_lines(table)[0]
    assert shown in grid_lines(table)[2]


def test_what_cannot_be_compared_is_refused(write, tmp_path):
    with pytest.raises(UserError, match="no evaluation of the dense model"):
        lottery.read_evaluations(write((DENSE, "ticket", 1)))
    with pytest.raises(UserError, match=r"3\.json: a second evaluation"):
        lottery.read_evaluations(write((DENSE,), (DENSE,)))
    dense = write((DENSE,))
    longer = evaluation(tmp_path / "longer.json", 5.0, 1, "ticket", 1, epoch=7)
    with pytest.raises(UserError, match=r"longer\.json: epoch is 7, but in .*0\.json it is 6; give files of one"):
        lottery.read_evaluations([*dense, longer])
    other = evaluation(tmp_path / "other.json", 5.0, 1, "ticket", 1, **ACCURACY)
    with pytest.raises(UserError, match=r"other\.json: measure is 'accuracy', but in .*0\.json it is 'perplexity'"):
        lottery.read_evaluations([*dense, other])
    elsewhere = evaluation(tmp_path / "elsewhere.json", 5.0, 1, "ticket", 1, data="reviews")
    with pytest.raises(UserError, match=r"elsewhere\.json: data is 'reviews'"):
        lottery.read_evaluations([*dense, elsewhere])


def test_readers_see_a_line_for_each_model(write):
    lines = grid_lines(tabulate(lottery, evaluations=write(*levels())))
    assert lines[0].startswith("Model | Role | Density | Weights left | Seeds | Perplexity (95 %) | Loss above dense")
    assert {line.count("|") for line in lines} == {8}
    assert sum(line.startswith("imp | ticket |") for line in lines) == 2
    assert lines[1].startswith("dense | dense | 1 | 1,000 | 3 | 151.4 (")
