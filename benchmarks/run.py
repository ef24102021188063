"""Run every benchmark, each in a process of its own, and end with one table: ``make bench``.

A benchmark that fails gets a row that says so, and the others still run; then the exit status is 1.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import RESULTS, ROOT, RUN, format_value, snakemake

FOLDER = Path(__file__).parent
# A script and its options, in the order in which they run. The others need files or hardware: they run by hand.
BENCHMARKS = [
    ("training",),
    ("probe",),
    ("probe", "--vocabulary", "4000"),
    ("precision",),
    ("measures",),
    ("measures", "--vocabulary", "4000"),
    ("passes",),
    ("folding",),
    ("text",),
    ("explorer",),
    ("peer",),
    ("overhead",),
]
# These read the products of the default run.
READERS = {"peer", "overhead"}
HEADS = ("Benchmark", "Ours", "Reference", "Unit", "Ratio", "Seconds")


def run(benchmark: Sequence[str], options: Sequence[str], folder: Path) -> list[list[str]]:
    """Run one benchmark and move its results to ``folder``; return its rows of the table."""
    script, *own = benchmark
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        command = [sys.executable, str(FOLDER / f"{script}.py"), *own, *options, "--output", name]
        status = subprocess.run(command, check=False).returncode
        seconds = f"{time.perf_counter() - start:.0f}"
        paths = sorted(Path(name).glob("*.json"), key=lambda path: path.stem)
        results = [json.loads(path.read_text()) for path in paths]
        for path in paths:
            path.replace(folder / path.name)
    rows = [make_row(result) for result in results]
    if status:
        rows.append([" ".join(benchmark), "FAILED", "", f"exit status {status}", ""])
    elif not rows:
        rows.append([" ".join(benchmark), "not measured", "", "", ""])
    return [[*row, seconds if number == 0 else ""] for number, row in enumerate(rows)]


def make_row(result: dict[str, Any]) -> list[str]:
    """Return the cells of a result, except the seconds; without a reference there is no ratio."""
    ours, reference, ratio = (result.get(key) for key in ("ours", "reference", "ratio"))
    cells = ["" if value is None else format_value(value) for value in (ours, reference)]
    return [result["name"], *cells, result.get("unit", ""), "" if ratio is None else f"{ratio:.2f}"]


def render(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table in Markdown, padded for a terminal."""
    widths = [max(map(len, column)) for column in zip(HEADS, *rows, strict=True)]
    for row in (HEADS, ["-" * width for width in widths], *rows):
        yield f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = sorted({script for script, *_ in BENCHMARKS})
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--tiny", action="store_true", help="a size that takes seconds; the times mean nothing")
    parser.add_argument("--output", type=Path, help=f"folder of the results (default {RESULTS}, with --tiny its tiny/)")
    args = parser.parse_args()
    folder = args.output or (RESULTS / "tiny" if args.tiny else RESULTS)
    chosen = [benchmark for benchmark in BENCHMARKS if benchmark[0] in args.only]
    if not args.tiny and READERS.intersection(args.only) and not (ROOT / RUN).exists():
        # If it fails, so does the benchmark that needs it.
        subprocess.run(snakemake(ROOT, "--cores", "all", "--quiet", "rules"), check=False)
    rows = []
    for benchmark in chosen:
        rows += run(benchmark, ["--tiny"] if args.tiny else [], folder)
    print("", *render(rows), sep="\n")
    sys.exit(any("FAILED" in row for row in rows))


if __name__ == "__main__":
    main()
