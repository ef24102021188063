"""The figure of the sentence filter draws the shares of its table, and marks the configured min_count."""

import numpy as np
import pandas as pd
import pytest

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.figures import retention
from natural_sparsity.figures.style import Style

# min_count, sentences, tokens, types, unknown_tokens
ROWS = [(1, 100, 1000, 300, 0), (2, 60, 500, 100, 10), (3, 30, 200, 50, 30), (5, 2, 10, 4, 5), (10, 0, 0, 0, 0)]
COLUMNS = ["min_count", "sentences", "tokens", "types", "unknown_tokens"]


@pytest.fixture
def thresholds():
    return pd.DataFrame(ROWS, columns=COLUMNS)


def write(folder, thresholds, min_count, given_splits=False):
    """The command that draws what the filter wrote with ``min_count``."""
    files.write_parquet(folder / "thresholds.parquet", thresholds)
    files.write_json(folder / "filter.json", {"min_count": min_count, "given_splits": given_splits})
    inputs = ["--thresholds", f"{folder}/thresholds.parquet", "--account", f"{folder}/filter.json"]
    return ["draw", "retention", *inputs, "--data", "mine", "--output", f"{folder}/drawn"]


def test_the_shares_are_of_the_whole_text_and_of_what_is_kept(thresholds, tmp_path):
    main(write(tmp_path, thresholds, 3))
    table = pd.read_csv(tmp_path / "drawn.csv")
    assert table["min_count"].tolist() == [1, 2, 3], "a run needs more than four words"
    assert table["tokens_kept"].tolist() == [1, 0.5, 0.2]
    assert table["vocabulary"].tolist() == [300, 100, 50]
    assert table["unknown"].tolist() == [0, 0.02, 0.15]
    assert table["configured"].tolist() == [False, False, True]
    assert (tmp_path / "drawn.pdf").stat().st_size > 1000
    assert (tmp_path / "drawn.png").stat().st_size > 1000


def test_the_lines_are_the_table_and_the_configured_min_count_is_marked(thresholds):
    table = retention.find_shares(thresholds, 3)
    with Style().apply():
        figure = retention.plot(table, Style(), "mine", "character")
    for ax, column in zip(figure.axes, ("tokens_kept", "vocabulary", "unknown"), strict=True):
        [line] = [line for line in ax.get_lines() if line.get_gid() == column]
        np.testing.assert_array_equal(line.get_xydata(), table[["min_count", column]])
        assert ax.get_lines()[0].get_xdata()[0] == 3, "the vertical"
        assert ax.get_xscale() == "log"
        assert table[column].max() <= ax.get_ylim()[1] <= ax.get_yticks()[-1] * (1 + 1e-9), "a tick above all points"
    assert figure.axes[1].get_yscale() == "log"
    labels = [figure.axes[-1].get_xlabel(), *(ax.get_ylabel().replace("\n", " ") for ax in figure.axes)]
    assert labels == [
        "min_count (least occurrences of a character)",
        "tokens kept (share of all)",
        "vocabulary (characters)",
        "<unk> (share of kept tokens)",
    ]
    title = "mine, min_count 3\n20 % of the tokens kept\nvocabulary 50 characters, 15 % <unk>"
    assert figure.get_suptitle() == title


def test_a_min_count_that_leaves_no_word_is_drawn(thresholds, tmp_path):
    main(write(tmp_path, thresholds, 10))
    assert pd.read_csv(tmp_path / "drawn.csv")["min_count"].tolist() == [1, 2, 3, 10]
    with Style().apply():
        figure = retention.plot(retention.find_shares(thresholds, 10), Style())
        figure.draw_without_rendering()
    assert figure.get_suptitle() == "min_count 10\n0 % of the tokens kept\nvocabulary 0 words"
    [line] = [line for line in figure.axes[1].get_lines() if line.get_gid() == "vocabulary"]
    assert line.get_xdata().tolist() == [1, 2, 3], "0 has no place on a logarithmic axis"


def test_a_text_of_a_few_characters_is_drawn_whole():
    rows = [(1, 9, 900, 5, 0), (2, 8, 800, 4, 0), (100, 0, 0, 0, 0)]
    assert retention.find_shares(pd.DataFrame(rows, columns=COLUMNS), 1)["min_count"].tolist() == [1]
    rows[1] = (2, 8, 800, 5, 0)
    assert retention.find_shares(pd.DataFrame(rows, columns=COLUMNS), 1)["min_count"].tolist() == [1, 2]


def test_given_splits_have_no_panel_of_what_is_kept(tmp_path):
    """No sentence is dropped, so the share would be 100 % throughout."""
    rows = pd.DataFrame([(1, 9, 900, 500, 3), (2, 9, 900, 200, 50)], columns=COLUMNS)
    main(write(tmp_path, rows, 2, given_splits=True))
    assert "tokens_kept" not in pd.read_csv(tmp_path / "drawn.csv")
    with Style().apply():
        figure = retention.plot(retention.find_shares(rows, 2, given_splits=True), Style())
    assert len(figure.axes) == 2
    assert figure.get_suptitle() == "min_count 2\nvocabulary 200 words, 5.6 % <unk>"


@pytest.mark.parametrize(
    "rows", [ROWS[:1], ROWS[:2], [(10**k, 9, 9 * 10**6 // 10**k, 10**7 // 10**k, 0) for k in range(7)]]
)
def test_its_labels_do_not_overlap(rows):
    """Tables of one row, of few and of seven decades."""
    table = retention.find_shares(pd.DataFrame(rows, columns=COLUMNS), rows[0][0])
    with Style().apply():
        figure = retention.plot(table, Style())
        figure.draw_without_rendering()
        for ax in figure.axes:
            for axis, far, near in ((ax.xaxis, "x1", "x0"), (ax.yaxis, "y1", "y0")):
                shown = [tick.label1 for tick in axis.get_major_ticks() if tick.label1.get_text()]
                boxes = [label.get_window_extent() for label in shown if label.get_visible()]
                ends = sorted((getattr(box, near), getattr(box, far)) for box in boxes)
                assert all(end < start for (_, end), (start, _) in zip(ends, ends[1:], strict=False))
        title = figure._suptitle.get_window_extent()
        assert title.x0 >= 0 and title.x1 <= figure.bbox.x1


def test_files_that_do_not_belong_together_are_refused(thresholds, tmp_path, capsys):
    command = write(tmp_path, thresholds, 3)
    files.write_json(tmp_path / "filter.json", {"min_count": 4, "given_splits": False})
    with pytest.raises(SystemExit, match="no row for the min_count 4"):
        main(command)
