"""The lottery-ticket table: counts, verdicts and intervals."""

import math

import numpy as np
import pytest
from scipy import stats

from example_products import ACCURACY, SQUARES, grid_lines, write_evaluation, write_state
from example_products import tabulate as tabulate_module
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.tables import lottery
from natural_sparsity.tables.scores import MARGIN, find_power

DENSE = [5.00, 5.04, 5.02]
RATES = [10.0, 10.0, 2.5]


def tabulate(module, evaluations, rates=None):
    """The table, of models that trained for three epochs at the same rates.

    Those of some evaluations may be others: ``rates`` gives them by role and seed, None for an epoch not trained.
    """
    states = []
    for path in evaluations:
        about = files.read_json(path, ["seed", "sparsify"])
        role = about["sparsify"].get("role", "dense")
        for epoch, rate in enumerate((rates or {}).get((role, about["seed"]), RATES), 1):
            if rate is None:
                continue
            state = {"seed": about["seed"], "sparsify": about["sparsify"], "learning_rate_in": rate}
            states.append(write_state(path.with_suffix(f".{epoch}.state"), epoch, **state))
    return tabulate_module(module, evaluations=evaluations, checkpoints=states)


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
    # 0.01 above the dense model in every seed; the random weights by 0.01 ± 0.025.
    assert rows.loc[("ticket", 1), "matching"] == "yes"
    assert rows.loc[("random_init", 1), "matching"] == "yes"
    assert rows.loc[("ticket", 2), "matching"] == rows.loc[("random_mask", 1), "matching"] == "no"
    assert rows.loc[("ticket", 1), "beats_controls"] == "no", "random weights on the same mask are as good"
    assert rows.loc[("ticket", 2), "beats_controls"] == "yes"
    assert rows.loc[("dense", 0), ["matching", "beats_controls"]].tolist() == ["", ""]


def test_a_match_needs_an_interval_that_ends_below_the_margin(write):
    """By the mean the first ticket is the better one, but its three seeds do not show it to be as good."""
    groups = [(DENSE,), ([4.90, 5.15, 5.02], "ticket", 1), ([5.02, 5.07, 5.05], "ticket", 2)]
    rows = tabulate(lottery, evaluations=write(*groups)).frame.set_index("level")
    assert rows.loc[1, "excess"] < rows.loc[2, "excess"]
    assert rows.loc[[1, 2], "matching"].tolist() == ["undecided", "yes"]
    assert rows.loc[1, "power"] < 0.1 < rows.loc[2, "power"]


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_power_is_how_often_an_equally_good_model_matches(seeds):
    spread = 0.02
    draws = np.random.default_rng(1).normal(0, spread, (100_000, seeds))
    half = stats.t.ppf(0.975, seeds - 1) * draws.std(axis=1, ddof=1) / np.sqrt(seeds)
    differences = stats.zscore(np.arange(seeds), ddof=1) * spread + 0.3
    assert find_power(differences) == pytest.approx(np.mean(draws.mean(axis=1) + half < MARGIN), abs=0.01)


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
    heads = "Model | Role | Density | Weights left | Learning rate | Seeds | Perplexity (95 %) | Loss above dense"
    assert lines[0].startswith(heads)
    assert {line.count("|") for line in lines} == {10}
    assert sum(line.startswith("imp | ticket |") for line in lines) == 2
    assert lines[1].startswith("dense | dense | 1 | 1,000 | 10, 2.5 from epoch 3 | 3 | 151.4 (")


def test_readers_see_which_models_were_trained_on_another_schedule(write):
    evaluations = write(*levels())
    rates = {("random_mask", 2): [10.0, 2.5, 2.5], ("random_init", 1): [10.0, 10.0, 10.0]}
    table = tabulate(lottery, evaluations=evaluations, rates=rates)
    rows = table.frame.set_index(["role", "level"])["schedule"]
    assert rows.loc[("ticket", 1)] == "10, 2.5 from epoch 3"
    assert rows.loc[("random_mask", 1)] == "seed 1 and 3: 10, 2.5 from epoch 3; seed 2: 10, 2.5 from epoch 2"
    shared = table.frame.set_index(["role", "level"])["shared_schedule"]
    assert shared.to_dict() == {key: key[0] not in ("random_mask", "random_init") for key in shared.index}
    assert sum("*other*: " in line for line in grid_lines(table)) == 3


def test_models_may_drop_by_seed_where_their_dense_model_does(write):
    rates = {(role, 2): [10.0, 2.5, 2.5] for role in ("dense", "ticket", "random_mask", "random_init")}
    frame = tabulate(lottery, evaluations=write(*levels()), rates=rates).frame
    assert frame["shared_schedule"].all(), "each seed is compared with the dense model of the same seed"
    assert frame["schedule"].str.startswith("seed 1 and 3: ").all()


def test_a_rewound_ticket_has_the_dense_schedule_from_where_it_starts(write):
    late = {("ticket", seed): [None, *RATES[1:]] for seed in (1, 2, 3)}
    frame = tabulate(lottery, evaluations=write(*levels()), rates=late).frame
    row = frame.set_index(["role", "level"]).loc[("ticket", 1)]
    assert (row["schedule"], row["shared_schedule"]) == ("10, 2.5 from epoch 3", True)


def test_a_small_dense_model_stands_at_its_share_of_the_large_ones_weights(write, tmp_path):
    paths = write(*levels())
    for seed in (1, 2, 3):
        counts = {"weights": 158, "nonzero": 158, "density": 1.0}
        paths.append(evaluation(tmp_path / f"small{seed}.json", 5.6, seed, "equal_size", 2, **counts))
    frame = tabulate(lottery, evaluations=paths).frame.set_index(["role", "level"])
    assert frame.loc[("equal_size", 2), "density"] == pytest.approx(0.158)
    assert frame.loc[("ticket", 2), "beats_controls"] == "yes"


def test_rates_of_every_model_and_seed_are_needed_once(write):
    evaluations = write(*levels())
    states = [write_state(evaluations[0].with_name(f"s{i}.json"), seed=1) for i in range(2)]
    with pytest.raises(UserError, match=r"s1\.json: a second checkpoint of the same model, seed and epoch"):
        tabulate_module(lottery, evaluations=evaluations, checkpoints=states)
    with pytest.raises(UserError, match=r"--checkpoints: none of dense, seed 2; give its state"):
        tabulate_module(lottery, evaluations=evaluations, checkpoints=states[:1])
