"""Figures 3 and 4 show the untrained model, the static gradient, and the same model on the shuffled text."""

from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest

from example_products import describe_depth, parse, write_correlations, write_state, write_words
from natural_sparsity.analysis.tensors import STATIC
from natural_sparsity.errors import UserError
from natural_sparsity.figures import fig3, fig4
from natural_sparsity.figures.style import DROP, SHUFFLED, Style

EPOCHS = [0, 1, 2]
SETS = ["all", "open", "closed", "open_matched", "closed_matched", "open_paired", "closed_paired"]
MIXED = {"data": "mixed"}


@cache
def list_rows(layers):
    """The place of each correlation of a model of so many layers, the static gradient's among them, and its number."""
    axes = [EPOCHS, ["target", "input"], describe_depth(layers), SETS]
    rows = [*product(*axes), *((epoch, "target", STATIC, words) for epoch in EPOCHS for words in SETS)]
    return {row: i for i, row in enumerate(rows)}


def find_value(seed, shuffled, place):
    """A correlation that names its place."""
    return 0.001 * list_rows(2)[place] + (0.5 if shuffled else 0) + 0.01 * seed


def write(folder, seed, shuffled=False, layers=2, **metadata):
    """The correlations of one seed on the text or on the shuffled text; other statistics and measures are decoys."""
    rows = list(list_rows(layers))
    frame = pd.DataFrame(rows, columns=["epoch", "role", "tensor", "words"])
    frame["value"] = [find_value(seed, shuffled, row) if layers == 2 else 0.1 for row in rows]
    frame = frame.assign(low=frame["value"] - 0.1, high=frame["value"] + 0.2, n=50, measure="chi", statistic="pearson")
    decoys = [frame.assign(statistic="spearman", value=9.0), frame.assign(measure="l1", value=9.0)]
    path = folder / f"{'shuffled' if shuffled else 'own'}{seed}{metadata.get('model', '')}.parquet"
    return write_correlations(path, pd.concat([*decoys, frame]), seed=seed, **metadata)


