"""The page to begin with: the verdicts, every figure of an experiment, and links to the rest."""

import argparse
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from natural_sparsity import files
from natural_sparsity.analysis.rules import VERDICTS, name_verdict
from natural_sparsity.errors import UserError
from natural_sparsity.settings import parse_json_object
from natural_sparsity.tables.html import join_table, render_cell, render_page

STYLE = """<style>
body { max-width: 80rem; margin: 1.5rem auto; padding: 0 1rem } a { color: var(--good) }
.wide { overflow-x: auto }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1.25rem }
figure { margin: 0; padding: 0.8rem; border: 1px solid var(--line); border-radius: 8px }
figure img { display: block; width: 100%; height: 15rem; object-fit: contain; background: #fff; border-radius: 4px }
figcaption { margin-top: 0.6rem; font-size: 0.875rem }
@media (max-width: 40rem) { .wide .long { min-width: 9rem } .wide td { font-size: 0.8rem } }
</style>"""
READ_VERDICTS = (
    "Bold: the verdict over seeds, which needs two at least, and what a control shows over seeds. After it: how many"
    " seeds give which verdict. In brackets: what controls show in single seeds."
)
# Pages that exist once somebody has asked for them, from the experiment's folder. The links stand there in any
# case: the page is the same whichever job ends first.
EXPLORER = ("explorer/index.html", "Explorer of every word (made by: snakemake --cores 1 explorer)")
REPORT = ("../../report.html", "Report with full captions (made by: make report)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--figures", type=Path, nargs="*", default=[], help="PNG, each with a PDF and a CSV beside it")
    parser.add_argument("--tables", type=Path, nargs="*", default=[], help="HTML, the tables' pages")
    parser.add_argument("--verdicts", type=Path, nargs="*", default=[], help="Parquet, the verdicts of each run")
    parser.add_argument("--provenance", type=Path, required=True, help="HTML, what the results were made with")
    parser.add_argument("--title", required=True, help="of the page")
    parser.add_argument("--titles", type=parse_json_object, required=True, help="JSON, a title for each name of a file")
    parser.add_argument("--output", type=Path, required=True, help="out: index.html, in the experiment's folder")


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    folder = args.output.parent
    for path in (*args.figures, *args.tables):
        if path.stem not in args.titles:
            raise UserError(f"{path}: --titles has no title for {path.stem!r}; add one")
    links = [(args.provenance, "Provenance: configuration and versions")]
    links += [(folder / path, about) for path, about in ([EXPLORER, REPORT] if args.verdicts else [REPORT])]
    links += [(path, describe_place(path, folder, args.titles)) for path in args.tables]
    items = "\n".join(f"<li>{render_link(path, folder, text)}</li>" for path, text in links)
    figures = "\n".join(render_figure(path, folder, args.titles) for path in args.figures)
    parts = [STYLE, render_verdicts(args.verdicts, folder), "<h2>Figures</h2>", f'<div class="gallery">{figures}</div>']
    parts += ["<h2>Tables and more</h2>", f"<ul>{items}</ul>"]
    with files.atomic(args.output) as path:
        path.write_text(render_page(args.title, "\n".join(parts)), encoding="utf-8")


def render_link(path: Path, folder: Path, text: str) -> str:
    """A link to a file, relative to the page's folder."""
    return f'<a href="{escape(quote(os.path.relpath(path, folder)))}">{escape(text)}</a>'


def describe_place(path: Path, folder: Path, titles: Mapping[str, str]) -> str:
    """A file's title and what it is of: the folders between the page and the file."""
    parts = Path(os.path.relpath(path.parent, folder)).parts
    place = ", ".join(part for part in parts if part != "figures")
    return f"{titles[path.stem]} ({place})" if place else titles[path.stem]


def render_figure(path: Path, folder: Path, titles: Mapping[str, str]) -> str:
    """A figure's picture, its caption, and links to its PDF and its numbers."""
    caption = describe_place(path, folder, titles)
    source = escape(quote(os.path.relpath(path, folder)))
    forms = " · ".join(render_link(path.with_suffix(s), folder, s[1:].upper()) for s in (".pdf", ".csv"))
    image = f'<a href="{source}"><img src="{source}" alt="{escape(caption)}" loading="lazy"></a>'
    return f"<figure>{image}<figcaption>{escape(caption)}<br>{forms}</figcaption></figure>"


def render_verdicts(paths: Sequence[Path], folder: Path) -> str:
    """A row per claim, a column per run: the verdict over seeds, how many seeds give each, what controls show too."""
    statements: dict[str, str] = {}
    columns = []
    for path in paths:
        frame = files.read_parquet(path, ["claim", "statement", "verdict", "also", "seeds", *VERDICTS, "seeds_also"])
        rows = {row["claim"]: row for row in frame.drop_duplicates("claim").to_dict("records")}
        statements = {claim: row["statement"] for claim, row in rows.items()} | statements
        columns.append(rows)
    if not statements:
        return ""
    heads = ["Claim", *(render_link(p.with_suffix(".html"), folder, str(p.parent.relative_to(folder))) for p in paths)]
    table = []
    for claim, statement in statements.items():
        # Two claims may make the same statement, of other words.
        named = f'{escape(statement)} <span class="soft">{escape(claim)}</span>'
        cells = [render_cell(named, statement, is_number=False)]
        for rows in columns:
            texts = [""]
            if claim in rows:
                row = rows[claim]
                seeds = {name: int(row[name]) for name in VERDICTS if row[name]}
                agree = list(seeds) == [row["verdict"]]
                total = int(row["seeds"])
                counts = [f"{n} of {total} seeds{'' if agree else f' {name}'}" for name, n in seeds.items()]
                if total == 1:
                    counts = ["in one seed" if agree else f"{name}, in one seed" for name in seeds]
                texts = [
                    name_verdict(row["verdict"], row["also"]),
                    *counts,
                    *([f"({row['seeds_also']})"] if row["seeds_also"] else []),
                ]
            kind = {VERDICTS[0]: "good", VERDICTS[1]: "bad"}.get(texts[0], "")
            markup = f'<b>{escape(texts[0])}</b> <span class="soft">{escape("; ".join(texts[1:]))}</span>'
            cells.append(render_cell(markup, "", is_number=False, kind=kind))
        table.append(cells)
    return f'<h2>Verdicts</h2>\n<p class="soft">{READ_VERDICTS}</p>\n<div class="wide">{join_table(heads, table)}</div>'
