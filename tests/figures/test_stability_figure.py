"""The figure of stability: every loss on the lines, and which moment each is of."""

import pytest

from example_products import parse, write_line
from natural_sparsity.figures import stability as figure
from natural_sparsity.figures.style import BAND, Style

MOMENTS = {"late": (4, 0.01), "early": (0, 0.4), "inside": ("step64", 0.1)}


def draw(folder, moments=MOMENTS, seeds=(1, 2, 3), **fields):
    paths = [
        write_line(folder / f"{family}{seed}.json", family, rewind, barrier + seed / 100, seed=seed, **fields)
        for family, (rewind, barrier) in moments.items()
        for seed in seeds
    ]
    with Style().apply():
        return figure.draw(parse(figure, lines=paths), Style())


def read_legend(drawn):
    return [text.get_text() for text in drawn.legends[0].get_texts()]


def test_each_moment_has_a_line_of_the_mean_losses(tmp_path):
    table, drawn = draw(tmp_path)
    [ax] = drawn.axes
    assert read_legend(drawn) == ["initial weights", "step 64", "epoch 4", "mean ± 1 s.d. of 3 seeds"]
    # The peak, half way, is the mean barrier; the ends, 5.0 and 5.2, lie about their mean.
    lines = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 21]
    assert [line[10] for line in lines] == pytest.approx([0.42, 0.12, 0.03])
    assert all((line[0], line[-1]) == pytest.approx((-0.1, 0.1)) for line in lines)
    assert len([band for band in ax.collections if band.get_gid() == BAND]) == 3
    middle = table[table["share"] == 0.5]
    assert middle["sd"].tolist() == pytest.approx([0.01] * 3)
    assert len(table) == 3 * 21 and list(table.columns[:4]) == ["family", "rewind", "share", "loss_above_ends"]
    assert ax.get_ylabel() == "dev loss (nats per token),\nabove the mean of the ends"


def test_one_seed_has_no_band(tmp_path):
    table, drawn = draw(tmp_path, seeds=(1,))
    assert "low" not in table and not drawn.axes[0].collections
    assert read_legend(drawn) == ["initial weights", "step 64", "epoch 4"]


def test_twins_of_one_moment_are_told_apart_by_name(tmp_path):
    _, drawn = draw(tmp_path, {"early": (0, 0.4), "again": (0, 0.3), "late": (4, 0.0)}, kind="addition")
    assert read_legend(drawn)[:3] == ["initial weights (again)", "initial weights (early)", "epoch 4"]
    assert drawn.axes[0].get_ylabel() == "dev loss,\nabove the mean of the ends"
