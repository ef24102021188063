"""The figures show the numbers of their inputs, all of them and nothing else."""

import csv
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from scipy import optimize, stats

from example_products import describe_depth, parse, write_correlations, write_probe, write_state, write_words
from natural_sparsity.analysis import products as inputs
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.figures import chi, fig2, fig3, fig4, fig5, training
from natural_sparsity.figures.style import DROP, Style, save, spread_out
from natural_sparsity.files import write_parquet

TENSORS = describe_depth(2)

WORDS = ["<unk>", "<eos>", "of", "$5$", "the", "cat", "ran", "in", "red", "ten", "dog", "sat", "by", "hut", "hill"]
COUNTS = [9000, 9500, 4000, 300, 5000, 120, 90, 2000, 80, 70, 60, 50, 500, 40, 30]
CLASSES = [None, None, "closed", None, "closed", "open", "open", "closed", "open", None] + ["open"] * 2
CLASSES += ["closed", "open", "open"]
EPOCHS = [1, 2, 3]
ROWS = [(epoch, role, tensor) for epoch in EPOCHS for role in ("target", "input") for tensor in TENSORS]
SETS = ["all", "open", "closed", "open_matched", "closed_matched", "open_paired", "closed_paired"]


def value(epoch: int, role: str, tensor: str, words: str = "all") -> float:
    """A correlation that names its place: no two are equal, and those of the input role reach lower."""
    return 0.1 * epoch + 0.01 * TENSORS.index(tensor) - 0.5 * (role == "input") + 0.001 * SETS.index(words)


def mean_chi(word: int, epoch: int) -> float:
    return 0.1 + 0.001 * word + 0.02 * epoch


@pytest.fixture
def words() -> pd.DataFrame:
    share = [0.3 if name is None else 0.8 for name in CLASSES]
    columns = {"id": range(len(WORDS)), "word": WORDS, "count": COUNTS, "tagged": COUNTS, "share": share}
    return pd.DataFrame(columns | {"pos": None, "pos_class": CLASSES, "matched": False, "pair": -1})


@pytest.fixture
def probes() -> pd.DataFrame:
    rows = [(epoch, word, mean_chi(word, epoch)) for epoch in EPOCHS for word in range(len(WORDS))]
    return pd.DataFrame(rows, columns=["epoch", "id", "value"])


@pytest.fixture
def correlations() -> pd.DataFrame:
    rows = [(*row, words, value(*row, words), 100 + SETS.index(words)) for row in ROWS for words in SETS]
    return pd.DataFrame(rows, columns=["epoch", "role", "tensor", "words", "value", "n"]).assign(kind="correlation")


@pytest.fixture
def checkpoints() -> pd.DataFrame:
    rows = [(1, 1, 20.0, 20.0, 6.0, 5.5), (1, 2, 20.0, 5.0, 5.0, 5.6), (1, 3, 5.0, 5.0, 4.5, 5.0)]
    return pd.DataFrame(
        rows, columns=["seed", "epoch", "learning_rate_in", "learning_rate_out", "train_loss", "dev_loss"]
    )


@pytest.fixture
def products(
    tmp_path: Path, words: pd.DataFrame, probes: pd.DataFrame, correlations: pd.DataFrame, checkpoints: pd.DataFrame
) -> Path:
    """A folder with the products of a run; other tensors, roles, measures and statistics are decoys."""
    write_words(tmp_path / "words.parquet", words)
    for epoch, frame in probes.groupby("epoch"):
        frame = (
            frame[["id", "value"]]
            .rename(columns={"value": "chi_mean"})
            .assign(count=10, zeros=0, chi_variance=0.1, l1_mean=1.0, l2_mean=1.0)
        )
        decoys = [
            frame.assign(role="target", tensor="h_2", chi_mean=0.9),
            frame.assign(role="input", tensor="grad_h_2", chi_mean=0.8),
        ]
        rows = pd.concat([decoys[0], frame.assign(role="target", tensor="grad_h_2"), decoys[1]])
        write_probe(tmp_path / f"probe{epoch}.parquet", rows, epoch=epoch)
    pearson = correlations.assign(measure="chi", statistic="pearson", low=0.0, high=0.5)
    decoys = [pearson.assign(measure="l1", value=0.9), pearson.assign(statistic="spearman", value=-0.9)]
    write_correlations(tmp_path / "correlations.parquet", pd.concat([*decoys, pearson]))
    for row in checkpoints.to_dict("records"):
        write_state(tmp_path / f"checkpoint{row['epoch']}.json", **row)  # type: ignore[arg-type]
    return tmp_path


def command(folder: Path, figure: str, *more: str) -> list[str]:
    # The epochs are given out of order: they are what the files say, not the order of the arguments.
    given = {
        "--probes": [f"{folder}/probe{epoch}.parquet" for epoch in (3, 1, 2)],
        "--checkpoints": [f"{folder}/checkpoint{epoch}.json" for epoch in (2, 3, 1)],
        "--words": [f"{folder}/words.parquet"],
        "--correlations": [f"{folder}/correlations.parquet"],
    }
    by_word = ["--probes", "--words"]
    wanted = {"chi": [], "fig2": by_word, "fig5": by_word, "training": ["--checkpoints"]}
    wanted["fig4"] = ["--correlations", "--checkpoints", "--words"]
    flags = wanted.get(figure, ["--correlations", "--checkpoints"])
    threshold = ["--threshold", "20"] if figure in ("fig2", "fig5") else []
    paths = [part for flag in flags for part in (flag, *given[flag])]
    return ["draw", figure, *paths, *threshold, "--output", f"{folder}/out/{figure}", *more]


