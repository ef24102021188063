"""The figure of pruned models by density: every number of its table, and what matches."""

import math

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from example_products import ACCURACY, tabulate, write_evaluation, write_state
from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.figures import lottery as figure
from natural_sparsity.figures.style import Style
from natural_sparsity.tables import lottery, writer

LOSSES = {
    ("dense", 0): [5.00, 5.04, 5.02],
    ("ticket", 1): [5.01, 5.05, 5.03],
    ("random_mask", 1): [5.21, 5.26, 5.24],
    ("random_init", 1): [5.01, 5.06, 5.02],
    ("ticket", 2): [5.30, 5.36, 5.31],
    ("random_mask", 2): [5.50, 5.57, 5.53],
}


def make_table(folder, **measure):
    """The lottery-ticket table of one family."""
    paths, states = [], []
    for (role, level), losses in LOSSES.items():
        sparsify = {"family": "imp", "method": "iterative", "role": role, "level": level} if level else {}
        for seed, loss in enumerate(losses, 1):
            scores = {
                "loss": loss,
                "score": loss / 10 if measure else math.exp(loss),
                "nonzero": round(1000 * 0.4**level),
                **measure,
            }
            paths.append(
                write_evaluation(folder / f"{role}{level}-{seed}.json", seed=seed, sparsify=sparsify, **scores)
            )
            states.append(write_state(folder / f"{role}{level}-{seed}.state.json", seed=seed, sparsify=sparsify))
    return tabulate(lottery, evaluations=paths, checkpoints=states)


def test_the_figure_has_every_number_and_marks_what_matches(tmp_path):
    table = make_table(tmp_path)
    writer.write(table, "Lottery", tmp_path / "t")
    main(["draw", "lottery", "--lottery", f"{tmp_path}/t.parquet", "--output", f"{tmp_path}/lottery"])
    drawn = pd.read_csv(tmp_path / "lottery.csv", keep_default_na=False)
    assert len(drawn) == 6
    assert drawn["score"].tolist() == table.frame["score"].tolist()
    assert (tmp_path / "lottery.png").stat().st_size > 10_000
    assert (tmp_path / "lottery.pdf").exists()
    with Style().apply():
        panel = figure.plot(figure.read_table(tmp_path / "t.parquet"), Style()).axes[0]
    filled = [line for line in panel.lines if line.get_linestyle() == "None" and line.get_markerfacecolor() != "white"]
    matching = table.frame[table.frame["matching"] == "yes"]
    points = [value for line in filled if line.get_marker() in "os^Dpv" for value in line.get_ydata()]
    assert sorted(points) == pytest.approx(sorted(matching["score"]))
    files.write_parquet(tmp_path / "other.parquet", pd.DataFrame({"a": [1]}))
    with pytest.raises(SystemExit, match=r"other\.parquet: no column 'family'"):
        main(["draw", "lottery", "--lottery", f"{tmp_path}/other.parquet", "--output", f"{tmp_path}/x"])


@pytest.mark.parametrize(("measure", "label"), [({}, "perplexity (test)"), (ACCURACY, "accuracy (test)")])
def test_the_axis_is_called_by_the_measure(tmp_path, measure, label):
    writer.write(make_table(tmp_path, **measure), "Lottery", tmp_path / "t")
    with Style().apply():
        drawn = figure.plot(figure.read_table(tmp_path / "t.parquet"), Style())
    assert drawn.axes[0].get_ylabel() == label


def test_the_legend_lies_within_the_figure(tmp_path):
    one = make_table(tmp_path).frame
    gradual = one[one["role"] == "ticket"].assign(family="other", role="gradual")
    for table, labels in ((one, set()), (pd.concat([one, gradual]), {"pruned in training"})):
        style = Style()
        with style.apply():
            drawn = figure.plot(table, style)
            FigureCanvasAgg(drawn).draw()
            box = drawn.legends[0].get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= drawn.bbox.x1
            always = {"ticket", "random mask", "random weights", "filled: matching", "dense, 95 %"}
            assert {text.get_text() for text in drawn.legends[0].get_texts()} == always | labels