@pytest.fixture
def folder(tmp_path):
    n = 30
    words = {"id": range(2, n + 2), "word": [f"w{i}" for i in range(n)], "count": range(10 * n, 0, -10), "tagged": 9}
    classes = {"share": 1.0, "pos_class": ["open", "closed"] * (n // 2)}
    write_words(tmp_path / "words.parquet", pd.DataFrame(words | classes))
    for epoch in EPOCHS[1:]:
        # The rate drops after the last epoch: nothing is trained at the lower one.
        write_state(tmp_path / f"{epoch}.json", epoch=epoch, learning_rate_out=5 if epoch == EPOCHS[-1] else 20)
    return tmp_path


def draw(folder, name, own, control, style=None):
    """The table and the figure that the command draws."""
    module = fig4 if name == "fig4" else fig3
    options = {"correlations": own, "checkpoints": [folder / f"{epoch}.json" for epoch in EPOCHS[1:]]}
    options |= {"control": control} if control else {}
    options |= {"words": folder / "words.parquet"} if name == "fig4" else {}
    args = parse(module, **options)
    args.figure = name
    with (style := style or Style()).apply():
        table, figure = module.draw(args, style)
        figure.draw_without_rendering()
    return table, figure


@pytest.mark.parametrize("seeds", [[1], [1, 2, 5]])
@pytest.mark.parametrize(
    ("name", "column", "companions"),
    [("fig3a", "tensor", ["grad_h_2"]), ("fig3b", "tensor", ["h_e", "h_1"]), ("fig4", "words", SETS[1:])],
)
def test_the_control_is_drawn_beside_the_lines_it_controls(folder, name, column, companions, seeds):
    own = [write(folder, seed) for seed in seeds]
    control = [write(folder, seed, shuffled=True, **MIXED) for seed in seeds]
    table, figure = draw(folder, name, own, control)
    rows = table.query("kind == 'control'")
    assert list(dict.fromkeys(rows[column])) == companions
    for row in rows.to_dict("records"):
        tensor, words = ("grad_h_2", row["words"]) if name == "fig4" else (row["tensor"], "all")
        place = int(row["epoch"]), "input" if name == "fig3b" else "target", tensor, words
        values = [find_value(seed, True, place) for seed in seeds]
        assert row["rho"] == pytest.approx(np.mean(values))
        if len(seeds) > 1:
            assert row["seeds"] == len(seeds) and row["sd"] == pytest.approx(np.std(values, ddof=1))
    lines = {line.get_gid(): line for ax in figure.axes for line in ax.get_lines()}
    for companion in companions:
        line, part = lines[f"control {companion}"], rows[rows[column] == companion]
        assert line.get_ydata().tolist() == part["rho"].tolist() and line.get_xdata().tolist() == EPOCHS
        assert line.get_linewidth() < lines[companion].get_linewidth() and line.get_marker() != "None"
    assert [gid for gid in lines if str(gid).startswith("control ")] == [f"control {name}" for name in companions]
    # Each is in the panel of the line that it controls.
    assert all(lines[f"control {companion}"].axes is lines[companion].axes for companion in companions)
    low, high = figure.axes[0].get_ylim()
    shown = rows["high" if "high" in rows else "rho"]
    assert low < rows["rho"].min() and shown.max() < high
    assert [text.get_text() for text in figure.legends[0].get_texts()].count(SHUFFLED) == 1


@pytest.mark.parametrize("name", ["fig3a", "fig3b", "fig4"])
def test_a_longer_control_is_drawn_until_the_runs_end(folder, name):
    """Its lines would leave the axis of epochs, and push the panel to nothing."""
    own, control = [write(folder, 1)], [write(folder, 1, shuffled=True, **MIXED)]
    frame, about = pd.read_parquet(control[0]), {**MIXED, "model": "lstm"}
    longer = pd.concat([frame, frame[frame["epoch"] == 2].assign(epoch=3, steps=3000, value=0.9)])
    table, _ = draw(folder, name, own, [write_correlations(folder / "longer.parquet", longer, seed=1, **about)])
    pd.testing.assert_frame_equal(table, draw(folder, name, own, control)[0])


def test_a_control_of_another_depth_is_refused(folder):
    own, control = [write(folder, 1)], [write(folder, 1, shuffled=True, layers=1, **MIXED)]
    for name in ("fig3a", "fig3b", "fig4"):
        with pytest.raises(UserError, match=r"shuffled1\.parquet: tensors is .*, but in .*own1\.parquet it is"):
            draw(folder, name, own, control)


def test_fig3a_and_3b_share_a_scale_that_holds_their_controls(folder):
    panels = [
        draw(folder, name, [write(folder, 1)], [write(folder, 1, shuffled=True, **MIXED)])[1] for name in fig3.ROLES
    ]
    limits = [panel.axes[0].get_ylim() for panel in panels]
    # The last input tensor's control would lie higher, but is not drawn.
    assert limits[0] == limits[1] and limits[0][1] > find_value(1, True, (2, "input", "h_1", "all"))


def test_epoch_0_is_named_as_untrained_on_the_axis(folder):
    own = [write(folder, 1)]
    for name in ("fig3a", "fig3b", "fig4"):
        figure = draw(folder, name, own, [])[1]
        for ax in figure.axes:
            low, high = ax.get_xlim()
            assert [tick for tick in ax.get_xticks() if low <= tick <= high] == EPOCHS
            assert ax.get_xlabel() == "epoch (0: untrained)"
            assert not [line for line in ax.get_lines() if line.get_gid() == DROP]
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert "learning rate lowered" not in names and SHUFFLED not in names


@pytest.mark.parametrize("layers", [1, 3])
def test_the_control_is_that_of_the_top_and_the_first_layer_in_a_model_of_any_depth(folder, layers):
    own, control = write(folder, 1, layers=layers), write(folder, 1, shuffled=True, layers=layers, **MIXED)
    for name, tensors in (("fig3a", [f"grad_h_{layers}"]), ("fig3b", ["h_e", "h_1"])):
        table = draw(folder, name, [own], [control])[0]
        assert list(dict.fromkeys(table.query("kind == 'control'")["tensor"])) == tensors


def test_fig3a_alone_draws_the_static_gradient_and_says_what_it_is(folder):
    own = [write(folder, 1)]
    table, figure = draw(folder, "fig3a", own, [])
    rows = table.query("kind == 'correlation' and tensor == @STATIC")
    assert rows["rho"].tolist() == [find_value(1, False, (epoch, "target", STATIC, "all")) for epoch in EPOCHS]
    line = next(line for line in figure.axes[0].get_lines() if line.get_gid() == STATIC)
    assert line.get_ydata().tolist() == rows["rho"].tolist()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "static gradient\n$\\bar{p}W - W[w]$" in names
    table, figure = draw(folder, "fig3b", own, [])
    assert STATIC not in set(table["tensor"]) and len(figure.legends[0].get_texts()) == 2


@pytest.mark.parametrize("seeds", [[1], [1, 2, 5]])
@pytest.mark.parametrize("name", ["fig3a", "fig3b", "fig4"])
def test_legends_and_names_stay_inside_the_figure(folder, name, seeds):
    write_state(folder / "1.json", epoch=1, learning_rate_out=5)
    own = [write(folder, seed) for seed in seeds]
    control = [write(folder, seed, shuffled=True, **MIXED) for seed in seeds]
    for width in (3.3, None):
        figure = draw(folder, name, own, control, Style(intervals=True, width=width))[1]
        names = [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]
        band = "95 % bootstrap interval over words" if seeds == [1] else "mean ± 1 s.d. of 3 seeds"
        assert names[-2:] == ["learning rate lowered", band]
        boxes = [figure.legends[0].get_window_extent(), *(text.get_window_extent() for text in figure.axes[0].texts)]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert boxes[0].y1 <= figure.bbox.y1 and boxes[0].y0 >= figure.bbox.y0


def test_a_control_of_another_model_seed_vocabulary_or_of_the_same_data_is_refused(folder):
    own = [write(folder, 1), write(folder, 2)]
    control = [write(folder, seed, shuffled=True, **MIXED) for seed in (1, 2)]
    for given, message in (
        ([write(folder, 1, True, model="gru", **MIXED)], r"gru\.parquet: model is 'gru', but in .*own1\.parquet"),
        (control[:1], r"--control: its seeds are \[1\], but those of --correlations are \[1, 2\]"),
        (own, r"own1\.parquet: --control is of the data of --correlations"),
        ([write(folder, 9, True, vocabulary="other", **MIXED)], "vocabulary is 'other'"),
    ):
        with pytest.raises(UserError, match=message):
            draw(folder, "fig3a", own, given)
