"""The figures of models whose units lie in a space: distances, and the strongest weights as lines."""

import numpy as np
import pandas as pd
import pytest
import torch

from chains import TENSORS, Chain, call
from natural_sparsity.cli import main
from natural_sparsity.figures import connectivity, network
from natural_sparsity.figures.style import Style
from natural_sparsity.methods import spaces, start

MODULI = {"method": "moduli", "space": "torus", "inhibitor": "dog", "inverted": True, "control": "none"}
MODULI |= {"strength": 0.1, "sparsity": 0.9, "ramp": 3, "tensors": TENSORS, "role": "moduli"}
NAMES = {"none": "torus", "permuted": "permuted", "matched": "matched"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The adding problem, with the torus and its controls; models are called by :data:`NAMES`."""
    folder = tmp_path_factory.mktemp("spaces")
    chain = Chain(folder, "addition", architecture={"hidden": [48]}, steps=80, learning_rate=0.003)
    chain.initialise()
    for control, name in NAMES.items():
        settings = {**MODULI, "control": control, "family": name}
        call(start, **{"from": chain.path("dense0")}, model=name, sparsify=settings, checkpoint=chain.path(f"{name}0"))
        chain.train(*(f"{name}{epoch}" for epoch in range(4)), **settings)
    return chain


def folders(trained):
    """The last checkpoints; the first once more at the end."""
    return [trained.path(f"{name}3") for name in [*NAMES.values(), "torus"]]


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
    for begin, end, distance in zip(a.double().numpy(), b.double().numpy(), distances.tolist(), strict=True):
        parts = network.find_flat_lines(space, begin, end)
        assert sum(map(inside, parts)) == pytest.approx(distance, abs=2e-3)
        assert any(np.allclose(line[0], begin) for line in parts)
        assert any(np.allclose(line[1], end, atol=1e-5) for line in parts)
        wrapped += len(parts) > 1
    assert wrapped > 10


def test_the_map_of_the_sphere_keeps_areas_and_cuts_lines_at_its_border():
    points = spaces.points("sphere", 20000, torch.Generator().manual_seed(1)).double().numpy()
    x, y = network.project(points).T
    assert ((x / np.sqrt(8)) ** 2 + (y / np.sqrt(2)) ** 2 <= 1 + 1e-9).all()
    # A circle of radius 1 around the middle has a quarter of the ellipse's area, π of 4π.
    assert np.mean(x**2 + y**2 < 1) == pytest.approx(1 / 4, abs=0.01)
    behind = np.array([[-0.9, 0.3, 0.3], [-0.9, -0.3, 0.3]]) / np.sqrt(0.99)
    first, second = network.find_arcs(*behind)
    assert np.allclose(first[0], network.project(behind[0])) and np.allclose(second[-1], network.project(behind[1]))
    assert all(np.abs(np.diff(part, axis=0)).max() < 0.2 for part in (first, second))


def test_the_network_has_the_strongest_weights_of_the_first_checkpoint(trained):
    table = network.list_weights([trained.path("torus3"), trained.path("torus1"), trained.path("permuted3")])
    assert table["model"].unique().tolist() == ["torus", "permuted"]
    assert table["seed"].unique().tolist() == [3]
    for name in ("torus", "permuted"):
        part = table[(table["model"] == name) & table["target"].notna()]
        weight = trained.load(f"{name}3")[0]["recurrent.0.weight_hh_l0"].detach()
        expected = sorted((w for w in weight.flatten().abs().tolist() if w), reverse=True)[: network.STRONGEST]
        assert part["weight"].abs().tolist() == pytest.approx(expected)
        for target, source, value in part[["target", "source", "weight"]].itertuples(index=False):
            assert float(weight[int(target), int(source)]) == pytest.approx(value)
    figure = network.plot(table, Style())
    assert [ax.get_title() for ax in figure.axes] == ["torus", "permuted (torus)"]


def test_spaces_of_more_dimensions_are_named_and_not_drawn():
    table = pd.DataFrame([{"model": "six", "space": "torus6", "seed": 1}])
    table = table.reindex(columns=["model", "space", "seed", "source", "target", "weight", "x", "y", "z"])
    figure = network.plot(table, Style())
    assert figure.axes == []
    assert figure.get_supxlabel() == "not drawn: six (6 dimensions)"


def test_the_figure_has_the_shares_of_kept_and_of_all_pairs(trained):
    table = connectivity.count_pairs(folders(trained))
    assert list(dict.fromkeys(table["model"])) == ["torus", "permuted", "matched"]
    assert table.groupby("model")[["kept", "all"]].sum().to_numpy() == pytest.approx(np.ones((3, 2)))
    near = table[(table["model"] == "torus") & (table["distance"] < 1.5)]
    assert near["kept"].sum() > 1.5 * near["all"].sum()
    figure = connectivity.plot(table, Style())
    assert [ax.get_title() for ax in figure.axes] == ["torus", "permuted (torus)", "matched (torus)"]


@pytest.mark.parametrize("figure", ["connectivity", "network"])
def test_the_commands_take_folders(trained, tmp_path, figure):
    given = ["--checkpoint", *map(str, folders(trained)), "--output", f"{tmp_path}/out"]
    main(["draw", figure, *given])
    assert set(pd.read_csv(tmp_path / "out.csv")["model"]) == set(NAMES.values())
    with pytest.raises(SystemExit, match="dense0: no units in a space, here or in the others; give models of moduli"):
        main(["draw", figure, "--checkpoint", str(trained.path("dense0")), "--output", f"{tmp_path}/none"])
    assert not (tmp_path / "none.csv").exists()
