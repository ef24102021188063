"""The last lines of a run: what came out, and which files to open next."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path

from natural_sparsity.analysis.tensors import GRADIENT, write_tensor
from natural_sparsity.tables.plain import align, count_verdicts, read_rows

MOST_RUNS, MOST_FILES = 8, 6
# What to open of a whole experiment, from its folder, and what it is.
PAGES = {
    "index.html": "every figure, the verdicts, and links to the rest",
    "explorer/index.html": "every word, interactive",
    "comparison.html": "all runs side by side",
    "*/*/*/verdicts.html": "the paper's claims, one by one",
    "*/lottery.html": "score by density",
    "*/*/lottery.html": "score by density",
    "*/*/stability.html": "stability of training",
    "structure.html": "gates, neurons and weights left",
    "*/moduli.html": "spaces and controls",
    "*/*/*/figures/*/": "figures",
    "*/*/figures/training.png": "losses by epoch",
    "*/figures/retention.png": "what is kept of the text",
}


def summarise(experiment: Path, asked: Collection[str] = ()) -> list[str]:
    """The lines about an experiment's folder; none if there is nothing yet.

    Args:
        experiment: ``results/experiments/NAME``.
        asked: the files that were asked for by targets other than the whole experiment; empty for all of it.
    """
    lines = []
    comparison = experiment / "comparison.csv"
    if comparison.exists() and (not asked or str(comparison) in asked):
        lines += describe_runs(read_rows(comparison), experiment)
    files = list_asked(asked) if asked else list_pages(experiment)
    if files:
        lines += ["Open next:", *align([[f"  {path}", about] for path, about in files])]
    return lines


def describe_runs(rows: Sequence[dict[str, str]], experiment: Path) -> list[str]:
    """A line per run and probe: dev perplexity, ρ← of the top gradient, and how many claims have which verdict.

    Of several seeds, the least and the greatest value.
    """
    from natural_sparsity.analysis.rules import VERDICTS  # numpy, which nothing else here needs

    judged = [row for row in rows if row[VERDICTS[0]]]  # claims are about χ
    groups = [list(group) for _, group in groupby(judged, lambda row: (row["data"], row["model"], row["condition"]))]
    depths = {row["layers"] for row in judged}
    top = write_tensor(f"{GRADIENT}h_{depths.pop()}") if len(depths) == 1 else "∇hᴸ"
    cells = [["", "dev perplexity", f"ρ←({top})", f"claims: {VERDICTS[0]}", *VERDICTS[1:]]]
    for group in groups[:MOST_RUNS]:
        first = group[0]
        seeds = f"seed {first['seed']}" if len(group) == 1 else f"{len(group)} seeds"
        name = f"{first['data']}/{first['model']}, {seeds}, {first['condition']}"
        values = [write_range([row[key] for row in group], digits) for key, digits in MEASURED.items()]
        path = experiment / first["data"] / first["model"] / first["condition"] / "verdicts.csv"
        counts = count_verdicts(path, VERDICTS) if path.exists() else Counter()
        cells.append([name, *values, *(str(counts[verdict]) for verdict in VERDICTS)])
    more = len(groups) - MOST_RUNS
    return [*align(cells), *([f"… and {more} more runs"] if more > 0 else []), ""] if groups else []


# Columns of the comparison, and to how many digits they are written.
MEASURED = {"dev_perplexity": 0, "grad_h_L_last": 2}


def write_range(values: Sequence[str], digits: int) -> str:
    """The least and the greatest of some numbers: ``268 to 297``."""
    numbers = [float(value) for value in values if value]
    ends = [re.sub(r"\b0\.", ".", f"{value:z.{digits}f}").replace("-", "−") for value in sorted(numbers)]
    return " to ".join(dict.fromkeys([ends[0], ends[-1]])) if ends else "none"


def list_pages(experiment: Path) -> list[tuple[str, str]]:
    """The pages and pictures of an experiment to begin with, each with a word on it."""
    found = []
    for pattern, about in PAGES.items():
        paths = sorted(path for path in experiment.glob(pattern) if path.name != "logs")
        if paths:
            more = f" ({len(paths) - 1} more like it)" if len(paths) > 1 else ""
            slash = "/" if pattern.endswith("/") else ""
            found.append((f"{paths[0]}{slash}", about + more))
    return found[:MOST_FILES]


def list_asked(asked: Collection[str]) -> list[tuple[str, str]]:
    """The pages, pictures and tables among files that were asked for; the first of those that differ by suffix."""
    best = [path for suffix in (".html", ".png", ".json") for path in sorted(asked) if path.endswith(suffix)]
    shown = [(path, "") for path in best[:MOST_FILES]]
    return [*shown, *([(f"… and {len(best) - MOST_FILES} more", "")] if len(best) > MOST_FILES else [])]
