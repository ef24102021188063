"""The lottery-ticket table and its figure: counts, verdicts and intervals."""

import argparse
import math

import numpy as np
import pandas as pd
import pytest
import torch
from chains import TICKET
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import stats

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.figures import draw
from natural_sparsity.figures import lottery as figures_lottery
from natural_sparsity.figures.style import Style
from natural_sparsity.sparsify import evaluate, lottery

DENSE = [5.00, 5.04, 5.02]


def evaluation(loss, seed, role="dense", level=0, epoch=6):
    density = 0.4**level
    of = {"family": "imp", "method": "iterative", "role": role, "level": level} if level else {}
    return {"seed": seed, "epoch": epoch, "sparsify": of, "loss": loss, "density": density, "weights": 1000} | {
        "nonzero": round(1000 * density)
    }


@pytest.fixture
def write(tmp_path):
    def write(*groups):
        paths = []
        for i, group in enumerate(groups):
            paths.append(tmp_path / f"{i}.json")
            files.write_json(paths[-1], {"evaluations": group})
        return paths

    return write


def group(losses, *of):
    return [evaluation(loss, seed, *of) for seed, loss in enumerate(losses, 1)]


def levels():
    yield group(DENSE)
    yield group([5.01, 5.05, 5.03], "ticket", 1)
    yield group([5.21, 5.26, 5.24], "random_mask", 1)
    yield group([5.01, 5.06, 5.02], "random_init", 1)
    yield group([5.30, 5.36, 5.31], "ticket", 2)
    yield group([5.50, 5.57, 5.53], "random_mask", 2)


def test_verdicts(write):
    rows = lottery.table(lottery.read_evaluations(write(*levels()))).set_index(["role", "level"])
    # 0.01 above the dense model's mean, whose spread over seeds is 0.02.
    assert rows.loc[("ticket", 1), "matching"] == "yes"
    assert rows.loc[("random_init", 1), "matching"] == "yes"
    assert rows.loc[("ticket", 2), "matching"] == rows.loc[("random_mask", 1), "matching"] == "no"
    assert rows.loc[("ticket", 1), "beats_controls"] == "no", "random weights on the same mask are as good"
    assert rows.loc[("ticket", 2), "beats_controls"] == "yes"
    assert rows.loc[("dense", 0), ["matching", "beats_controls"]].tolist() == ["", ""]


def test_differences_are_taken_seed_by_seed(write):
    rows = lottery.table(lottery.read_evaluations(write(*levels()))).set_index(["role", "level"])
    row = rows.loc[("ticket", 2)]
    expected = stats.ttest_rel([5.30, 5.36, 5.31], DENSE).confidence_interval(0.95)
    assert (row["excess_low"], row["excess_high"]) == pytest.approx(tuple(expected))
    assert row["perplexity"] == pytest.approx(math.exp(np.mean([5.30, 5.36, 5.31])))
    assert (row["nonzero"], row["seeds"], row["density"]) == (160, 3, pytest.approx(0.16))


def test_one_seed_gives_no_verdict(write):
    rows = lottery.table(lottery.read_evaluations(write(*([part[0]] for part in levels()))))
    tickets = rows[rows["role"] == "ticket"]
    assert set(tickets["matching"]) == set(tickets["beats_controls"]) == {"not testable: one seed"}
    assert rows["low"].isna().all()
    assert "nan" not in lottery.markdown(rows)


def test_what_cannot_be_compared_is_refused(write):
    with pytest.raises(UserError, match="no evaluation of the dense model"):
        lottery.read_evaluations(write(group(DENSE, "ticket", 1)))
    with pytest.raises(UserError, match="a second evaluation"):
        lottery.read_evaluations(write(group(DENSE), group(DENSE)))
    with pytest.raises(UserError, match="after 6 epochs, others"):
        lottery.read_evaluations(write(group(DENSE), [evaluation(5, 1, "ticket", 1, 7)]))


def test_the_figure_has_every_number_and_marks_what_matches(write, tmp_path):
    paths = write(*levels())
    lottery.run(argparse.Namespace(evaluations=paths, csv=tmp_path / "t.csv", markdown=tmp_path / "t.md"))
    lines = (tmp_path / "t.md").read_text().splitlines()
    assert len(lines[0].split("|")) == len(lines[2].split("|")) == 11
    assert sum(line.startswith("| imp | ticket |") for line in lines) == 2
    arguments = {"figure": "lottery", "lottery": tmp_path / "t.csv", "style": None, "output": tmp_path / "lottery"}
    draw.run(argparse.Namespace(**arguments))
    drawn = pd.read_csv(tmp_path / "lottery.csv", keep_default_na=False)
    assert len(drawn) == 6
    assert (tmp_path / "lottery.png").stat().st_size > 10_000
    assert (tmp_path / "lottery.pdf").exists()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="not a lottery-ticket table"):
        draw.run(argparse.Namespace(**{**arguments, "lottery": tmp_path / "other.csv"}))


def test_the_legend_lies_within_the_figure(write):
    one = lottery.table(lottery.read_evaluations(write(*levels())))
    gradual = one[one["role"] == "ticket"].assign(family="other", role="gradual")
    for table, labels in ((one, set()), (pd.concat([one, gradual]), {"pruned in training"})):
        style = Style()
        with style.applied():
            figure = figures_lottery.draw(table, style)
            FigureCanvasAgg(figure).draw()
            box = figure.legends[0].get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1
            always = {"ticket", "random mask", "random weights", "filled: matching", "dense, 95 %"}
            assert {text.get_text() for text in figure.legends[0].get_texts()} == always | labels


def test_evaluation_counts_what_a_reload_gives(chain, tmp_path):
    parameters, state = zip(*(chain.paths(name) for name in ("dense3", "level2-3")), strict=True)
    arguments = {"tokens": chain.folder / "dev.npy", "parameters": parameters, "state": state, "batch": 5, "window": 9}
    evaluate.run(argparse.Namespace(**arguments, device="cpu", threads=1, output=tmp_path / "e.json"))
    dense, ticket = files.read_json(tmp_path / "e.json")["evaluations"]
    weights, masks, _ = chain.load("level2-3")
    assert dense["nonzero"] == dense["weights"] == ticket["weights"] == sum(mask.numel() for mask in masks.values())
    assert ticket["nonzero"] == sum(int(torch.count_nonzero(weights[name])) for name in masks)
    assert ticket["density"] == pytest.approx(0.25, abs=0.005)
    assert ticket["sparsify"] == {**TICKET, "density": 0.25}
    assert dense["perplexity"] == pytest.approx(math.exp(dense["loss"]))
    assert dense["loss"] != ticket["loss"]
