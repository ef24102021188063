"""The figure of structures draws every gate of the first seed of each run."""

import numpy as np
import pandas as pd
import pytest

from example_products import RUN
from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.figures import structure
from natural_sparsity.figures.style import Style
from natural_sparsity.model.gates import GATES, READING


def write_structure(path, model, seed, statuses):
    """A structure whose layers have the ``statuses`` (gates, neurons) given."""
    layers = []
    for status in statuses:
        low = np.arange(status.size).reshape(status.shape) / 100
        values = {"status": status, "low": low, "high": low + seed}
        layers.append({key: dict(zip(GATES, array.tolist(), strict=True)) for key, array in values.items()})
    files.write_json(path, {**RUN, "model": model, "seed": seed, "layers": layers})
    return path


@pytest.fixture
def paths(tmp_path):
    """A dense model, two seeds of a sparse one; the second seed comes first."""
    random = np.random.default_rng(0)
    whole = [np.full((4, width), READING) for width in (5, 7)]
    pruned = [[random.integers(0, 3, (4, width)) for width in (5, 7)] for _ in range(2)]
    return [
        write_structure(tmp_path / "dense.json", "dense", 1, whole),
        write_structure(tmp_path / "second.json", "sparse", 2, pruned[1]),
        write_structure(tmp_path / "first.json", "sparse", 1, pruned[0]),
    ]


def test_the_figure_draws_every_gate_of_the_structures(paths, tmp_path):
    table = structure.list_gates(paths)
    assert len(table) == 2 * 4 * (5 + 7)
    assert set(table[table["model"] == "dense"]["status"]) == {"reads its input"}
    layers = files.read_json(paths[2], ["layers"])["layers"]
    sparse = table[table["model"] == "sparse"]
    assert sparse["seed"].unique().tolist() == [1]
    for row in sparse.itertuples():
        layer = layers[row.layer - 1]
        assert structure.STATUS[layer["status"][row.gate][row.neuron]] == row.status
        assert (layer["low"][row.gate][row.neuron], layer["high"][row.gate][row.neuron]) == (row.low, row.high)
    main(["draw", "structure", "--structures", *map(str, paths), "--output", f"{tmp_path}/drawn"])
    assert (tmp_path / "drawn.png").stat().st_size > 1000
    assert len(pd.read_csv(tmp_path / "drawn.csv")) == len(table)


def test_panels_are_called_by_run_and_layer_and_count_what_reads(paths):
    table = structure.list_gates(paths)
    with Style().apply():
        figure = structure.plot(table, Style())
    titles = [f"corpus/{model}, layer {layer}" for model in ("dense", "sparse") for layer in (1, 2)]
    assert [ax.get_title(loc="left") for ax in figure.axes] == titles
    assert [text.get_text() for text in figure.axes[1].texts] == ["7"] * 4


def test_a_model_of_one_layer_next_to_one_of_two_leaves_a_panel_empty(paths, tmp_path):
    one = write_structure(tmp_path / "one.json", "one", 1, [np.full((4, 3), READING)])
    with Style().apply():
        figure = structure.plot(structure.list_gates([paths[0], one]), Style())
    assert [ax.axison for ax in figure.axes] == [True, True, True, False]
