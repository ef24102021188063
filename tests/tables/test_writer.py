"""One writer for all tables: the CSV as numbers, Markdown and a page for readers."""

import re

import pandas as pd
import pytest

from fresh_imports import import_each
from natural_sparsity import files, registry
from natural_sparsity.cli import main
from natural_sparsity.tables.writer import Grid, Table, format_interval, write

FRAME = pd.DataFrame(
    {
        "claim": ["a", "a", "b"],
        "verdict": ["reproduced", "reproduced", "reproduced"],
        "value": [0.5, float("nan"), -2.0],
        "n": pd.array([500, None, 1000], "Int64"),
        "reason": ["", "<b> & | so", ""],
        "empty": ["", "", ""],
        "missing": [None] * 3,
    }
)


@pytest.fixture
def table():
    rows = [["a|b", "0.5", "**undecided**, because 0.5<br>< `c`"], ["c", "–", "reproduced"]]
    grids = [Grid(["Claim", "Values", "Verdict"], rows, "**First**"), Grid(["x"], [["1\u2009000"]])]
    return Table(FRAME, grids, "Before.", "After.")


def test_the_csv_has_every_column_and_the_same_bytes_again(table, tmp_path):
    write(table, "Title", tmp_path / "sub/stem")
    first = {path.name: path.read_bytes() for path in (tmp_path / "sub").iterdir()}
    assert set(first) == {"stem.parquet", "stem.csv", "stem.md", "stem.html"}
    pd.testing.assert_frame_equal(files.read_parquet(tmp_path / "sub/stem.parquet", list(FRAME)), FRAME)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "sub/stem.csv")[["value"]], FRAME[["value"]])
    assert first["stem.csv"].splitlines()[0] == b"claim,verdict,value,n,reason,empty,missing"
    write(table, "Title", tmp_path / "sub/stem")
    assert {path.name: path.read_bytes() for path in (tmp_path / "sub").iterdir()} == first


def test_markdown_has_heading_grids_and_notes_and_a_bar_in_a_cell_stays_in_it(table, tmp_path):
    write(table, "Title", tmp_path / "stem")
    lines = (tmp_path / "stem.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line] == [
        "# Title", "Before.", "**First**",
        "| Claim | Values | Verdict |", "| --- | --- | --- |",
        "| a\\|b | 0.5 | **undecided**, because 0.5<br>< `c` |", "| c | – | reproduced |",
        "| x |", "| --- |", "| 1\u2009000 |", "After.",
    ]  # fmt: skip


def test_the_page_shows_the_same_grids(table, tmp_path):
    write(table, "Title", tmp_path / "stem")
    page = (tmp_path / "stem.html").read_text(encoding="utf-8")
    assert re.findall(r"<th>(.*?)</th>", page) == ["Claim", "Values", "Verdict", "x"]
    rows = [re.findall(r"<td.*?</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    assert [row for row in rows if row] == [
        [
            '<td class="">a|b</td>',
            '<td class="number">0.5</td>',
            '<td class="soft"><b>undecided</b>, because 0.5<br>&lt; <code>c</code></td>',
        ],
        ['<td class="">c</td>', '<td class="">–</td>', '<td class="good">reproduced</td>'],
        ['<td class="number">1\u2009000</td>'],
    ]
    texts = ["<p>Before.</p>", "<p><b>First</b></p>", "<table>", "<p>After.</p>"]
    assert [page.index(text) for text in texts] == sorted(page.index(text) for text in texts)


def test_an_interval_is_shown_where_there_is_one():
    assert format_interval(5.04, 4.0, 6.0) == "5.0 (4.0 to 6.0)"
    assert format_interval(5.04, float("nan"), float("nan"), "+.2f") == "+5.04"
    assert format_interval(-0.5, -1.0, 0.25, "+.1f") == "−0.5 (−1.0 to +0.2)"


@pytest.mark.parametrize("name", registry.TABLES)
def test_every_table_says_what_it_needs(name, capsys):
    with pytest.raises(SystemExit):
        main(["tabulate", name, "--title", "t", "--output", "nowhere"])
    assert re.search("required: --", capsys.readouterr().err)
    with pytest.raises(SystemExit, match="0"):
        main(["tabulate", name, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: natural-sparsity tabulate {name} ")


@pytest.mark.integration
def test_a_table_imports_no_other_table_and_no_torch():
    names = list(registry.TABLES.values())
    for name, modules in import_each(names).items():
        assert [other for other in names if f"natural_sparsity.{other}" in modules] == [name]
        assert not {"torch", "matplotlib"} & modules, name
