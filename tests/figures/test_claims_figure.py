"""The figure of claims shows every deciding value, its interval, range, controls and verdict."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from example_claims import EPOCHS, REFUTED, but, make_run, write_claims
from natural_sparsity import files
from natural_sparsity.analysis.claims import CLAIMS
from natural_sparsity.analysis.rules import NOT_TESTABLE, REPRODUCED, UNDECIDED
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.figures import claims
from natural_sparsity.figures.style import Style

STRONG = "target words: strongly ∇h²"


@pytest.fixture
def path(tmp_path):
    """The claims of a run in which one fails, one is undecided, and one cannot be told; with a control."""
    path = write_claims(tmp_path / "claims.parquet", control=make_run(), dropped=[], **REFUTED[STRONG])
    table = pd.read_parquet(path)
    row = (table["claim"] == "target words: ∇h² increasingly") & table["value"].notna()
    assert row.sum() == 1
    table.loc[row, ["verdict", "also", "holds", "low", "value", "high"]] = [UNDECIDED, "", "open", 0.002, 0.045, 0.11]
    rewrite(path, path, table)
    return path


def rewrite(path, source, table):
    """A table with the metadata of another file."""
    metadata = {key: value for key, value in files.read_metadata(source).items() if key != "digest"}
    files.write_parquet(path, table, metadata)
    return path


def plot(*paths) -> Figure:
    with Style().apply():
        result = claims.plot(claims.read_claims(paths), Style())
        result.draw_without_rendering()
    return result


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def find_points(figure):
    """The marks of values and of differences, by name; and the axis of each."""
    lines = [(str(line.get_gid()), line) for ax in figure.axes for line in ax.get_lines()]
    return {gid: line for gid, line in lines if ": " in gid}


def test_the_figure_shows_every_value_interval_and_verdict(path):
    figure = plot(path)
    table = pd.read_parquet(path)
    shown = table.loc[table["shown"].fillna(False).astype(bool)]
    assert len(shown) < table["value"].count()  # of many values, the one that decides
    points = {gid: line for gid, line in find_points(figure).items() if not gid.endswith(("untrained", "shuffled"))}
    assert sorted(line.get_xdata()[0] for line in points.values()) == sorted(shown["value"])
    intervals = [line.get_xdata() for ax in figure.axes for line in ax.get_lines() if line.get_gid() == "interval"]
    expected = sorted(zip(shown["low"], shown["high"], strict=True))
    np.testing.assert_allclose(sorted(map(tuple, intervals)), expected)
    for verdict, count in table.drop_duplicates("claim").groupby(["verdict", "also"]).size().items():
        assert texts(figure).count(", ".join(filter(None, verdict))) == count
    assert "the learning rate never dropped" in texts(figure)
    # Neither text leaves the figure nor runs into another column.
    for text in (text for ax in figure.axes for text in ax.texts):
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        if text.get_ha() == "right" and "epoch" in text.get_text():
            assert box.x1 < figure.axes[0].get_window_extent().x0
    assert figure.legends[0].get_window_extent().y1 < min(
        text.get_window_extent().y0 for ax in figure.axes for text in ax.texts
    )


def test_undecided_values_differ_from_others_and_keep_the_sign_that_decides(path):
    figure = plot(path)
    looks = {}
    for gid, line in find_points(figure).items():
        if not gid.endswith(("untrained", "shuffled")):
            looks.setdefault((line.get_marker(), to_hex(line.get_color())), []).append(gid.partition(":")[2])
    assert len(looks) == 3
    assert "0.045 [0.002, 0.110], n = 500" in texts(figure)
    verdict = next(t for ax in figure.axes for t in ax.texts if t.get_text() == UNDECIDED)
    colors = {t.get_text(): to_hex(t.get_color()) for ax in figure.axes for t in ax.texts}
    assert len({to_hex(verdict.get_color()), colors[REPRODUCED], colors["not reproduced"], colors[NOT_TESTABLE]}) == 4


def test_each_quantity_has_an_axis_of_its_own_scale(path):
    table = pd.read_parquet(path)
    table.loc[table["quantity"].str.startswith("mean", na=False), ["value", "low", "high", "low_all", "high_all"]] /= (
        1e3
    )
    figure = plot(rewrite(path, path, table))
    labels = [ax.get_xlabel().replace("\n", " ") for ax in figure.axes]
    correlations, means = (figure.axes[i] for i, label in enumerate(labels) if ", or difference" in label)
    assert labels.count("correlation, or difference") == 1 and labels.count(f"{quantity(table)}, or difference") == 1
    drawn = {gid.rpartition(": ")[2] for line in means.get_lines() if ": " in (gid := str(line.get_gid()))}
    assert drawn and all("mean χ" in gid for gid in drawn)
    assert not any("mean χ" in str(line.get_gid()) for line in correlations.get_lines())


def quantity(table):
    return next(name for name in table["quantity"].dropna().unique() if name.startswith("mean"))


def test_the_range_claimed_is_shaded_from_the_smallest_effect(path):
    figure = plot(path)
    ax = figure.axes[0]
    line = find_points(figure)[f"{STRONG}: ρ←(∇h²), epoch 9"]
    y = line.get_ydata()[0]
    shades = [c.get_paths()[0].get_extents() for c in ax.collections if isinstance(c, PolyCollection)]
    [shade] = [box for box in shades if box.y0 < y < box.y1]
    assert (shade.x0, shade.x1) == pytest.approx((0.3, ax.get_xlim()[1]))


def test_differences_from_controls_are_drawn_filled_where_they_exclude_0(path):
    table = pd.read_parquet(path)
    compared = table["shown"].fillna(False).astype(bool) & table["shuffled"].notna()
    assert compared.sum() > 5
    first = table.index[compared][0]
    table.loc[first, ["shuffled", "shuffled_low", "shuffled_high"]] = [0.1, -0.01, 0.3]
    points = find_points(plot(rewrite(path, path, table)))
    for name in ("untrained", "shuffled"):
        shown = table[table["shown"].fillna(False).astype(bool)].dropna(subset=name)
        marks = [line for gid, line in points.items() if gid.endswith(f" {name}")]
        assert sorted(line.get_xdata()[0] for line in marks) == sorted(shown[name])
        clear = (shown[f"{name}_low"] > 0) | (shown[f"{name}_high"] < 0)
        assert sum(line.get_markerfacecolor() != "white" for line in marks) == clear.sum()
    legend = [text.get_text() for text in plot(path).legends[0].get_texts()]
    assert legend[-3:] == ["value − untrained", "value − shuffled", "hollow: its interval contains 0"]


def test_a_run_without_controls_has_no_axis_for_them(tmp_path):
    path = write_claims(tmp_path / "claims.parquet", epochs=EPOCHS[1:])
    figure = plot(path)
    assert not any("control" in ax.get_xlabel() for ax in figure.axes)
    assert not any("−" in text.get_text() for text in figure.legends[0].get_texts())


@pytest.mark.integration
def test_the_figures_command_writes_what_it_drew_and_the_same_bytes_again(path, tmp_path):
    contents = []
    for name in ("one", "two"):
        main(["draw", "claims", "--claims", str(path), "--output", f"{tmp_path}/{name}"])
        contents.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("csv", "pdf", "png")])
    assert contents[0] == contents[1]
    drawn, table = pd.read_csv(tmp_path / "one.csv"), pd.read_parquet(path)
    table = table[table["shown"].fillna(True).astype(bool)]
    assert drawn["claim"].tolist() == table["claim"].tolist()
    for name in ("value", "low_all", "untrained", "shuffled"):
        np.testing.assert_array_equal(drawn[name], table[name])


def test_several_seeds_share_the_lines_and_their_verdicts_are_counted(path, tmp_path):
    other = pd.read_parquet(path)
    changed = other["claim"] == STRONG
    other.loc[changed, ["verdict", "value", "holds", "also"]] = [REPRODUCED, 0.75, "yes", "also without language"]
    paths = [
        path,
        rewrite(tmp_path / "two.parquet", path, other.assign(seed=2)),
        rewrite(tmp_path / "seven.parquet", path, pd.read_parquet(path).assign(seed=7)),
    ]
    assert claims.read_claims(paths)["seed"].unique().tolist() == [1, 2, 7]
    figure = plot(*paths)
    assert "1 reproduced (1 also without language), 2 not reproduced" in texts(figure)
    assert "3 reproduced" in texts(figure) and "3 not testable" in texts(figure)
    lines = [line for ax in figure.axes for line in ax.get_lines() if line.get_gid() == f"{STRONG}: ρ←(∇h²), epoch 9"]
    assert sorted(line.get_xdata()[0] for line in lines) == [0.25, 0.25, 0.75]
    assert len({line.get_ydata()[0] for line in lines}) == 3
    assert "0.42 [0.25, 0.75], 3 seeds" in texts(figure)
    short = rewrite(tmp_path / "short.parquet", path, other[:3].assign(seed=3))
    with pytest.raises(UserError, match=r"short\.parquet: has other claims"):
        claims.read_claims([path, short])
    with pytest.raises(UserError, match="two are of one seed"):
        claims.read_claims([path, path])
    gru = rewrite(tmp_path / "gru.parquet", path, other.assign(seed=2, model="gru"))
    with pytest.raises(UserError, match=r"gru\.parquet: model is 'gru', but in .*claims\.parquet it is 'lstm'"):
        claims.read_claims([path, gru])


def test_seeds_that_show_another_value_of_a_part_share_its_line(tmp_path):
    name = "target words: not h²"
    extremes = {1: 2, 2: 5}
    paths = [
        write_claims(tmp_path / f"{seed}.parquet", seed, value=but(role="target", tensor="h_2", epoch=epoch, to=0.2))
        for seed, epoch in extremes.items()
    ]
    figure = plot(*paths)
    label = f"extreme of {len(EPOCHS) - 1}, of each seed"
    lines = [line for ax in figure.axes for line in ax.get_lines() if line.get_gid() == f"{name}: {label}"]
    assert [line.get_xdata()[0] for line in lines] == [0.2, 0.2] and label in texts(figure)


def test_the_figure_of_a_run_without_any_evidence(tmp_path):
    figure = plot(write_claims(tmp_path / "claims.parquet", n=3))
    assert texts(figure).count(NOT_TESTABLE) == len(CLAIMS)
    assert len(figure.axes) == 1


def test_a_file_that_is_no_claims_table_is_refused(tmp_path):
    files.write_parquet(tmp_path / "x.parquet", pd.DataFrame({"claim": ["a"], "verdict": ["reproduced"]}))
    with pytest.raises(UserError, match=r"x\.parquet: no column"):
        claims.read_claims([tmp_path / "x.parquet"])
