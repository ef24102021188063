"""Write a table as Parquet, which later steps read, and as CSV, Markdown and an HTML page, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.tables import html

# The colours of the page's cells, by what they say.
CLASSES = {
    **dict.fromkeys(["reproduced", "yes"], "good"),
    **dict.fromkeys(["not reproduced", "no"], "bad"),
    **dict.fromkeys(["undecided", "not testable here"], "soft"),
}


@dataclass(frozen=True)
class Grid:
    """Text in rows and columns, as readers see it; the ``caption``, Markdown, stands above it."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """The numbers, tidy; the grids that show them to readers; and what the columns mean.

    ``introduction`` stands above the grids, ``note`` below them. ``metadata``: what the table was made from, for the
    commands that read it.
    """

    frame: pd.DataFrame
    grids: Sequence[Grid] = field(default_factory=list)
    introduction: str = ""
    note: str = ""
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
    """The same, as a page."""
    parts = [render_paragraph(table.introduction)]
    for grid in table.grids:
        parts += [render_paragraph(grid.caption), html.render_grid(grid.heads, grid.rows, CLASSES)]
    return html.render_page(title, "\n".join(filter(None, [*parts, render_paragraph(table.note)])))


def render_paragraph(text: str) -> str:
    """A paragraph of Markdown; nothing if there is no text."""
    return f"<p>{html.render_marks(text)}</p>" if text else ""


def format_interval(value: float, low: float, high: float, form: str = ".1f") -> str:
    """A value with the ends of its interval, where it has some: ``5.0 (4.0 to 6.0)``. A minus is a true minus."""
    text = f"{value:{form}}"
    text = text if pd.isna(low) else f"{text} ({low:{form}} to {high:{form}})"
    return text.replace("-", "−")
