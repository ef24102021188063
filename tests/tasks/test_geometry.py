"""Where the weights that are left lie, the table of spaces and controls, and its figure."""

import numpy as np
import pandas as pd
import pytest
import torch
from task_chain import TaskChain

from natural_sparsity import files
from natural_sparsity.figures import connectivity
from natural_sparsity.figures.style import Style
from natural_sparsity.sparsify import geometry, spaces

MODULI = {"method": "moduli", "space": "torus", "inhibitor": "dog", "inverted": True, "control": "none"}
MODULI |= {"strength": 0.1, "sparsity": 0.9, "ramp": 3, "tensors": ["embedding", "input", "recurrent", "output"]}
MODULI |= {"role": "moduli"}
CONTROLS = ["none", "permuted", "matched"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The adding problem, with the torus and its controls."""
    chain = TaskChain(tmp_path_factory.mktemp("geometry"), architecture={"hidden": [48]}, steps=80, learning_rate=0.003)
    chain.initialise()
    chain.train("dense0", "dense1", "dense2", "dense3")
    for control in CONTROLS:
        settings = {**MODULI, "control": control, "family": control}
        chain.start(f"{control}0", "dense0", None, **settings)
        chain.train(*(f"{control}{epoch}" for epoch in range(4)), **settings)
    return chain


def test_what_is_left_is_near_where_the_penalty_is_geometric(trained):
    """Published of such runs: K falls from 66 to some 40, distance from 3.8 to some 2.4; permuted, K alone falls."""
    found = {control: trained.evaluate(f"{control}3")["geometry"] for control in CONTROLS}
    assert found["none"]["k_all"] == pytest.approx(66, abs=4)
    assert found["none"]["k_kept"] < 0.8 * found["none"]["k_all"]
    assert found["none"]["distance_kept"] < 0.85 * found["none"]["distance_all"]
    assert found["permuted"]["k_kept"] < 0.8 * found["permuted"]["k_all"]
    for control in ("permuted", "matched"):
        assert found[control]["distance_kept"] == pytest.approx(found[control]["distance_all"], rel=0.12)


def test_geometry_is_counted_from_the_checkpoint(trained):
    """By plain loops over pairs of units."""
    parameters, beside, _, _ = trained.load("none3")
    name = "recurrent.0.weight_hh_l0"
    weight, points = parameters[name].detach(), beside["points." + name]
    kept = [
        float(spaces.distances("torus", points[i : i + 1], points[j : j + 1]))
        for i, j in np.argwhere(weight.numpy() != 0)
    ]
    assert trained.evaluate("none3")["geometry"]["distance_kept"] == pytest.approx(np.mean(kept), rel=1e-5)
    assert trained.evaluate("dense3")["geometry"] == {}


def test_the_table_has_means_and_t_intervals(tmp_path):
    def evaluation(seed, error, **sparsify):
        numbers = {"seed": seed, "cell": "rnn", "error": error, "measures": "decoding error (cm)", "digits": 1}
        where = {"distance_kept": 2.0, "distance_all": 4.0, "k_kept": 40.0, "k_all": 66.0} if sparsify else {}
        return {**numbers, "density": 0.1 if sparsify else 1.0, "sparsify": sparsify, "geometry": where}

    files.write_json(tmp_path / "dense.json", {"evaluations": [evaluation(s, 10.0 + s) for s in (1, 2, 3)]})
    torus = {**MODULI, "family": "torus"}
    files.write_json(tmp_path / "torus.json", {"evaluations": [evaluation(s, 20.0 + s, **torus) for s in (1, 2, 3)]})
    rows = geometry.table([tmp_path / "dense.json", tmp_path / "torus.json"])
    assert rows["family"].tolist() == ["dense", "torus"]
    assert rows["error"].tolist() == [12.0, 22.0]
    assert (rows["high"] - rows["error"]).tolist() == pytest.approx([4.302653 / 3**0.5] * 2, rel=1e-5)
    text = geometry.markdown(rows)
    assert "Decoding error (cm) (95 %)" in text
    line = "| torus, rnn | torus | dog, inverted | none | 0.1 | 3 | 90.0 % | 22.0 (19.5 to 24.5) | 2.00 / 4.00 |"
    assert line in text


def test_the_figure_has_the_shares_of_kept_and_of_all_pairs(trained, tmp_path):
    paths = [trained.paths(f"{control}3") for control in CONTROLS]
    table = connectivity.table([path for path, _ in paths], [state for _, state in paths], ["torus", *CONTROLS[1:]])
    assert list(dict.fromkeys(table["model"])) == ["torus", "permuted", "matched"]
    assert table.groupby("model")[["kept", "all"]].sum().to_numpy() == pytest.approx(np.ones((3, 2)))
    near = table[(table["model"] == "torus") & (table["distance"] < 1.5)]
    assert near["kept"].sum() > 1.5 * near["all"].sum()
    figure = connectivity.draw(table, Style())
    assert [ax.get_title() for ax in figure.axes] == ["torus", "permuted (torus)", "matched (torus)"]
    assert isinstance(table, pd.DataFrame) and torch.is_tensor(trained.load("none3")[0]["output.bias"])
