"""The figure of claims shows every value, interval and verdict of its table."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from example_claims import EPOCHS, REFUTED, make_tables
from example_products import write_correlations, write_state
from natural_sparsity import files
from natural_sparsity.analysis.claims import CLAIMS, NOT_TESTABLE, REPRODUCED
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.figures import claims
from natural_sparsity.figures.style import Style


@pytest.fixture
def products(tmp_path):
    """The files of a run in which one claim fails and one cannot be told."""
    for frame, name in zip(make_tables(REFUTED["target words: strongly ∇h²"]), ("c", "d"), strict=True):
        write_correlations(tmp_path / f"{name}.parquet", frame)
    for epoch in EPOCHS:
        write_state(tmp_path / f"{epoch}.json", epoch=epoch)
    return tmp_path


def command(folder):
    given = ["--correlations", f"{folder}/c.parquet", "--differences", f"{folder}/d.parquet"]
    given += ["--checkpoints", *(f"{folder}/{epoch}.json" for epoch in EPOCHS)]
    return ["tabulate", "claims", *given, "--title", "Claims", "--output", f"{folder}/claims"]


def drawn(folder) -> Figure:
    main(command(folder))
    with Style().apply():
        result = claims.plot(claims.read_claims([folder / "claims.parquet"]), Style())
        result.draw_without_rendering()
    return result


def test_the_figure_shows_every_value_interval_and_verdict(products):
    result = drawn(products)
    table = pd.read_csv(products / "claims.csv")
    ax = result.axes[0]
    points = {str(line.get_gid()): line for line in ax.get_lines() if ": " in str(line.get_gid())}
    evidence = table.dropna(subset="value")
    assert len(points) == len(evidence) == 19
    assert [line.get_xdata()[0] for line in points.values()] == evidence["value"].tolist()
    intervals = [line.get_xdata() for line in ax.get_lines() if len(line.get_xdata()) == 2][: len(evidence)]
    np.testing.assert_allclose(
        sorted(map(tuple, intervals)), sorted(zip(evidence["low"], evidence["high"], strict=True))
    )
    texts = [text.get_text() for text in ax.texts]
    for verdict, count in table.drop_duplicates("claim")["verdict"].value_counts().items():
        assert texts.count(verdict) == count
    assert "the learning rate never dropped" in texts
    # Neither text nor axis leaves the figure, and names end before the axis begins.
    inside = ax.get_window_extent()
    for text in ax.texts:
        box = text.get_window_extent()
        assert result.bbox.x0 <= box.x0 and box.x1 <= result.bbox.x1 and box.y1 <= result.bbox.y1
        if text.get_ha() == "right" and text.get_text() in set(evidence["evidence"]):
            assert box.x1 < inside.x0
    looks = {(line.get_marker(), line.get_color()) for line in points.values()}
    assert len(looks) == 2


@pytest.mark.integration
def test_the_figures_command_writes_what_it_drew_and_the_same_bytes_again(products):
    main(command(products))
    contents = []
    for name in ("one", "two"):
        main(["draw", "claims", "--claims", f"{products}/claims.parquet", "--output", f"{products}/{name}"])
        contents.append([(products / f"{name}.{kind}").read_bytes() for kind in ("csv", "pdf", "png")])
    assert contents[0] == contents[1]
    table = pd.read_csv(products / "claims.csv")
    pd.testing.assert_frame_equal(pd.read_csv(products / "one.csv"), table[claims.COLUMNS], check_exact=True)


def test_several_seeds_share_the_lines_and_their_verdicts_are_counted(products):
    main(command(products))
    other = pd.read_parquet(products / "claims.parquet")
    changed = other["claim"] == "target words: strongly ∇h²"
    other.loc[changed, ["verdict", "value", "holds"]] = [REPRODUCED, 0.75, "yes"]
    files.write_parquet(products / "other.parquet", other.assign(seed=2))
    files.write_parquet(products / "third.parquet", pd.read_parquet(products / "claims.parquet").assign(seed=7))
    table = claims.read_claims([products / f"{name}.parquet" for name in ("claims", "other", "third")])
    assert table["seed"].unique().tolist() == [1, 2, 7]
    with Style().apply():
        result = claims.plot(table, Style())
        result.draw_without_rendering()
    ax = result.axes[0]
    texts = [text.get_text() for text in ax.texts]
    assert "1 reproduced, 2 not reproduced" in texts
    assert texts.count("3 reproduced") == len(CLAIMS) - 2
    points = [line for line in ax.get_lines() if str(line.get_gid()).startswith("target words: strongly ∇h²")]
    assert sorted(line.get_xdata()[0] for line in points) == [0.25, 0.25, 0.75]
    assert len({line.get_ydata()[0] for line in points}) == 3
    assert "0.42 [0.25, 0.75], 3 seeds" in texts
    files.write_parquet(products / "short.parquet", pd.read_parquet(products / "claims.parquet")[:3])
    with pytest.raises(UserError, match=r"short\.parquet: has other claims"):
        claims.read_claims([products / "claims.parquet", products / "short.parquet"])
    with pytest.raises(UserError, match="two are of one seed"):
        claims.read_claims([products / "claims.parquet", products / "claims.parquet"])
    files.write_parquet(products / "other.parquet", other.assign(seed=2, model="gru"))
    with pytest.raises(UserError, match=r"other\.parquet: model is 'gru', but in .*claims\.parquet it is 'lstm'"):
        claims.read_claims([products / "claims.parquet", products / "other.parquet"])


def test_the_figure_of_a_run_without_any_evidence(products):
    for name in ("c", "d"):
        path = products / f"{name}.parquet"
        write_correlations(path, pd.read_parquet(path).assign(n=3))
    result = drawn(products)
    texts = [text.get_text() for text in result.axes[0].texts]
    assert texts.count(NOT_TESTABLE) == len(CLAIMS)


def test_a_file_that_is_no_claims_table_is_refused(tmp_path):
    files.write_parquet(tmp_path / "x.parquet", pd.DataFrame({"claim": ["a"], "verdict": ["reproduced"]}))
    with pytest.raises(UserError, match=r"x\.parquet: no column"):
        claims.read_claims([tmp_path / "x.parquet"])
