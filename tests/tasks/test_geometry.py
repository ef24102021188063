"""Where the weights that are left lie, the table of spaces and controls, and its figure."""

import numpy as np
import pandas as pd
import pytest
import torch
from task_chain import TaskChain

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.figures import connectivity, network
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
    rows = geometry.table([tmp_path / "dense.json", tmp_path / "torus.json"], ["walker", "torus"])
    assert rows["family"].tolist() == ["walker", "torus"]
    assert rows["error"].tolist() == [12.0, 22.0]
    assert (rows["high"] - rows["error"]).tolist() == pytest.approx([4.302653 / 3**0.5] * 2, rel=1e-5)
    text = geometry.markdown(rows)
    assert "Decoding error (cm) (95 %)" in text
    assert "| walker (dense), rnn |  |  |  |  | 3 | 0.0 % | 12.0 (9.5 to 14.5) |  |  |" in text
    line = "| torus, rnn | torus | dog, inverted | none | 0.1 | 3 | 90.0 % | 22.0 (19.5 to 24.5) | 2.00 / 4.00 |"
    assert line in text


def test_perplexities_are_of_mean_and_interval_of_the_loss(tmp_path):
    """As in the other tables of language models; by hand, mean 2 and t interval ± 2.4841 of 1, 2 and 3."""
    of = [
        {"seed": s, "cell": "lstm", "loss": float(s), "perplexity": np.exp(s), "density": 1.0, "sparsify": {}}
        for s in (1, 2, 3)
    ]
    files.write_json(tmp_path / "dense.json", {"evaluations": [{**one, "geometry": {}} for one in of]})
    rows = geometry.table([tmp_path / "dense.json"], ["small"])
    assert np.log(rows.loc[0, ["low", "error", "high"]].astype(float)).tolist() == pytest.approx(
        [2 - 2.484138, 2, 2 + 2.484138], rel=1e-5
    )
    assert "| Perplexity (95 %) |" in geometry.markdown(rows)


def test_two_dense_models_of_one_cell_have_a_row_each(tmp_path):
    one = {"seed": 1, "cell": "rnn", "measures": "mean squared error", "digits": 4, "density": 1.0, "sparsify": {}}
    for name, error in (("narrow", 0.2), ("wide", 0.1)):
        files.write_json(tmp_path / f"{name}.json", {"evaluations": [{**one, "error": error, "geometry": {}}]})
    paths = [tmp_path / "narrow.json", tmp_path / "wide.json"]
    rows = geometry.table(paths, ["narrow", "wide"]).set_index("family")
    assert rows["error"].to_dict() == {"narrow": 0.2, "wide": 0.1}
    with pytest.raises(UserError, match="a model and seed are given twice"):
        geometry.table(paths, ["narrow", "narrow"])
    with pytest.raises(UserError, match="names 2 files and --models 1"):
        geometry.table(paths, ["narrow"])


def inside(line):
    """The length of the part of a line that lies in the square, by walking along it."""
    steps = np.linspace(line[0], line[1], 20001)
    middles = (steps[1:] + steps[:-1]) / 2
    within = ((middles > 0) & (middles < spaces.SIDE)).all(1)
    return np.linalg.norm(np.diff(steps, axis=0), axis=1)[within].sum()


@pytest.mark.parametrize("space", ["torus", "klein"])
def test_lines_go_the_shortest_way_and_their_parts_lie_in_the_square(space):
    generator = torch.Generator().manual_seed(1)
    a, b = spaces.points(space, 40, generator), spaces.points(space, 40, generator)
    distances = spaces.distances(space, a, b).diagonal()
    wrapped = 0
    for start, end, distance in zip(a.double().numpy(), b.double().numpy(), distances.tolist(), strict=True):
        parts = network.flat_lines(space, start, end)
        assert sum(map(inside, parts)) == pytest.approx(distance, abs=2e-3)
        assert any(np.allclose(line[0], start) for line in parts)
        assert any(np.allclose(line[1], end, atol=1e-5) for line in parts)
        wrapped += len(parts) > 1
    assert wrapped > 10


def test_the_map_of_the_sphere_keeps_areas_and_cuts_lines_at_its_border():
    points = spaces.points("sphere", 20000, torch.Generator().manual_seed(1)).double().numpy()
    x, y = network.hammer(points).T
    assert ((x / np.sqrt(8)) ** 2 + (y / np.sqrt(2)) ** 2 <= 1 + 1e-9).all()
    # A circle of radius 1 around the middle has a quarter of the ellipse's area, π of 4π.
    assert np.mean(x**2 + y**2 < 1) == pytest.approx(1 / 4, abs=0.01)
    behind = np.array([[-0.9, 0.3, 0.3], [-0.9, -0.3, 0.3]]) / np.sqrt(0.99)
    first, second = network.arcs(*behind)
    assert np.allclose(first[0], network.hammer(behind[0])) and np.allclose(second[-1], network.hammer(behind[1]))
    assert all(np.abs(np.diff(part, axis=0)).max() < 0.2 for part in (first, second))


def test_the_network_has_the_strongest_weights_of_the_first_checkpoint(trained):
    paths = [trained.paths(f"{control}3") for control in CONTROLS]
    names = ["torus", "permuted", "permuted"]
    table = network.table([path for path, _ in paths], [state for _, state in paths], names)
    assert table["model"].unique().tolist() == ["torus", "permuted"]
    for name, control in (("torus", "none"), ("permuted", "permuted")):
        part = table[(table["model"] == name) & table["target"].notna()]
        weight = trained.load(f"{control}3")[0]["recurrent.0.weight_hh_l0"].detach()
        expected = sorted((w for w in weight.flatten().abs().tolist() if w), reverse=True)[: network.STRONGEST]
        assert part["weight"].abs().tolist() == pytest.approx(expected)
        for target, source, value in part[["target", "source", "weight"]].itertuples(index=False):
            assert float(weight[int(target), int(source)]) == pytest.approx(value)
    figure = network.draw(table, Style())
    assert [ax.get_title() for ax in figure.axes] == ["torus", "permuted (torus)"]


def test_spaces_of_more_dimensions_are_named_and_not_drawn():
    table = pd.DataFrame([{"model": "six", "space": "torus6", "seed": 1}])
    table = table.reindex(columns=["model", "space", "seed", "source", "target", "weight", "x", "y", "z"])
    figure = network.draw(table, Style())
    assert figure.axes == []
    assert figure.get_supxlabel() == "not drawn: six (6 dimensions)"


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
