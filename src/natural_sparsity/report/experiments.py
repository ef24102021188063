"""List and compare the experiments in a results folder, and name the runs and data that none of them uses.

To delete an experiment, delete its folder: runs and data are shared, so they stay. Which of them an experiment uses is
read from the configuration in its ``provenance.json``, never from names. Nothing is deleted here.
"""

import argparse
import os
import shlex
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from natural_sparsity import files
from natural_sparsity.analysis.rules import VERDICTS
from natural_sparsity.errors import UserError
from natural_sparsity.tables.html import render_page, render_table
from natural_sparsity.tables.plain import align, count_verdicts

RECORD = "provenance.json"
# Pages of an experiment, from its folder, and what a link to them says.
PAGES = {
    "index.html": "figures",
    "comparison.html": "all runs",
    "explorer/index.html": "explorer",
    "provenance.html": "made with",
}
# What is beside the results that it belongs to, and goes with them.
BESIDE = ("logs", "benchmarks")
COLUMNS = ["experiment", "runs", "seeds", "epochs", "changed", "disk"]
COLUMNS_OF_CLAIMS = ["claims over seeds", "probe", *VERDICTS]
NO_RECORD = "no record"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"), help="the folder (default: results)")
    parser.add_argument("--page", type=Path, help="out: the same as HTML, with links to the pages of each experiment")


