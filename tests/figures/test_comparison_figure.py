"""The figure of runs side by side: a panel for each, at its top layer, seeds averaged."""

import numpy as np
import pandas as pd
import pytest

from example_products import describe_depth, write_correlations
from natural_sparsity.figures import comparison
from natural_sparsity.figures.style import Style

RUNS = [
    ("wiki", "lstm", 1, "frozen"),
    ("wiki", "lstm", 2, "frozen"),
    ("wiki", "lstm", 1, "dev"),
    ("news", "gru", 1, "dev"),
]
TENSORS = describe_depth(2)
EPOCHS = [0, 1, 2, 3]


def rho(i, epoch, tensor, measure, tensors=TENSORS):
    """A value that names its place."""
    return i / 10 + epoch / 100 + tensors.index(tensor) / 1000 + (measure == "gini") / 2


def write_run(folder, i, data, model, seed, condition, tensors=TENSORS):
    """The correlations of one run; another role's are decoys."""
    axes = [EPOCHS, ["target", "input"], tensors, ["chi", "gini"], ["all", "open"], ["pearson"]]
    names = ["epoch", "role", "tensor", "measure", "words", "statistic"]
    frame = pd.MultiIndex.from_product(axes, names=names).to_frame(index=False)
    right = (frame["role"] == "target") & (frame["words"] == "all")
    places = frame[["epoch", "tensor", "measure"]].itertuples(index=False)
    frame["value"] = np.where(right, [rho(i, *place, tensors) for place in places], 9.0)
    frame = frame.assign(low=frame["value"] - 0.1, high=frame["value"] + 0.2, n=7)
    run = {"data": data, "model": model, "seed": seed, "condition": condition}
    return write_correlations(folder / f"{i}.parquet", frame, **run)


@pytest.fixture
def paths(tmp_path):
    return [write_run(tmp_path, i, *run) for i, run in enumerate(RUNS)]


@pytest.mark.parametrize("measure", ["chi", "gini"])
def test_the_figure_has_a_panel_a_run_and_condition_and_seeds_are_averaged(paths, measure):
    table = comparison.select_points(paths, measure, "pearson")
    with Style().apply():
        figure = comparison.plot(table, Style(), measure)
        figure.draw_without_rendering()
    panels = [ax for ax in figure.axes if ax.get_visible()]
    titles = ["wiki\nlstm\nfrozen, 2 seeds", "wiki\nlstm\ndev", "news\ngru\ndev"]
    assert [ax.get_title() for ax in panels] == titles
    for ax, members in zip(panels, ([0, 1], [2], [3]), strict=True):
        lines = {str(line.get_gid()).rpartition(" ")[2]: line for line in ax.get_lines() if line.get_gid()}
        assert set(lines) == {"grad_h_2", "h_2", "grad_x"}
        for tensor, line in lines.items():
            expected = [np.mean([rho(i, epoch, tensor, measure) for i in members]) for epoch in EPOCHS]
            np.testing.assert_allclose(line.get_ydata(), expected)
        assert ax.get_xlabel() == "epoch (0: untrained)" and 0 in ax.get_xticks()
    assert len({ax.get_ylim() for ax in panels}) == 1


@pytest.mark.parametrize("layers", [1, 3])
def test_models_of_several_depths_are_drawn_at_their_top_layers(paths, tmp_path, layers):
    tensors = describe_depth(layers)
    deep = write_run(tmp_path, 9, "wiki", "deep", 1, "frozen", tensors)
    top = f"h_{layers}"
    table = comparison.select_points([*paths[:2], deep], "chi", "pearson")
    part = table[table["model"] == "deep"]
    assert set(part["tensor"]) == {top, f"grad_{top}", "grad_x"}
    assert part.query("tensor == @top and epoch == 2")["rho"].item() == pytest.approx(rho(9, 2, top, "chi", tensors))
    for chosen, symbol in ((table, "h^L"), (part, f"h^{layers}")):
        with Style().apply():
            figure = comparison.plot(chosen, Style())
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert names[:3] == [rf"$\nabla {symbol}$", f"${symbol}$", r"$\nabla x$"]


@pytest.mark.parametrize("runs", [1, 2, 5, 12])
def test_the_figure_keeps_titles_apart_and_inside(tmp_path, runs):
    paths = [write_run(tmp_path, i, f"enwiki-extracted{i}", "lstm-dropout", 1, "frozen") for i in range(runs)]
    table = comparison.select_points(paths, "chi", "pearson")
    with Style().apply():
        figure = comparison.plot(table, Style())
        figure.draw_without_rendering()
    label = figure._supylabel.get_window_extent()
    assert figure.bbox.x0 <= label.x0 and label.x1 <= min(ax.get_window_extent().x0 for ax in figure.axes)
    boxes = [ax.title.get_window_extent() for ax in figure.axes if ax.get_visible()]
    assert len(boxes) == runs
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize("runs", [1, 2])
def test_the_legend_of_several_seeds_stays_inside(tmp_path, runs):
    paths = [
        write_run(tmp_path, 10 * i + seed, f"news{i}", "lstm", seed, "frozen") for i in range(runs) for seed in (1, 2)
    ]
    with Style().apply():
        figure = comparison.plot(comparison.select_points(paths, "chi", "pearson"), Style())
        figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert "mean ± 1 s.d.\nof seeds" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
