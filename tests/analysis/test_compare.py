"""Runs side by side: each value where it belongs, and files that do not belong together refused."""

import math

import numpy as np
import pandas as pd
import pytest

from natural_sparsity.cli import main
from natural_sparsity.figures import comparison
from natural_sparsity.figures.style import Style
from natural_sparsity.files import write_json, write_parquet

RUNS = [
    ("wiki", "lstm", 1, "frozen"),
    ("wiki", "lstm", 2, "frozen"),
    ("wiki", "lstm", 1, "dev"),
    ("news", "gru", 1, "dev"),
]
TENSORS = ["h_e", "h_1", "h_2", "x", "grad_h_e", "grad_h_1", "grad_h_2", "grad_x"]
EPOCHS = [1, 2, 3]
KINDS = {"correlations": "parquet", "claims": "csv", "checkpoints": "json", "summaries": "summary"}


def rho(i, epoch, tensor, measure):
    """A value that names its place."""
    return i / 10 + epoch / 100 + TENSORS.index(tensor) / 1000 + (measure == "gini") / 2


@pytest.fixture
def folder(tmp_path):
    for i, (corpus, model, seed, condition) in enumerate(RUNS):
        axes = [EPOCHS, ["target", "input"], TENSORS, ["chi", "gini", "l1"], ["all", "open"], ["pearson", "spearman"]]
        names = ["epoch", "role", "tensor", "measure", "words", "statistic"]
        frame = pd.MultiIndex.from_product(axes, names=names).to_frame(index=False)
        right = (frame["role"] == "target") & (frame["words"] == "all") & (frame["statistic"] == "pearson")
        places = frame[["epoch", "tensor", "measure"]].itertuples(index=False)
        frame["value"] = np.where(right, [rho(i, *place) for place in places], 9.0)
        frame = frame.assign(
            low=frame["value"] - 0.1, high=frame["value"] + 0.2, n=7, run=f"{corpus}/{model}/seed{seed}"
        )
        write_parquet(tmp_path / f"{i}.parquet", frame, {"condition": condition})
        write_json(tmp_path / f"{i}.json", {"epoch": 3, "seed": seed, "train_loss": 2.0 + i, "dev_loss": 3.0 + i})
        write_json(tmp_path / f"{i}.summary", {"vocabulary": 1000 + i, "train_tokens": 50_000 + i})
        verdicts = ["reproduced"] * i + ["not reproduced", "not reproduced", "not testable here"]
        claims = [{"claim": f"c{k}", "verdict": verdict} for k, verdict in enumerate(verdicts)]
        pd.DataFrame(claims + claims[-1:]).to_csv(tmp_path / f"{i}.csv", index=False)  # two pieces of evidence
    return tmp_path


def command(folder, **changed):
    files = {kind: [f"{folder}/{i}.{suffix}" for i in range(len(RUNS))] for kind, suffix in KINDS.items()} | changed
    arguments = [part for kind, paths in files.items() for part in (f"--{kind}", *paths)]
    return ["compare", *arguments, "--csv", f"{folder}/out.csv", "--markdown", f"{folder}/out.md"]


def test_every_row_has_its_own_runs_numbers(folder):
    main(command(folder))
    table = pd.read_csv(folder / "out.csv")
    assert len(table) == 2 * len(RUNS)
    for i, names in enumerate(RUNS):
        for measure in ("chi", "gini"):
            match = table[(table[["corpus", "model", "seed", "condition"]] == list(names)).all(axis=1)]
            row = match[match["measure"] == measure].iloc[0]
            assert row["grad_h_2_first"] == pytest.approx(rho(i, 1, "grad_h_2", measure))
            assert row["grad_h_2_last"] == pytest.approx(rho(i, 3, "grad_h_2", measure))
            assert row["h_2_last_low"] == pytest.approx(rho(i, 3, "h_2", measure) - 0.1)
            assert row["grad_x_last_high"] == pytest.approx(rho(i, 3, "grad_x", measure) + 0.2)
            assert (row["types"], row["train_tokens"], row["epochs"]) == (1000 + i, 50_000 + i, 3)
            assert row["dev_perplexity"] == pytest.approx(math.exp(3 + i))
            verdicts = row[["reproduced", "not reproduced", "not testable here"]]
            assert verdicts.tolist() == [i, 2, 1] if measure == "chi" else verdicts.isna().all()
    lines = (folder / "out.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(table) and {line.count("|") for line in lines} == {13}
    assert "| wiki/lstm/seed2 | frozen | chi | 1,001 | 50,001 | 3 | 20.1 / 54.6 | 0.12 [0.02, 0.32] | " in lines[4]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"checkpoints": ["0.json", "0.json", "2.json", "3.json"]}, r"0\.json: is not of seed2 and epoch 3"),
        ({"claims": ["0.csv"]}, "4, 1, 4, 4 files; give as many of each kind"),
        ({kind: [f"0.{suffix}"] * 2 for kind, suffix in KINDS.items()}, "wiki/lstm/1/frozen/chi is given twice"),
        ({"claims": ["0.json", "1.csv", "2.csv", "3.csv"]}, r"0\.json: no claims table"),
    ],
)
def test_what_does_not_belong_together_is_refused(folder, changed, message):
    changed = {kind: [f"{folder}/{name}" for name in names] for kind, names in changed.items()}
    with pytest.raises(SystemExit, match=message):
        main(command(folder, **changed))
    assert not (folder / "out.csv").exists()


@pytest.mark.parametrize("measure", ["chi", "gini"])
def test_the_figure_has_a_panel_a_run_and_condition_and_seeds_are_averaged(folder, measure):
    table = comparison.table([folder / f"{i}.parquet" for i in range(len(RUNS))], measure, "pearson")
    with Style().applied():
        figure = comparison.draw(table, Style(), measure)
        figure.draw_without_rendering()
    panels = [ax for ax in figure.axes if ax.get_visible()]
    titles = ["wiki\nlstm, frozen, 2 seeds", "wiki\nlstm, dev", "news\ngru, dev"]
    assert [ax.get_title() for ax in panels] == titles
    for ax, members in zip(panels, ([0, 1], [2], [3]), strict=True):
        lines = {str(line.get_gid()).rpartition(" ")[2]: line for line in ax.get_lines() if line.get_gid()}
        assert set(lines) == {"grad_h_2", "h_2", "grad_x"}
        for tensor, line in lines.items():
            expected = [np.mean([rho(i, epoch, tensor, measure) for i in members]) for epoch in EPOCHS]
            np.testing.assert_allclose(line.get_ydata(), expected)
    assert len({ax.get_ylim() for ax in panels}) == 1


@pytest.mark.parametrize("runs", [1, 2, 5, 12])
def test_the_figure_keeps_titles_apart_and_inside(folder, runs):
    frame = pd.read_parquet(folder / "0.parquet")
    for i in range(runs):
        run = f"enwiki-extracted{i}/lstm-dropout/seed1"
        write_parquet(folder / f"many{i}.parquet", frame.assign(run=run), {"condition": "frozen"})
    table = comparison.table([folder / f"many{i}.parquet" for i in range(runs)], "chi", "pearson")
    with Style().applied():
        figure = comparison.draw(table, Style())
        figure.draw_without_rendering()
    label = figure._supylabel.get_window_extent()
    assert figure.bbox.x0 <= label.x0 and label.x1 <= min(ax.get_window_extent().x0 for ax in figure.axes)
    boxes = [ax.title.get_window_extent() for ax in figure.axes if ax.get_visible()]
    assert len(boxes) == runs
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