def lines(figure: Figure, axes: int = 0) -> dict[str, np.ndarray]:
    """The (x, y) of each line that has a name, as it was drawn."""
    drawn = figure.axes[axes].get_lines()
    return {str(line.get_gid()): np.asarray(line.get_xydata()) for line in drawn if line.get_gid() not in (None, DROP)}


def verticals(figure: Figure, axes: int = 0) -> list[float]:
    drawn = figure.axes[axes].get_lines()
    return [float(np.asarray(line.get_xdata())[0]) for line in drawn if line.get_gid() == DROP]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


# ---- The whole command


@pytest.mark.integration
@pytest.mark.parametrize("figure", ["chi", "fig2", "fig3a", "fig3b", "fig4", "fig5", "training"])
def test_command_writes_three_files_and_the_same_bytes_again(products: Path, figure: str) -> None:
    main(command(products, figure))
    first = {path.name: path.read_bytes() for path in (products / "out").iterdir()}
    assert set(first) == {f"{figure}.{kind}" for kind in ("csv", "pdf", "png")}
    # Another process, another hash seed and another day.
    environment = os.environ | {"PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1"}
    subprocess.run([sys.executable, "-m", "natural_sparsity", *command(products, figure)], env=environment, check=True)
    assert {path.name: path.read_bytes() for path in (products / "out").iterdir()} == first
    pdf = first[f"{figure}.pdf"]
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"Date" not in pdf


@pytest.mark.integration
def test_csv_of_each_figure_holds_the_values_of_its_input(products: Path) -> None:
    for figure in ("fig2", "fig3a", "fig3b", "fig4", "fig5", "training"):
        main(command(products, figure))
    out = {path.stem: pd.read_csv(path) for path in (products / "out").glob("*.csv")}
    for row in out["fig2"].to_dict("records"):
        word = row["id"]
        assert (row["word"], row["count"], row["chi"]) == (WORDS[word], COUNTS[word], mean_chi(word, row["epoch"]))
    for name, role in (("fig3a", "target"), ("fig3b", "input")):
        points = out[name].query("kind == 'correlation'")
        assert len(points) == len(TENSORS) * len(EPOCHS)
        assert [value(int(r["epoch"]), role, r["tensor"]) for r in points.to_dict("records")] == points["rho"].tolist()
        assert out[name].query(f"kind == '{DROP}'")["epoch"].tolist() == [2]
    points = out["fig4"].query("kind == 'correlation'")
    assert len(points) == 6 * len(EPOCHS)
    expected = [value(int(r["epoch"]), "target", "grad_h_2", r["words"]) for r in points.to_dict("records")]
    assert expected == points["rho"].tolist()
    points = out["fig5"].query("kind == 'word'")
    expected = {word: name or "none" for word, name in zip(WORDS[2:], CLASSES[2:], strict=True)}
    assert dict(zip(points["word"], points["pos_class"], strict=True)) == expected
    assert points["chi"].tolist() == [mean_chi(word, 3) for word in points["id"].astype(int)]
    assert out["training"]["dev_loss"].tolist() == [5.5, 5.6, 5.0]
    assert out["training"]["learning_rate"].tolist() == [20, 20, 5]


def test_size_and_resolution_are_those_of_the_style(products: Path) -> None:
    main(command(products, "chi", "--style", '{"width": 3.0, "height": 2.0, "dpi": 50}'))
    png = (products / "out/chi.png").read_bytes()
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (150, 100)


def test_a_user_error_writes_nothing_and_is_one_line(products: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command(products, "fig2", "--threshold", "5000"))
    assert "thresholds.fig2 (--threshold) is 5000" in str(caught.value) and "\n" not in str(caught.value)
    assert not (products / "out").exists()


