"""The footprint table: what models cost beside the dense one in single precision."""

import json
import math

import pytest
from scipy import stats

from example_products import RUN, grid_lines, write_state
from example_products import tabulate as tabulate_module
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.tables import footprint


def cost(loss, precision="float32", size=400):
    times = {"seconds_per_token": 0.002, "seconds_per_token_at_once": 0.0001}
    return {"precision": precision, "loss": loss, "nonzero": 100, "bytes": size, **times}


def tabulate(paths, rates=None, sources=None):
    """The table, of models that trained for an epoch at the same rate; ``rates`` gives others by role.

    ``sources``: the model that each was made from, by name.
    """
    states = []
    for path in paths:
        about = files.read_json(path, ["model", "seed", "sparsify", "epoch"])
        rate = (rates or {}).get(about["sparsify"].get("role"), 10)
        state = {key: about[key] for key in ("model", "seed", "sparsify")} | {"learning_rate_in": rate}
        states.append(write_state(path.with_suffix(".state"), about["epoch"], **state))
    return tabulate_module(footprint, footprints=paths, checkpoints=states, sources=json.dumps(sources or {}))


@pytest.fixture
def write(tmp_path):
    """Write the footprints of one model and seed, by precision."""

    def write(seed, costs, epoch=4, data="corpus", **sparsify):
        path = tmp_path / f"{data}-{'-'.join(map(str, sparsify.values()))}-{seed}.json"
        fields = {
            **RUN,
            "model": "-".join(map(str, sparsify.values())) or "lstm",
            "data": data,
            "seed": seed,
            "epoch": epoch,
            "sparsify": sparsify,
        }
        files.write_json(path, {**fields, "footprints": costs})
        return path

    return write


def test_models_are_compared_with_the_dense_one_in_float(write):
    paths = [write(seed, [cost(loss), cost(loss + 0.01, "int8", 100)]) for seed, loss in ((1, 5.0), (2, 5.1))]
    tickets = [write(seed, [cost(loss)], family="imp", role="ticket", level=1) for seed, loss in ((1, 5.2), (2, 5.3))]
    table = tabulate([*paths, *tickets])
    rows = table.frame.set_index(["role", "precision"])
    assert rows["matching"].to_dict() == {
        ("dense", "float32"): "",
        ("dense", "int8"): "yes",
        ("ticket", "float32"): "no",
    }
    assert rows.loc[("dense", "int8"), "bytes_of_dense"] == 0.25
    assert rows.loc[("dense", "int8"), "perplexity"] == pytest.approx(math.exp(5.06))
    assert rows.loc[("dense", "int8"), "milliseconds_per_token"] == pytest.approx(2)
    assert rows.loc[("dense", "int8"), "milliseconds_per_token_at_once"] == pytest.approx(0.1)
    assert rows["nonzero"].tolist() == [100] * 3
    assert {line.count("|") for line in grid_lines(table)} == {13}


def test_controls_have_names_and_models_of_more_epochs_are_not_compared(write):
    paths = [write(seed, [cost(loss)]) for seed, loss in ((1, 5.0), (2, 5.1))]
    for seed in (1, 2):
        for role in ("student", "no_teacher", "retrained"):
            paths.append(write(seed, [cost(5.0)], family="little", role=role))
        paths.append(write(seed, [cost(5.0)], epoch=9, family="long", role="qat"))
    rows = tabulate(paths).frame
    names = [footprint.name_model(row) for row in rows.to_dict("records")]
    assert names == ["dense", "little, no teacher", "little, retrained", "little", "long"]
    assert rows["matching"].tolist()[1:] == ["undecided"] * 3 + ["not comparable: the dense model has 4 epochs"]