def run(args: argparse.Namespace) -> None:
    """Print the tables and what is not used; write the page if one is asked for.

    Raises:
        UserError: the folder has no experiments.
    """
    folder = args.results / "experiments"
    if not folder.is_dir():
        raise UserError(f"{args.results}: has no folder experiments; give the folder results of a run")
    found = [read_experiment(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    notes = [one.problem for one in found if one.problem]
    notes += describe_unused(args.results, found)
    print("\n".join(align([COLUMNS, *(one.row() for one in found)])))
    claims = [row for one in found for row in one.claims()]
    if claims:
        print("", *align([COLUMNS_OF_CLAIMS, *claims]), sep="\n")
    print("", *notes, sep="\n")
    if args.page:
        with files.atomic(args.page) as path:
            path.write_text(render(found, notes, args.page.parent), encoding="utf-8")


class Experiment(NamedTuple):
    """An experiment: its folder, and what its record says.

    ``runs``: (data, model, seed); ``data``: with the texts that are shuffled.
    ``rows``: of the runs that it reports. ``problem``: why there is no record, and the mend.
    """

    folder: Path
    runs: frozenset[tuple[str, str, int]] = frozenset()
    data: frozenset[str] = frozenset()
    rows: Sequence[Mapping[str, Any]] = ()
    problem: str = ""

    def row(self) -> list[str]:
        """Its line in the table: :data:`COLUMNS`."""
        models = {(row["data"], row["model"]) for row in self.rows}
        known = [f"{len(models)}", write_span(len_of_seeds(self.rows)), write_span(row["epochs"] for row in self.rows)]
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        newest = max((path.stat().st_mtime for path in paths), default=self.folder.stat().st_mtime)
        about = [NO_RECORD, "–", "–"] if self.problem else known
        return [self.folder.name, *about, time.strftime("%Y-%m-%d", time.localtime(newest)), write_size([self.folder])]

    def claims(self) -> list[list[str]]:
        """A line for each model and probe whose claims were judged: :data:`COLUMNS_OF_CLAIMS`."""
        tables = sorted(self.folder.glob("*/*/*/verdicts.csv"))
        return [[self.name_model(path), path.parent.name, *count(path)] for path in tables]

    def name_model(self, path: Path) -> str:
        """The experiment, data and model of a table."""
        return f"{self.folder.name}: {path.parents[2].name}/{path.parents[1].name}"


def count(path: Path) -> list[str]:
    """How many claims have each verdict."""
    verdicts = count_verdicts(path, VERDICTS)
    return [str(verdicts[verdict]) for verdict in VERDICTS]


def len_of_seeds(rows: Iterable[Mapping[str, Any]]) -> Iterator[int]:
    """How many seeds each model has."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        seeds.setdefault((row["data"], row["model"]), set()).add(row["seed"])
    return map(len, seeds.values())


def read_experiment(folder: Path) -> Experiment:
    """Read an experiment's record, if there is one."""
    path = folder / RECORD
    if not path.exists():
        mend = "run Snakemake with its configuration, or delete its folder"
        return Experiment(folder, problem=f"{folder.name}: not finished, so it has no {RECORD}; {mend}")
    try:
        record = files.read_json(path, ["runs", "configuration"])
    except UserError as error:
        return Experiment(folder, problem=str(error))
    try:
        runs, blocks = record["configuration"]["runs"], record["configuration"]["data"]
        used = frozenset((run["data"], run["model"], seed) for run in runs for seed in run["seeds"])
        # Models that others are made from are among the runs; a text that is shuffled need not be.
        texts = {blocks[run["data"]].get("of", run["data"]) for run in runs}
        _ = [(row["data"], row["model"], row["seed"], row["epochs"]) for row in record["runs"]]
    except (KeyError, TypeError, AttributeError):
        return Experiment(folder, problem=f"{path}: does not say which runs it has; delete it and run again")
    return Experiment(folder, used, frozenset({run["data"] for run in runs} | texts), record["runs"])


def describe_unused(results: Path, experiments: Collection[Experiment]) -> list[str]:
    """The lines about runs and data that no experiment uses: their size, and the command that deletes them."""
    unknown = [one.folder.name for one in experiments if one.problem]
    if unknown:
        return [f"Runs that no experiment uses: not known, since {', '.join(unknown)} may use any."]
    used_runs = {
        results / "runs" / data / model / f"seed{seed}" for one in experiments for data, model, seed in one.runs
    }
    used_data = {results / "data" / name for one in experiments for name in one.data}
    unused = [path for path in sorted(results.glob("runs/*/*/seed*")) if path.is_dir() and path not in used_runs]
    unused += [path for path in sorted(results.glob("data/*")) if path.is_dir() and path not in used_data]
    if not unused:
        return ["Every run and all data are used by an experiment."]
    sizes = align([[f"  {path}", write_size([path])] for path in unused])
    head = f"No experiment uses these, {write_size(unused)} in all:"
    whole = merge(merge(unused))
    return [head, *sizes, "To delete them:", f"  rm -r {' '.join(shlex.quote(str(path)) for path in whole)}"]


def merge(paths: Sequence[Path]) -> list[Path]:
    """Replace the folders that are all that is in a folder below ``runs`` by that folder."""
    merged: dict[Path, None] = {}
    for path in paths:
        inside = {other for other in path.parent.iterdir() if other.name not in BESIDE}
        merged[path.parent if path.parent.name not in ("runs", "data") and inside <= {*paths} else path] = None
    return list(merged)


def write_span(numbers: Iterable[int]) -> str:
    """The least and the greatest of some numbers: ``1 to 5``."""
    ordered = sorted(numbers)
    return " to ".join(dict.fromkeys(map(str, [*ordered[:1], *ordered[-1:]]))) or "–"


def write_size(folders: Iterable[Path]) -> str:
    """The size of all files in some folders, in megabytes."""
    size = sum(path.lstat().st_size for folder in folders for path in folder.rglob("*") if not path.is_dir()) / 1e6
    return f"{size:,.0f} MB" if size >= 1 else "under 1 MB"


def render(experiments: Sequence[Experiment], notes: Sequence[str], base: Path) -> str:
    """The page, whose links are relative to ``base``."""
    parts = [render_table(COLUMNS, [one.row() for one in experiments])]
    for one in experiments:
        pages = {path: about for name, about in PAGES.items() if (path := one.folder / name).exists()}
        pages |= {path: f"claims of {one.name_model(path)}" for path in sorted(one.folder.glob("*/*/*/verdicts.html"))}
        links = [f'<li><a href="{escape(link(path, base))}">{escape(about)}</a></li>' for path, about in pages.items()]
        parts += [
            f"<h2>{escape(one.folder.name)}</h2>",
            f"<ul>{''.join(links)}</ul>" if links else "<p>No page yet.</p>",
        ]
    claims = [row for one in experiments for row in one.claims()]
    if claims:
        parts += ["<h2>Claims</h2>", render_table(COLUMNS_OF_CLAIMS, claims)]
    parts += ["<h2>Unused runs</h2>", f"<pre>{escape(chr(10).join(notes))}</pre>"]
    return render_page("Experiments", "\n".join(parts))


def link(path: Path, base: Path) -> str:
    """A relative address of a file, as a URL."""
    return quote(Path(os.path.relpath(path, base)).as_posix())
