"""The paper's statements judged on one run: the values that decide each, and the verdict."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.claims import (
    KEYS,
    LEAST_EPOCHS,
    LEAST_WORDS,
    NUMBERS,
    SLIGHT,
    Evidence,
    Run,
    format_range,
    judge_all,
)
from natural_sparsity.analysis.products import check_chain, find_drops, read_checkpoints, read_origin, read_states
from natural_sparsity.corpus.vocabulary import UNITS
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_run
from natural_sparsity.settings import add_expect_option
from natural_sparsity.tables.writer import Grid, Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--correlations", type=Path, required=True, help="Parquet that 'correlate' wrote")
    parser.add_argument("--differences", type=Path, required=True, help="Parquet that 'correlate' wrote with it")
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help="state.json, one file per epoch")
    parser.add_argument(
        "--unit", choices=UNITS, default="word", help="what the data's tokens are (default %(default)s)"
    )
    add_expect_option(parser)


def tabulate(args: argparse.Namespace) -> Table:
    """A row for each piece of evidence, with its run; and a grid with a row for each claim.

    Raises:
        UserError: the files do not belong together.
    """
    correlations = files.read_parquet(args.correlations, [*KEYS, *NUMBERS])
    differences = files.read_parquet(args.differences, [*KEYS, "kind", "against", *NUMBERS])
    origin, metadata = read_origin(args.correlations, ["condition", "statistics"], "correlate")
    if read_origin(args.differences, ["condition", "statistics"], "correlate")[1] != metadata or correlations.empty:
        raise UserError(f"{args.differences}: not made together with {args.correlations}; correlate again")
    others = set(read_states(args.checkpoints)) - {origin}
    if others:
        raise UserError(
            f"--checkpoints: one is of {others.pop()}, but {args.correlations} is of {origin}; leave it out"
        )
    check_run(args.correlations, metadata, args.expect)
    check_chain([args.correlations, args.differences], args.checkpoints)
    checkpoints = read_checkpoints(args.checkpoints)
    missing = sorted(set(correlations["epoch"]) - set(checkpoints["epoch"]))
    if missing:
        raise UserError(f"--checkpoints: none of epoch {missing[0]}, which {args.correlations} has")
    run = Run(correlations, differences, find_drops(checkpoints, correlations["epoch"]))
    rows = judge_all(run, unit=args.unit).assign(**origin._asdict(), condition=metadata["condition"])
    introduction = introduce(run, metadata["statistics"], args.unit)
    made_from = {"correlations": files.read_digest(args.correlations)}
    return Table(rows, [lay_out(rows)], introduction, groups=["claim"], metadata=made_from)


def introduce(run: Run, statistics: dict[str, Any], unit: str) -> str:
    """What the verdicts rest on."""
    lowered = f"dropped after epoch {', '.join(map(str, run.dropped))}" if run.dropped else "never dropped"
    return (
        f"Claims of Saphra & Lopez 2019. {len(run.epochs)} epochs; the learning rate {lowered}. In brackets:"
        f" {100 * statistics['level']:g} % intervals from {statistics['resamples']:,} bootstrap resamples of the"
        f" {unit}s. A claim is reproduced if every interval lies in its range, not reproduced if one lies outside or"
        f" (where a sign is claimed) holds 0 and no effect of {SLIGHT}. It needs {LEAST_EPOCHS} epochs and"
        f" {LEAST_WORDS} {unit}s."
    )


def lay_out(rows: pd.DataFrame) -> Grid:
    """A row per claim."""
    lines = []
    for _, part in rows.groupby("claim", sort=False):
        first = part.iloc[0]
        evidence = []
        for row in part.dropna(subset="value").to_dict("records"):
            item = Evidence(row["evidence"], **{key: row[key] for key in [*NUMBERS, "above", "below", "least"]})
            evidence.append(f"{item}, n = {item.n:,}: {format_range(item)}? {item.holds}")
        verdict = f"**{first['verdict']}**" + (f", because {first['because']}" if first["because"] else "")
        lines.append([first["statement"], first["rule"], "<br>".join(evidence) or "none", verdict])
    return Grid(["Claim", "Rule", "Evidence", "Verdict"], lines)