@pytest.mark.parametrize("figure", ["fig2", "fig3a", "fig4", "fig5", "training"])
def test_missing_inputs_are_named(figure: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["draw", figure, "--output", "nowhere"])
    assert re.search("required: --", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"widht": 3}', "'widht'"),
        ('{"width": -1}', "width"),
        ('{"width": true}', "width"),
        ('{"dpi": null}', "dpi"),
        ("[3]", "object"),
        ("width=3", "JSON"),
        ('{"palette": "nonesuch"}', "nonesuch"),
        ('{"palette": ["red", "blue"]}', "palette"),
        ('{"palette": ["red", "blue", "green", "no colour"]}', "no colour"),
        ('{"colormap": "nonesuch"}', "nonesuch"),
    ],
)
def test_style_refuses_what_it_cannot_draw(text: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        Style.parse(text)


# ---- Reading


def test_probes_without_epoch_twice_an_epoch_or_without_the_tensor_are_refused(products: Path) -> None:
    path = products / "probe1.parquet"
    with pytest.raises(UserError, match=r"probe1.parquet: a second probe of seed 1, epoch1;"):
        inputs.read_probes([path, path], "target", "grad_h_2", "chi")
    with pytest.raises(UserError, match=r"probe1.parquet: no rows for role 'input' and tensor 'h_1'"):
        inputs.read_probes([path], "input", "h_1", "chi")
    write_parquet(products / "bare.parquet", pd.read_parquet(path))
    with pytest.raises(UserError, match=r"bare.parquet: carries no metadata"):
        inputs.read_probes([products / "bare.parquet"], "target", "grad_h_2", "chi")


def test_correlations_of_an_unknown_measure_or_of_two_runs_are_refused(products: Path) -> None:
    path = products / "correlations.parquet"
    with pytest.raises(UserError, match=r"'gini'.*chi/pearson"):
        inputs.read_correlations([path], "gini", "pearson")
    frame = pd.read_parquet(path)
    write_correlations(path, pd.concat([frame, frame]))
    with pytest.raises(UserError, match="a correlation repeats"):
        inputs.read_correlations([path], "chi", "pearson")


def test_a_checkpoint_with_text_for_a_loss_is_refused_and_null_is_a_gap(products: Path) -> None:
    write_state(products / "zero.json", epoch=0, train_loss=None)
    assert np.isnan(inputs.read_checkpoints([products / "zero.json"])["train_loss"].iloc[0])
    write_state(products / "zero.json", epoch=0, dev_loss="low")
    with pytest.raises(UserError, match="zero.json.*'low'"):
        inputs.read_checkpoints([products / "zero.json"])


def test_drops_are_where_the_rate_fell_and_training_went_on(checkpoints: pd.DataFrame) -> None:
    assert inputs.find_drops(checkpoints, pd.Series([1, 3])) == inputs.find_drops(checkpoints, pd.Series([2, 3])) == [2]
    # Where nothing drawn was trained at the lower rate, there is no drop.
    assert inputs.find_drops(checkpoints, pd.Series([1, 2])) == inputs.find_drops(checkpoints, pd.Series([2])) == []
    assert inputs.find_drops(checkpoints, pd.Series([1])) == inputs.find_drops(checkpoints, pd.Series([3])) == []
    checkpoints.loc[checkpoints["epoch"] == 3, "learning_rate_out"] = 1.0
    shorter = checkpoints[checkpoints["epoch"] < 3].assign(seed=2)
    assert inputs.find_drops(pd.concat([checkpoints, shorter]), pd.Series([1, 2, 3])) == [2]


def test_frequent_is_strict_leaves_out_specials_and_breaks_ties_by_id(words: pd.DataFrame) -> None:
    words.loc[words["word"] == "dog", "count"] = 80
    assert inputs.select_frequent(words, 80, "thresholds.fig2")["word"].tolist() == [
        "the",
        "of",
        "in",
        "by",
        "$5$",
        "cat",
        "ran",
    ]
    assert inputs.select_frequent(words, 79, "thresholds.fig2")["word"].tolist()[-2:] == ["red", "dog"]


def test_the_threshold_that_an_error_names_is_the_largest_that_leaves_ten(words: pd.DataFrame) -> None:
    with pytest.raises(UserError) as caught:
        inputs.select_frequent(words, 5000, "thresholds.fig5")
    found = re.search(r"leaves 10 is (\d+)", str(caught.value))
    assert found
    most = int(found[1])
    assert len(inputs.select_frequent(words, most, "key")) >= 10 > len(inputs.select_frequent(words, most + 1, "key"))


# ---- Figure 2


def test_fig2_draws_a_row_a_word_the_most_frequent_at_the_bottom(words: pd.DataFrame, probes: pd.DataFrame) -> None:
    table = fig2.select_cells(probes, words, 79)
    style = Style()
    with style.apply():
        figure = fig2.plot(table, style)
    ax = figure.axes[0]
    mesh = ax.collections[0]
    order = ["the", "of", "in", "by", "$5$", "cat", "ran", "red"]
    expected = [[mean_chi(WORDS.index(word), epoch) for epoch in EPOCHS] for word in order]
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(len(order), -1), expected)
    figure.draw_without_rendering()
    height = {label.get_text(): label.get_window_extent().y0 for label in ax.get_yticklabels()}
    assert sorted(height, key=height.__getitem__) == order
    assert not any(label.get_parse_math() for label in ax.get_yticklabels())  # $5$ keeps its dollar signs
    # The bottom row of the picture is the row of the most frequent word.
    corner = mesh.get_coordinates()[0, 0]  # type: ignore[attr-defined]
    assert ax.transData.transform(corner)[1] == pytest.approx(ax.get_window_extent().y0)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3"]
    assert mesh.get_rasterized() and ax.get_xlabel() == "epoch" and "chi" in figure.axes[1].get_xlabel()


def test_fig2_shows_the_untrained_model_first_and_says_so(words: pd.DataFrame, probes: pd.DataFrame) -> None:
    untrained = probes.loc[probes["epoch"] == 1].assign(epoch=0, value=0.09)
    with Style().apply():
        figure = fig2.plot(fig2.select_cells(pd.concat([probes, untrained]), words, 79), Style())
    ax = figure.axes[0]
    cells = np.asarray(ax.collections[0].get_array()).reshape(-1, 4)
    assert cells[:, 0] == pytest.approx(0.09)
    assert (cells[:, 1:] > 0.1).all()
    assert ax.collections[0].norm.vmin > 0.1, "it takes no contrast from the trained ones"
    assert [(tick, label.get_text()) for tick, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)] == [
        (0.5, "0"), (1.5, "1"), (2.5, "2"), (3.5, "3")
    ]  # fmt: skip
    assert ax.get_xlabel() == "epoch (0: untrained)"


