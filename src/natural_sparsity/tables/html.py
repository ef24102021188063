"""A plain page of tables: no script, nothing from other sites, light and dark."""

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
:root {
  color-scheme: light dark; --page: #fff; --ink: #1c1c1f; --soft: #5d5d66; --line: #deded9;
  --good: #006b4f; --bad: #a84300
}
@media (prefers-color-scheme: dark) {
  :root { --page: #1b1b1f; --ink: #ececf1; --soft: #a2a2ad; --line: #34343b; --good: #2fbf95; --bad: #f58a4b }
}
body { margin: 1.5rem; background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 1.25rem } h2 { font-size: 1.05rem; margin-top: 2rem }
table { border-collapse: collapse; font-size: 0.875rem }
th { text-align: left; color: var(--soft); font-weight: 500; position: sticky; top: 0; background: var(--page) }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.long { min-width: 16rem }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.good { color: var(--good) } .bad { color: var(--bad) } .soft { color: var(--soft) }
pre { padding: 0.8rem 1rem; border: 1px solid var(--line); border-radius: 6px; font-size: 0.8rem; overflow-x: auto }
"""

NUMBER = re.compile(r"[+−-]?[\d,.\u2009]+( ?%)?$")


def render_page(title: str, body: str) -> str:
    """A whole page around ``body``, which is markup."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{escape(title)}</title><style>{STYLE}</style>"
    body = f"<body><h1>{escape(title)}</h1>\n{body}\n</body>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n{body}</html>\n'


def format_cell(value: Any) -> str:
    """A cell's text: integers without decimals, other numbers with three, a dash for a missing value."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) >= 2):
        return f"{int(value):,}".replace(",", "\u2009")
    if isinstance(value, float):
        return f"{value:.3g}" if 0 < abs(value) < 0.001 or abs(value) >= 1e6 else f"{value:.3f}".replace("-", "−")
    return str(value)


def render_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of values, numbers aligned right, with a cell for each column."""
    cells = []
    for row in rows:
        texts = [format_cell(value) for value in row]
        numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in row]
        cells.append([render_cell(escape(text), text, number) for text, number in zip(texts, numbers, strict=True)])
    return join_table([escape(column) for column in columns], cells)


def render_grid(heads: Sequence[str], rows: Sequence[Sequence[str]], classes: Mapping[str, str]) -> str:
    """A table of text with Markdown's marks.

    Args:
        heads: of the columns.
        rows: a cell for each column.
        classes: a class of the style by what a cell says, in bold if it says more.
    """
    cells = []
    for row in rows:
        said = [bold[1] if (bold := re.match(r"\*\*(.+?)\*\*", text)) else text for text in row]
        cells.append(
            [
                render_cell(render_marks(text), text, bool(NUMBER.match(text)), classes.get(name, ""))
                for text, name in zip(row, said, strict=True)
            ]
        )
    return join_table([render_marks(head) for head in heads], cells)


def render_marks(text: str) -> str:
    """Markup of text with Markdown's bold and code, and ``<br>``."""
    markup = escape(text).replace("&lt;br&gt;", "<br>")
    return re.sub(r"`(.+?)`", r"<code>\1</code>", re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", markup))


def render_cell(markup: str, text: str, is_number: bool, kind: str = "") -> str:
    """A cell of the body of a table."""
    kinds = ["number"] * is_number + ["long"] * (len(text) > 40) + [kind]
    return f'<td class="{" ".join(filter(None, kinds))}">{markup}</td>'


def join_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are markup."""
    head = "".join(f"<th>{head}</th>" for head in heads)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
