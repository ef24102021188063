"""Bands of bootstrap intervals: drawn where asked for, and then in the CSV."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from example_products import describe_depth, write_correlations, write_state, write_words
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.figures import fig3, fig4
from natural_sparsity.figures.style import BAND, Style

TENSORS = describe_depth(2)
SETS = ["all", "open", "closed", "open_matched", "closed_matched", "open_paired", "closed_paired"]


@pytest.fixture
def correlations():
    rows = [
        (epoch, role, tensor, words, 0.01 * i + 0.1 * epoch + 0.001 * j)
        for epoch in (1, 2, 3)
        for role in ("target", "input")
        for i, tensor in enumerate(TENSORS)
        for j, words in enumerate(SETS)
    ]
    frame = pd.DataFrame(rows, columns=["epoch", "role", "tensor", "words", "value"]).assign(kind="correlation")
    return frame.assign(low=frame["value"] - 0.3, high=frame["value"] + 0.2 * frame["epoch"], n=100)


@pytest.fixture
def words():
    classes = {"pos_class": ["open", "closed"] * 6, "matched": True, "pair": [0, 0, 1, 1] + [-1] * 8}
    names = [f"w{i}" for i in range(12)]
    return pd.DataFrame(
        {"id": range(2, 14), "word": names, "count": range(50, 62), "tagged": 9, "share": 1.0} | classes
    )


def bands(figure):
    """The vertices of each band."""
    collections = [c for ax in figure.axes for c in ax.collections]
    drawn = [c for c in collections if isinstance(c, PolyCollection) and c.get_gid() == BAND]
    return [band.get_paths()[0].vertices for band in drawn]


@pytest.mark.parametrize("figure", ["fig3a", "fig4"])
def test_bands_reach_from_low_to_high_within_the_axes(correlations, words, figure):
    style = Style()
    with style.apply():
        if figure == "fig3a":
            drawn = fig3.plot(fig3.select_points(correlations, [], "target"), style)
        else:
            drawn = fig4.plot(fig4.select_points(correlations, [], words), style)
    chosen = correlations.query("role == 'target'")
    chosen = chosen.query("words == 'all'") if figure == "fig3a" else chosen.query("tensor == 'grad_h_2'")
    groups = chosen[(chosen["words"] != "all") | (figure == "fig3a")].groupby(
        "tensor" if figure == "fig3a" else "words"
    )
    expected = {tuple(np.round([*part["low"], *part["high"]], 9)) for _, part in groups}
    found = set()
    for vertices in bands(drawn):
        ends = [vertices[vertices[:, 0] == epoch, 1] for epoch in (1, 2, 3)]
        found.add(tuple(np.round([*(y.min() for y in ends), *(y.max() for y in ends)], 9)))
    assert found == expected
    bottom, top = drawn.axes[0].get_ylim()
    assert bottom <= chosen["low"].min() and chosen["high"].max() <= top


@pytest.mark.integration
@pytest.mark.parametrize(
    ("figure", "style", "shown"),
    [("fig3a", "{}", False), ("fig4", "{}", True), ("fig3b", '{"intervals": true}', True)]
    + [("fig4", '{"intervals": false}', False)],
)
def test_the_csv_holds_intervals_where_they_are_drawn(correlations, words, tmp_path, figure, style, shown):
    write_correlations(tmp_path / "c.parquet", correlations.assign(measure="chi", statistic="pearson"))
    write_state(tmp_path / "s.json")
    given = ["--correlations", f"{tmp_path}/c.parquet", "--checkpoints", f"{tmp_path}/s.json"]
    write_words(tmp_path / "w.parquet", words)
    given += ["--words", f"{tmp_path}/w.parquet"] if figure == "fig4" else []
    main(["draw", figure, *given, "--style", style, "--output", f"{tmp_path}/figure"])
    table = pd.read_csv(tmp_path / "figure.csv").query("kind == 'correlation'")
    assert ("low" in table) == ("high" in table) == shown
    if shown:
        np.testing.assert_allclose(table["low"], table["rho"] - 0.3)


def test_a_style_that_is_neither_is_refused():
    with pytest.raises(UserError, match="--style.intervals: 1 is not true, false,? or null"):
        Style.parse('{"intervals": 1}')