def make_rows(bright: dict[str, int], n: int = 90) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Words and probes of rows alike but for those at the ranks given, which are bright in the last epoch."""
    names = {rank: name for name, rank in bright.items()}
    words = [names.get(rank, f"w{rank}") for rank in range(1, n + 1)]
    frame = pd.DataFrame({"id": range(2, n + 2), "word": words, "count": range(10**6, 10**6 - n, -1)})
    probes = pd.DataFrame({"epoch": np.repeat([1, 2, 3], n), "id": np.tile(frame["id"], 3)})
    values = np.random.default_rng(0).uniform(0.09, 0.1, (3, n))
    for rank in bright.values():
        values[2, rank - 1] = 0.12 + 0.0001 * rank
    return frame, probes.assign(value=values.ravel())


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("bright", [{}, {"$the$": 1, "of": 2, "x" * 40: 3, "states": 60, "last": 90}])
def test_fig2_names_the_rows_that_stand_out_and_no_others(bright: dict[str, int]) -> None:
    words, probes = make_rows(bright)
    style = Style()
    with style.apply():
        figure = fig2.plot(fig2.select_cells(probes, words, 0), style)
        figure.draw_without_rendering()
    ax = figure.axes[0]
    names = [text for text in ax.texts if text.get_gid() == fig2.BRIGHT]
    assert [text.get_text() for text in names] == [word if len(word) < 14 else "x" * 13 + "…" for word in bright]
    assert not any(text.get_parse_math() for text in names)
    boxes = [text.get_window_extent() for text in names]
    assert all(low.y1 <= high.y0 for low, high in zip(boxes, boxes[1:], strict=False))
    assert all(box.x0 > ax.get_window_extent().x1 and box.x1 <= figure.bbox.x1 for box in boxes)
    # A line ties each name to the middle of its row.
    ties = [line for line in ax.get_lines() if line.get_transform() == ax.transAxes]
    rows = [ax.transAxes.transform((0, line.get_ydata()[0]))[1] for line in ties]
    assert rows == pytest.approx([ax.transData.transform((0, rank - 0.5))[1] for rank in bright.values()])
    middles = [ax.transAxes.transform((0, line.get_ydata()[1]))[1] for line in ties]
    assert middles == pytest.approx([(box.y0 + box.y1) / 2 for box in boxes], abs=2)


def test_fig2_names_the_brightest_where_not_all_have_room() -> None:
    words, probes = make_rows({f"bright{rank}": rank for rank in range(1, 80, 2)}, 400)
    style = Style()
    with style.apply():
        figure = fig2.plot(fig2.select_cells(probes, words, 0), style)
        figure.draw_without_rendering()
    names = [text for text in figure.axes[0].texts if text.get_gid() == fig2.BRIGHT]
    assert 5 < len(names) < 40
    assert [text.get_text() for text in names] == [f"bright{rank}" for rank in range(1, 80, 2)][-len(names) :]
    boxes = [text.get_window_extent() for text in names]
    assert all(low.y1 <= high.y0 for low, high in zip(boxes, boxes[1:], strict=False))


def test_fig2_leaves_a_gap_where_there_is_no_value(words: pd.DataFrame, probes: pd.DataFrame) -> None:
    gap = (probes["id"] == WORDS.index("the")) & (probes["epoch"] == 2)
    absent = (probes["id"] == WORDS.index("of")) & (probes["epoch"] == 3)
    probes.loc[gap, "value"] = np.nan
    with Style().apply():
        figure = fig2.plot(fig2.select_cells(probes.loc[~absent], words, 79), Style())
    mask = np.ma.getmaskarray(np.ma.asarray(figure.axes[0].collections[0].get_array())).reshape(-1, 3)
    assert np.argwhere(mask).tolist() == [[0, 1], [1, 2]]


def test_fig2_names_words_without_overlap_and_stays_small_at_full_scale(tmp_path: Path) -> None:
    n, epochs = 600, 50
    ids = np.arange(2, n + 2)
    words = pd.DataFrame({"id": ids, "word": [f"word{i}" for i in ids], "count": 10**6 - ids})
    values = np.random.default_rng(0).random(n * epochs)
    probes = pd.DataFrame({"epoch": np.repeat(np.arange(1, epochs + 1), n), "id": np.tile(ids, epochs)})
    style = Style(width=3.3)
    with style.apply():
        figure = fig2.plot(fig2.select_cells(probes.assign(value=values), words, 100_000), style)
        figure.savefig(tmp_path / "fig2.pdf")
    assert (tmp_path / "fig2.pdf").stat().st_size < 300_000
    ax = figure.axes[0]
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) > 15
    assert all(low.y1 <= high.y0 + 0.5 for low, high in zip(boxes, boxes[1:], strict=False))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10", "20", "30", "40", "50"]
    every = WORD_STEP.search(ax.get_ylabel())
    assert every and ax.get_yticklabels()[1].get_text() == f"word{2 + int(every[1])}"


HOSTILE = ["$x$", "a_{b}^2", "\\frac{1}{2}", "%s", "{0}", "<b>x</b>", "&lt;", "日本", "\u202eevil", "x" * 5000]


@pytest.mark.filterwarnings("ignore:Glyph")
def test_fig2_writes_words_as_they_are(tmp_path: Path) -> None:
    words = pd.DataFrame({"id": range(2, 12), "word": HOSTILE, "count": range(200, 100, -10)})
    probes = pd.DataFrame({"epoch": 1, "id": range(2, 12), "value": np.linspace(0.1, 0.2, 10)})
    with Style().apply():
        figure = fig2.plot(fig2.select_cells(probes, words, 0), Style())
        figure.savefig(tmp_path / "fig2.pdf")
        labels = figure.axes[0].get_yticklabels()
        assert [label.get_text() for label in labels] == [*HOSTILE[:-1], "x" * 13 + "…"]
        assert figure.axes[0].get_window_extent().width > figure.bbox.width / 3  # the cells have their room


WORD_STEP = re.compile(r"one in (\d+) named")


# ---- Figure 3


@pytest.mark.parametrize("role", ["target", "input"])
def test_fig3_draws_every_tensor_and_the_drops(correlations: pd.DataFrame, role: str) -> None:
    style = Style()
    with style.apply():
        figure = fig3.plot(fig3.select_points(correlations, [2], role), style)
    drawn = lines(figure)
    assert list(drawn) == list(TENSORS)
    for tensor, points in drawn.items():
        assert points.tolist() == [[epoch, value(epoch, role, tensor)] for epoch in EPOCHS]
    assert verticals(figure) == [2]
    assert legend(figure) == ["activation", "gradient", "learning rate lowered"]
    ax = figure.axes[0]
    dashed = {str(line.get_gid()): line.is_dashed() for line in ax.get_lines() if line.get_gid() in TENSORS}
    assert dashed == {tensor: tensor.startswith("grad") for tensor in TENSORS}
    # Neither the line's colour nor its dash is needed to tell one from another.
    named = [line for line in ax.get_lines() if line.get_gid() in TENSORS]
    looks = {(line.get_marker(), line.get_markerfacecolor() == "white") for line in named}
    assert len(looks) == len(TENSORS)
    assert ("←" if role == "target" else "→") in ax.get_ylabel() and f"{role}-word" in ax.get_ylabel()
    ticks = [tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    assert ticks == [1, 2, 3]


def test_fig3_panels_share_a_scale_that_holds_both(correlations: pd.DataFrame) -> None:
    with Style().apply():
        panels = [fig3.plot(fig3.select_points(correlations, [], role), Style()) for role in ("target", "input")]
    limits = [panel.axes[0].get_ylim() for panel in panels]
    assert limits[0] == limits[1]
    assert limits[0][0] < value(1, "input", "h_e") < value(3, "target", "grad_x") < limits[0][1]


@pytest.mark.parametrize("spacing", [0.0, 0.001])
def test_fig3_names_do_not_overlap_and_name_the_right_line(correlations: pd.DataFrame, spacing: float) -> None:
    index = correlations["tensor"].map(TENSORS.index)
    correlations["value"] = np.where(correlations["role"] == "target", 0.2 + spacing * index, -0.4)
    style = Style(width=3.3)
    with style.apply():
        figure = fig3.plot(fig3.select_points(correlations, [], "target"), style)
        figure.draw_without_rendering()
    names = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
    assert len(names) == len(TENSORS)
    boxes = [Text.get_window_extent(name) for name in names]  # without the line that leads to it
    centres = np.array([name.get_transform().transform(name.get_position())[1] for name in names])
    assert (np.diff(np.sort(centres)) >= style.font_size * figure.dpi / 72 * 0.99).all()
    if spacing:
        assert (np.diff(centres) > 0).all()  # the order of the lines
    assert all(box.x1 <= figure.bbox.x1 and box.x0 >= figure.axes[0].get_window_extent().x1 for box in boxes)


def test_fig3_keeps_gaps_and_leaves_out_a_tensor_without_values(correlations: pd.DataFrame) -> None:
    target = correlations["role"] == "target"
    correlations.loc[target & (correlations["tensor"] == "x"), "value"] = np.nan
    correlations.loc[target & (correlations["tensor"] == "h_1") & (correlations["epoch"] == 2), "value"] = np.nan
    with Style().apply():
        drawn = lines(fig3.plot(fig3.select_points(correlations, [], "target"), Style()))
    assert "x" not in drawn and np.isnan(drawn["h_1"][:, 1]).tolist() == [False, True, False]


def test_fig3_without_correlations_is_an_error(correlations: pd.DataFrame) -> None:
    correlations.loc[correlations["role"] == "input", ["value", "n"]] = [np.nan, 2]
    fig3.select_points(correlations, [], "target")
    with pytest.raises(UserError, match=r"'input' \(n is at most 2.*min_count"):
        fig3.select_points(correlations, [], "input")


def test_spread_moves_as_little_as_the_gap_allows() -> None:
    given = np.array([0.5, 0.1, 0.52, 0.95, 0.51])
    moved = spread_out(given.tolist(), 0.1, 0, 1)
    order = np.argsort(given, kind="stable")
    apart = [{"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i] - 0.1} for i in range(4)]
    best = optimize.minimize(lambda x: ((x - given[order]) ** 2).sum(), given[order], constraints=apart, tol=1e-12)
    np.testing.assert_allclose(moved[order], best.x, atol=1e-5)
    np.testing.assert_allclose(spread_out([1, 1, 1], 0.1, 0, 1), [0.8, 0.9, 1.0])
    np.testing.assert_allclose(spread_out([0, 0, 0], 0.9, 0, 1), [0, 0.5, 1])
    assert spread_out([0.3], 0.1, 0, 1).tolist() == [0.3] and len(spread_out([], 0.1, 0, 1)) == 0


# ---- Figure 4


def plot_fig4(table: pd.DataFrame, style: Style | None = None) -> Figure:
    with (style := style or Style()).apply():
        figure = fig4.plot(table, style)
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("width", [6.9, 3.3])
def test_fig4_has_a_panel_for_whole_classes_and_for_each_sample(
    correlations: pd.DataFrame, words: pd.DataFrame, width: float
) -> None:
    figure = plot_fig4(fig4.select_points(correlations, [2], words), Style(width=width))
    titles = ["whole classes", "ranges of equal mean frequency", "pairs of nearest frequency"]
    for axes, (title, first) in enumerate(zip(titles, (1, 3, 5), strict=True)):
        drawn = lines(figure, axes)
        assert list(drawn) == SETS[first : first + 2]
        for name, points in drawn.items():
            assert points.tolist() == [[epoch, value(epoch, "target", "grad_h_2", name)] for epoch in EPOCHS]
        ax = figure.axes[axes]
        notes = ax.get_title(loc="left").split("\n")
        assert notes[0] == title
        assert [re.findall(r"n = (\d+)", note) for note in notes[1:]] == [[str(100 + first)], [str(101 + first)]]
        assert verticals(figure, axes) == [2]
        # Only the drop is dashed.
        assert [line.get_gid() for line in ax.get_lines() if line.is_dashed()] == [DROP]
        assert ax.get_ylim() == figure.axes[0].get_ylim()
    titles = [ax._left_title.get_window_extent() for ax in figure.axes]  # type: ignore[attr-defined]
    assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])
    for box in [*titles, figure.legends[0].get_window_extent()]:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    assert legend(figure) == ["open class", "closed class", "learning rate lowered"]


def test_fig4_prints_mean_and_spread_of_each_samples_counts(correlations: pd.DataFrame, words: pd.DataFrame) -> None:
    matched = words["word"].isin(["cat", "ran", "sat", "by", "in"])
    paired = np.where(words["word"].isin(["in", "cat"]), 0, np.where(words["word"].isin(["by", "hut"]), 1, -1))
    table = fig4.select_points(correlations, [], words.assign(matched=matched, pair=paired))
    expected = {
        "closed": [4000, 5000, 2000, 500],
        "open_matched": [120, 90, 50],
        "closed_matched": [2000, 500],
        "open_paired": [120, 40],
    }
    drawn = table.query("kind == 'training_counts'").set_index("words")
    for name, counts in expected.items():
        row = drawn.loc[name]
        assert (row["mean_count"], row["sd_count"]) == pytest.approx((np.mean(counts), np.std(counts, ddof=1)))
    notes = [ax.get_title(loc="left").split("\n")[1:] for ax in plot_fig4(table).axes]
    assert notes[0][1] == "closed: n = 102, counts 2,875 ± 2,016"
    assert notes[1][0] == "open: n = 103, counts 86.7 ± 35.1"


@pytest.mark.parametrize("absent", ["row", "nan"])
def test_fig4_says_which_sample_is_missing(correlations: pd.DataFrame, words: pd.DataFrame, absent: str) -> None:
    gone = correlations["words"] == "closed_matched"
    correlations.loc[gone, ["value", "n"]] = [np.nan, 0]
    given = correlations.loc[~gone] if absent == "row" else correlations
    figure = plot_fig4(fig4.select_points(given, [], words))
    assert list(lines(figure, 1)) == ["open_matched"]
    assert figure.axes[1].get_title(loc="left").endswith("closed: no correlation (n = 0)")


def test_fig4_without_either_class_names_the_largest_threshold(correlations: pd.DataFrame, words: pd.DataFrame) -> None:
    correlations.loc[correlations["words"] != "all", "value"] = np.nan
    with pytest.raises(UserError) as caught:
        fig4.select_points(correlations, [], words)
    found = re.search(
        r"largest tagging\.min_tagged that leaves 10 words with a part of speech is (\d+)", str(caught.value)
    )
    assert found
    # A word needs min_tagged occurrences of its majority part of speech: 0.8 of those tagged, here.
    counts = [0.8 * count for count, name in zip(COUNTS, CLASSES, strict=True) if name]
    most = int(found[1])
    assert sum(n >= most for n in counts) >= 10 > sum(n >= most + 1 for n in counts)


# ---- Figure 5


def test_fig5_draws_the_last_epoch_by_class_above_the_threshold(words: pd.DataFrame, probes: pd.DataFrame) -> None:
    table = fig5.select_words(probes, words, 50)
    with Style().apply():
        figure = fig5.plot(table, Style())
    drawn = lines(figure)
    for name in ("open", "closed", "none"):
        kind = None if name == "none" else name
        ids = [i for i, count in enumerate(COUNTS) if CLASSES[i] == kind and count > 50 and i > 1]
        expected = sorted([COUNTS[i], mean_chi(i, 3)] for i in ids)
        assert sorted(drawn[name].tolist()) == expected
    assert set(drawn) == {"open", "closed", "none"}  # too few words for a trend
    ax = figure.axes[0]
    assert ax.get_xscale() == "log" and "after epoch 3" in ax.get_ylabel()
    assert len({line.get_marker() for line in ax.get_lines()}) == 3
    counted = ["open class (n = 4)", "closed class (n = 4)", "no class (n = 2)"]
    assert legend(figure) == [*counted, "most frequent: $5$  ten"]
    assert not figure.legends[0].get_texts()[-1].get_parse_math()


def test_fig5_trend_is_the_least_squares_line_between_the_extremes(probes: pd.DataFrame) -> None:
    rng = np.random.default_rng(1)
    ids = np.arange(2, 42)
    words = pd.DataFrame({"id": ids, "word": "w", "count": rng.integers(2, 10**5, 40), "tagged": 9, "share": 1.0})
    words["pos_class"] = ["open"] * 35 + ["closed"] * 5
    values = pd.DataFrame({"epoch": 7, "id": ids, "value": rng.random(40)})
    table = fig5.select_words(values, words, 1)
    with Style().apply():
        drawn = lines(fig5.plot(table, Style()))
    count, chis = words["count"].to_numpy()[:35], values["value"].to_numpy()[:35]
    fit = stats.linregress(np.log(count), chis)
    ends = np.array([count.min(), count.max()])
    np.testing.assert_allclose(drawn["trend open"], np.column_stack([ends, fit.intercept + fit.slope * np.log(ends)]))
    assert "trend closed" not in drawn and set(table.loc[table["kind"] == "trend", "pos_class"]) == {"open"}


def test_fig5_tells_how_many_words_have_no_class_and_which_are_the_most_frequent() -> None:
    rng = np.random.default_rng(1)
    kinds = ["open"] * 30 + ["closed"] * 20 + [None] * 12
    words = pd.DataFrame({"id": range(2, 64), "count": 1000 - np.arange(62), "tagged": 9, "share": 1.0})
    words = words.assign(word=[f"word{i}" for i in range(50)] + list(',."$_') + ["x" * 40] * 7, pos_class=kinds)
    probes = pd.DataFrame({"epoch": 7, "id": range(2, 64), "value": rng.random(62)})
    style = Style()
    with style.apply():
        table = fig5.select_words(probes, words, 1)
        figure = fig5.plot(table, style)
        figure.draw_without_rendering()
    assert legend(figure) == [
        "open class (n = 30)",
        "closed class (n = 20)",
        "no class (n = 12)",
        "open: fit on log count",
        "closed: fit on log count",
        'most frequent: ,  .  "  $',
    ]
    box = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
    # The legend has each line's own dash, colour and marker.
    drawn = {line.get_gid(): line for line in figure.axes[0].get_lines()}
    handles = figure.legends[0].get_lines()
    for handle, gid in zip(handles, ["open", "closed", "none", "trend open", "trend closed"], strict=False):
        for get in ("get_color", "get_marker", "is_dashed"):
            assert getattr(handle, get)() == getattr(drawn[gid], get)(), (gid, get)
    assert not drawn["trend open"].is_dashed() and drawn["trend closed"].is_dashed()
    longest = words.assign(word="x" * 40)
    with style.apply():
        figure = fig5.plot(fig5.select_words(probes, longest, 1), style)
        figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1


def test_fig5_errors(words: pd.DataFrame, probes: pd.DataFrame) -> None:
    with pytest.raises(UserError, match=r"thresholds\.fig5 \(--threshold\).*more than 5000.*leaves 10 is 39"):
        fig5.select_words(probes, words, 5000)
    with pytest.raises(UserError, match="largest tagging.min_tagged"):
        fig5.select_words(probes, words.assign(pos_class=None), 5)
    with pytest.raises(UserError, match="another vocabulary"):
        fig5.select_words(probes.assign(value=np.nan), words, 5)


# ---- Training and χ


def test_training_draws_losses_perplexity_rate_and_drops(checkpoints: pd.DataFrame) -> None:
    with Style().apply():
        figure = training.plot(training.list_epochs(checkpoints), Style())
        figure.draw_without_rendering()
    above, below = figure.axes[:2]
    assert lines(figure, 0)["train_loss"].tolist() == [[1, 6.0], [2, 5.0], [3, 4.5]]
    assert lines(figure, 0)["dev_loss"].tolist() == [[1, 5.5], [2, 5.6], [3, 5.0]]
    assert lines(figure, 1)["learning_rate"].tolist() == [[1, 20], [2, 20], [3, 5]]
    assert verticals(figure, 0) == verticals(figure, 1) == [2]
    assert below.get_yscale() == "log" and "nats" in above.get_ylabel()
    right = above.child_axes[0]
    ticks = right.get_yticks()
    assert len(ticks) >= 2
    for perplexity, label in zip(ticks, right.get_yticklabels(), strict=True):
        assert float(label.get_text()) == perplexity
        height = right.transData.transform((0, perplexity))[1]
        assert height == pytest.approx(above.transData.transform((0, np.log(perplexity)))[1])


def test_training_marks_no_drop_that_nothing_was_trained_after(checkpoints: pd.DataFrame) -> None:
    last = checkpoints.assign(learning_rate_in=20.0, learning_rate_out=[20.0, 20.0, 5.0])
    with Style().apply():
        table = training.list_epochs(last)
        figure = training.plot(table, Style())
    assert not table["learning_rate_drop"].any()
    assert verticals(figure, 0) == verticals(figure, 1) == []
    assert "learning rate lowered" not in legend(figure)


def test_training_draws_the_untrained_model_only_where_its_loss_is_known(checkpoints: pd.DataFrame) -> None:
    untrained = pd.DataFrame([(1, 0, 20.0, 20.0, np.nan, np.nan)], columns=checkpoints.columns)
    unknown = training.list_epochs(pd.concat([untrained, checkpoints], ignore_index=True))
    assert unknown["epoch"].tolist() == [1, 2, 3]
    known = training.list_epochs(pd.concat([untrained.assign(dev_loss=8.8), checkpoints], ignore_index=True))
    with Style().apply():
        figure = training.plot(known, Style())
    assert lines(figure, 0)["dev_loss"].tolist()[0] == [0, 8.8]
    rates = lines(figure, 1)["learning_rate"]
    assert np.isnan(rates[0, 1]) and rates[1].tolist() == [1, 20], "nothing trained the untrained model"
    assert figure.axes[1].get_xlabel() == "epoch (0: untrained)"


@pytest.mark.parametrize(("low", "high"), [(4.0, 6.0), (3.70, 3.78), (0.5, 9.5), (4.6, 4.9)])
def test_perplexity_ticks_are_inside_and_a_readable_number(low: float, high: float) -> None:
    ticks = training.choose_ticks(low, high)
    assert 2 <= len(ticks) <= 6 and all(low <= np.log(tick) <= high for tick in ticks)


def test_training_of_one_epoch_has_perplexities_and_both_losses_in_view(checkpoints: pd.DataFrame) -> None:
    one = checkpoints.iloc[:1].assign(train_loss=5.001, dev_loss=5.0)
    with Style().apply():
        above = training.plot(training.list_epochs(one), Style()).axes[0]
    assert above.get_ylim() == pytest.approx((4.9005, 5.1005))
    assert len(above.child_axes[0].get_yticks()) >= 2


def test_training_has_a_perplexity_where_the_loss_is_that_of_classes(products: Path) -> None:
    for kind, label, perplexity in (
        ("text", "loss (nats per token)", True),
        ("classification", "loss (nats)", True),
        ("addition", "loss", False),
    ):
        states = [write_state(products / f"{kind}{epoch}.json", kind=kind, epoch=epoch) for epoch in (1, 2)]
        args = parse(training, checkpoints=states)
        with Style().apply():
            table, figure = training.draw(args, Style())
        assert figure.axes[0].get_ylabel() == label
        assert ("dev_perplexity" in table) == perplexity == bool(figure.axes[0].child_axes)


@pytest.mark.parametrize("loss", [40.0, 300.0, 709.0, 710.0, 1e30, 3e38])
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_run_that_diverges_is_drawn(products: Path, loss: float, seeds: int) -> None:
    for seed in range(seeds):
        state = {"seed": seed, "epoch": 3, "train_loss": loss, "dev_loss": 1.1 * loss}
        write_state(products / f"diverged{seed}.json", **state)
        write_state(products / f"before{seed}.json", seed=seed, epoch=2)
    states = [str(path) for path in products.glob("*[0-9].json") if "checkpoint" not in path.name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table, figure = training.draw(parse(training, checkpoints=states), Style())
        save(figure, table, products / "out/training")
    above, drawn = figure.axes[0], pd.read_csv(products / "out/training.csv")
    assert drawn["train_loss"].iloc[-1] == loss
    assert drawn["train_perplexity"].iloc[-1] == pytest.approx(np.exp(loss) if loss < 709.5 else np.inf)
    assert bool(above.child_axes) == (above.get_ylim()[1] < 709.5)
    if above.child_axes:
        assert 2 <= len(above.child_axes[0].get_yticks()) <= 6 and min(above.child_axes[0].get_yticks()) >= 1


def test_training_without_losses_is_an_error(checkpoints: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="train_loss"):
        training.list_epochs(checkpoints.assign(train_loss=np.nan, dev_loss=np.nan))


def test_chi_shows_1_on_the_axis_and_half_root_2_on_the_diagonal() -> None:
    table = chi.list_points()
    assert table.loc[table["element"] == "sparse", "chi"].tolist() == pytest.approx([1, 1])
    assert table.loc[table["element"] == "dense", "chi"].tolist() == pytest.approx([2**-0.5] * 2)
    np.testing.assert_allclose(table.loc[table["element"] == "circle", "l2"], 1)
    np.testing.assert_allclose(table.loc[table["element"] == "diamond", "l1"], 1)
    with Style().apply():
        figure = chi.plot(table, Style())
    drawn = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
    lengths = [np.hypot(*arrow.xy) for arrow in drawn if arrow.arrow_patch is not None]
    assert lengths == pytest.approx([1, 2**-0.5])  # an arrow to the diamond is as long as its vector's χ


def test_chi_shades_the_whole_plane_by_the_direction_and_the_bar_says_which_shade_is_which() -> None:
    style = Style()
    with style.apply():
        figure = chi.plot(chi.list_points(), style)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    ax, bar = figure.axes
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255

    def shade(axes: Axes, x: float, y: float) -> np.ndarray:
        column, row = axes.transData.transform((x, y))
        return pixels[len(pixels) - 1 - int(row), int(column)]

    middle = np.mean(bar.get_xlim())
    for v in ((0.3, -1.2), (-0.85, -0.87), (-1.3, 0.1), (1.3, -0.6), (-0.2, -0.5), (-1.35, -1.35)):
        value = np.hypot(*v) / np.abs(v).sum()
        np.testing.assert_allclose(shade(ax, *v), shade(bar, middle, value), atol=0.05, err_msg=str(v))
    assert bar.get_ylim() == pytest.approx((2**-0.5, 1))
    assert [label.get_text() for label in bar.get_yticklabels()] == [r"$1/\sqrt{2}$", "0.8", "0.9", "1"]
    assert bar.get_yticks() == pytest.approx([2**-0.5, 0.8, 0.9, 1])
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    area = ax.get_window_extent()
    assert all(area.x0 <= box.x0 and box.x1 <= area.x1 and box.y1 <= area.y1 for box in boxes)


@pytest.mark.integration
def test_words_that_look_like_something_else_stay_words_in_the_csv(products: Path, words: pd.DataFrame) -> None:
    odd = ["007", "1e3", "NA", "nan", "null", "None", "true", "-inf", "1,5", '"', '"",', "'", "__proto__"]
    write_words(products / "words.parquet", words.assign(word=[*WORDS[:2], *odd]))
    for figure in ("fig2", "fig5"):
        main(command(products, figure))
        with (products / f"out/{figure}.csv").open(newline="", encoding="utf-8") as file:
            drawn = {(row["word"], row["count"]) for row in csv.DictReader(file) if row["word"]}
        expected = dict(zip(odd, COUNTS[2:], strict=True))
        assert {word for word, _ in drawn} == set(expected)
        assert all(float(n) == expected[word] for word, n in drawn)
