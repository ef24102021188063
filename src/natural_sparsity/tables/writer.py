"""Write a table as Parquet, which later steps read, and as CSV, Markdown and an HTML page, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.tables import html

# The colours of some cells on the page.
CLASSES = {
    **dict.fromkeys(["reproduced", "yes"], "good"),
    **dict.fromkeys(["not reproduced", "no"], "bad"),
    **dict.fromkeys(["undecided", "open", "not testable here"], "soft"),
}


@dataclass(frozen=True)
class Grid:
    """Text in rows and columns, as readers see it; the ``caption``, Markdown, stands above it.

    ``only_here``: the table's frame does not have what this shows.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    only_here: bool = False


@dataclass(frozen=True)
class Table:
    """The numbers, tidy; the grids that show them to readers; and what the columns mean.

    ``introduction`` stands above the grids, ``note`` below them. ``groups``: columns of the frame by which rows belong
    together on the page, where texts that repeat within a group are left out. ``metadata``: what the table was made
    from, for the commands that read it.
    """

    frame: pd.DataFrame
    grids: Sequence[Grid] = field(default_factory=list)
    introduction: str = ""
    note: str = ""
    groups: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def write(table: Table, title: str, stem: Path | str) -> None:
    """Write ``stem``.csv, .md, .html and, last, .parquet."""
    with files.atomic(f"{stem}.csv") as path:
        table.frame.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(f"{stem}.md") as path:
        path.write_text(render_markdown(table, title), encoding="utf-8")
    with files.atomic(f"{stem}.html") as path:
        path.write_text(render_page(table, title), encoding="utf-8")
    files.write_parquet(f"{stem}.parquet", table.frame, dict(table.metadata))


def render_markdown(table: Table, title: str) -> str:
    """The grids, under a heading."""
    parts = [f"# {title}", table.introduction]
    for grid in table.grids:
        lines = [grid.heads, ["---"] * len(grid.heads), *grid.rows]
        parts += [grid.caption, "\n".join(render_line(line) for line in lines)]
    return "\n\n".join(filter(None, [*parts, table.note])) + "\n"


def render_line(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def render_page(table: Table, title: str) -> str:
    """A page with every row of the CSV, every column of it that is not empty, and the grids of what it lacks."""
    blank = table.frame.isna() | table.frame.astype(object).map(lambda value: value == "")
    filled = table.frame.loc[:, ~blank.all()].astype(object)
    cells = filled.mask(blank[filled.columns], None).to_numpy().tolist()
    above, below = (f"<p>{escape(text)}</p>\n" if text else "" for text in (table.introduction, table.note))
    body = f"{above}{html.render_table(filled.columns.tolist(), cells, CLASSES, table.groups)}\n{below}"
    for grid in table.grids:
        if grid.only_here:
            rows = [[strip_markdown(cell) for cell in row] for row in grid.rows]
            body += f"<p>{escape(strip_markdown(grid.caption))}</p>\n{html.render_table(grid.heads, rows, CLASSES)}\n"
    return html.render_page(title, body)


def strip_markdown(text: str) -> str:
    """Text of a grid without its marks."""
    return text.replace("**", "").replace("<br>", "; ")


def format_interval(value: float, low: float, high: float, form: str = ".1f") -> str:
    """A value with the ends of its interval, where it has some: ``5.0 (4.0 to 6.0)``."""
    text = f"{value:{form}}"
    return text if pd.isna(low) else f"{text} ({low:{form}} to {high:{form}})"