def test_a_model_at_a_rate_of_its_own_says_so(write):
    paths = [write(1, [cost(5.0)])]
    two = {"family": "two", "method": "qat"}
    paths += [
        write(1, [cost(5.0, form)], role=role, **two) for role, form in (("qat", "int2, trained"), ("rounded", "int2"))
    ]
    table = tabulate(paths, {"qat": 1, "rounded": 1})
    dense, trained, rounded = grid_lines(table)[1:]
    assert dense.startswith("dense | float32 | 4 | 10 | ")
    assert trained.startswith("two | int2, trained | 4 | *other*: 1 | ")
    assert rounded.startswith("two, in single precision | int2 | 4 | *other*: 1 | ")
    path = write_state(paths[0].with_suffix(".state"), 4, seed=1, learning_rate_in=10)
    with pytest.raises(UserError, match="--checkpoints: none of qat-two-qat two qat, seed 1; give its state.json"):
        tabulate_module(footprint, footprints=paths, checkpoints=[path], sources="{}")


def test_each_model_is_compared_with_its_own_control_seed_by_seed(write):
    """By scipy's paired interval. A control may be in the family, or the pruned or dense model that it goes on from."""
    losses = {1: 5.0, 2: 5.3, 3: 5.1}
    trained = {1: 5.02, 2: 5.31, 3: 5.14}
    paths = []
    for seed, loss in losses.items():
        rounded = cost(loss + 0.05, "int2, rounded")
        paths += [
            write(seed, [cost(loss), rounded]),
            write(seed, [cost(loss - 0.1), cost(loss - 0.04, "int2, rounded")], family="imp", role="ticket", level=1),
            write(seed, [cost(loss + 0.2)], family="imp", role="equal_size", level=1),
            write(seed, [cost(trained[seed], "int2, trained")], family="two", role="qat"),
            write(seed, [cost(loss - 0.03, "int2, trained")], family="both", role="qat"),
            write(seed, [cost(loss - 0.08)], family="taught", role="student"),
        ]
    # One more seed of the control is no seed of the model.
    paths += [write(4, [cost(9.0), cost(9.0, "int2, rounded")])]
    pruned = {"both-qat": "imp-ticket-1", "taught-student": "imp-ticket-1"}
    table = tabulate(paths, sources={"two-qat": "lstm", "imp-ticket-1": "lstm", **pruned})
    rows = table.frame[table.frame["control"] != ""].set_index("family")
    assert rows["control"].to_dict() == {
        "both": "imp, level 1, int2, rounded",
        "imp": "imp, level 1, equal size, float32",
        "taught": "imp, level 1, float32",
        "two": "dense, int2, rounded",
    }
    assert rows["difference"].to_dict() == pytest.approx({"both": 0.01, "imp": -0.3, "taught": 0.02, "two": -0.08 / 3})
    expected = stats.ttest_1samp([trained[seed] - losses[seed] - 0.05 for seed in losses], 0).confidence_interval(0.95)
    assert rows.loc["two", ["difference_low", "difference_high"]].tolist() == pytest.approx([*expected])
    assert rows[["difference_pairs", "difference_lower"]].to_numpy().tolist() == [[3, 0], [3, 3], [3, 0], [3, 3]]
    assert "two, int2, trained | dense, int2, rounded | −0.027 (−0.065 to +0.011), lower in 3 of 3" in grid_lines(table)


def test_what_does_not_belong_together_is_refused(write):
    dense, ticket = write(1, [cost(5.0)]), write(1, [cost(5.2)], family="imp", role="ticket", level=1)
    with pytest.raises(UserError, match="no footprint of the dense model"):
        footprint.read_footprints([ticket])
    with pytest.raises(UserError, match="a second footprint of the same model and seed"):
        footprint.read_footprints([dense, ticket, dense])
    with pytest.raises(UserError, match="data is 'other', but in .* it is 'corpus'; give files of one data"):
        footprint.read_footprints([dense, write(2, [cost(5.0)], data="other")])
    with pytest.raises(UserError, match=r"corpus--2\.json: epoch is 5, but in .*corpus--1\.json it is 4; give files"):
        footprint.read_footprints([dense, ticket, write(2, [cost(5.0)], epoch=5)])
