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
SETS = ["all", "open", "closed", "open_matched", "closed_matched"]


def value(epoch: int, role: str, tensor: str, words: str = "all") -> float:
    """A correlation that names its place: no two are equal, and those of the input role reach lower."""
    return 0.1 * epoch + 0.01 * TENSORS.index(tensor) - 0.5 * (role == "input") + 0.001 * SETS.index(words)


def mean_chi(word: int, epoch: int) -> float:
    return 0.1 + 0.001 * word + 0.02 * epoch


@pytest.fixture
def words() -> pd.DataFrame:
    share = [0.3 if name is None else 0.8 for name in CLASSES]
    columns = {"id": range(len(WORDS)), "word": WORDS, "count": COUNTS, "tagged": COUNTS, "share": share}
    return pd.DataFrame(columns | {"pos": None, "pos_class": CLASSES, "matched": False})


@pytest.fixture
def probes() -> pd.DataFrame:
    rows = [(epoch, word, mean_chi(word, epoch)) for epoch in EPOCHS for word in range(len(WORDS))]
    return pd.DataFrame(rows, columns=["epoch", "id", "value"])


@pytest.fixture
def correlations() -> pd.DataFrame:
    rows = [(*row, words, value(*row, words), 100 + SETS.index(words)) for row in ROWS for words in SETS]
    return pd.DataFrame(rows, columns=["epoch", "role", "tensor", "words", "value", "n"])


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
    assert len(points) == 4 * len(EPOCHS)
    expected = [value(int(r["epoch"]), "target", "grad_h_2", r["words"]) for r in points.to_dict("records")]
    assert expected == points["rho"].tolist()
    points = out["fig5"].query("kind == 'word'")
    assert set(points["word"]) == {word for word, name in zip(WORDS, CLASSES, strict=True) if name}
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
    with pytest.raises(UserError, match=r"probe1.parquet: a second probe of seed 1, epoch 1"):
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


def test_drops_are_where_the_rate_fell_within_the_epochs_drawn(checkpoints: pd.DataFrame) -> None:
    assert inputs.find_drops(checkpoints, pd.Series([1, 3])) == [2]
    assert inputs.find_drops(checkpoints, pd.Series([2])) == [2]
    assert inputs.find_drops(checkpoints, pd.Series([1])) == inputs.find_drops(checkpoints, pd.Series([3])) == []


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
    assert mesh.get_rasterized() and "χ" not in ax.get_xlabel() and "chi" in figure.axes[1].get_ylabel()


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
        assert [label.get_text() for label in labels] == [*HOSTILE[:-1], "x" * 15 + "…"]
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


def test_fig4_draws_classes_solid_and_samples_dashed_with_their_n(correlations: pd.DataFrame) -> None:
    with Style().apply():
        figure = fig4.plot(fig4.select_points(correlations, [2]), Style())
    drawn = lines(figure)
    assert list(drawn) == SETS[1:]
    for words, points in drawn.items():
        assert points.tolist() == [[epoch, value(epoch, "target", "grad_h_2", words)] for epoch in EPOCHS]
    dashed = {line.get_gid(): line.is_dashed() for line in figure.axes[0].get_lines() if line.get_gid() in SETS}
    assert dashed == {"open": False, "closed": False, "open_matched": True, "closed_matched": True}
    assert [re.findall(r"n = (\d+)", text) for text in legend(figure)] == [["101"], ["102"], ["103"], ["104"], []]
    assert verticals(figure) == [2]


@pytest.mark.parametrize("absent", ["row", "nan"])
def test_fig4_says_which_sample_is_missing(correlations: pd.DataFrame, absent: str) -> None:
    gone = correlations["words"] == "closed_matched"
    correlations.loc[gone, ["value", "n"]] = [np.nan, 0]
    with Style().apply():
        figure = fig4.plot(
            fig4.select_points(correlations.loc[~gone] if absent == "row" else correlations, []), Style()
        )
        figure.draw_without_rendering()
    assert list(lines(figure)) == SETS[1:4]
    assert figure.get_suptitle() == "no correlation: closed class, frequency-matched (n = 0)"
    box = figure.texts[0].get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1


def test_fig4_without_either_class_names_the_largest_threshold(correlations: pd.DataFrame, words: pd.DataFrame) -> None:
    correlations.loc[correlations["words"] != "all", "value"] = np.nan
    with pytest.raises(UserError, match="min_tagged"):
        fig4.select_points(correlations, [])
    with pytest.raises(UserError) as caught:
        fig4.select_points(correlations, [], words=words)
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
    for name in ("open", "closed"):
        ids = [i for i, count in enumerate(COUNTS) if CLASSES[i] == name and count > 50]
        expected = sorted([COUNTS[i], mean_chi(i, 3)] for i in ids)
        assert sorted(drawn[name].tolist()) == expected
    assert set(drawn) == {"open", "closed"}  # too few words for a trend
    ax = figure.axes[0]
    assert ax.get_xscale() == "log" and "after epoch 3" in ax.get_ylabel()
    assert len({line.get_marker() for line in ax.get_lines()}) == 2
    assert legend(figure) == ["open class (n = 4)", "closed class (n = 4)"]


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


@pytest.mark.integration
def test_words_that_look_like_something_else_stay_words_in_the_csv(products: Path, words: pd.DataFrame) -> None:
    odd = ["007", "1e3", "NA", "nan", "null", "None", "true", "-inf", "1,5", '"', '"",', "'", "__proto__"]
    write_words(products / "words.parquet", words.assign(word=[*WORDS[:2], *odd]))
    for figure in ("fig2", "fig5"):
        main(command(products, figure))
        with (products / f"out/{figure}.csv").open(newline="", encoding="utf-8") as file:
            drawn = {(row["word"], row["count"]) for row in csv.DictReader(file) if row["word"]}
        expected = dict(zip(odd, COUNTS[2:], strict=True))
        if figure == "fig5":
            expected = {word: n for word, n, kind in zip(odd, COUNTS[2:], CLASSES[2:], strict=True) if kind}
        assert {word for word, _ in drawn} == set(expected)
        assert all(float(n) == expected[word] for word, n in drawn)
