"""The stability table: the error barrier between a model and its twin, by the moment that the twin goes back to.

A model is *stable* at a moment (Frankle et al. 2020, arXiv 1912.05671) if the barrier is shown to be smaller than a
margin: training from there on ends in one basin of the loss, whatever the dropout and the order of the data.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import check_same
from natural_sparsity.analysis.statistics import t_interval
from natural_sparsity.errors import UserError
from natural_sparsity.settings import parse_json_object
from natural_sparsity.tables import schedule
from natural_sparsity.tables.scores import find_power, format_power, judge
from natural_sparsity.tables.writer import Grid, Table, format_interval

NOTE = (
    "Losses on the dev split after the last epoch, with 95 % t intervals over seeds. Barrier: the largest loss at 21"
    " points on the line between the two models' weights, minus the mean of the losses at its ends. Stable: yes if the"
    " upper end of the interval is below the margin, no if the lower end is above it, otherwise undecided. Power: the"
    " chance of a yes, with this many seeds that spread as much, if the barrier were 0."
    f" {schedule.NOTE}; *other* marks a twin whose rate was not that of the original in every epoch that it trained."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--lines", type=Path, nargs="+", required=True, help="JSON, one file per twin and seed")
    schedule.add_option(parser)
    parser.add_argument(
        "--margins", type=parse_json_object, required=True, help="JSON, the margin of each twin by name"
    )


def tabulate(args: argparse.Namespace) -> Table:
    """The table of the lines, and its grid."""
    rows = compare(read_lines(args.lines), schedule.read_rates(args.checkpoints), args.margins)
    return Table(rows, [lay_out(rows)], note=NOTE)


def read_lines(paths: Sequence[Path | str]) -> pd.DataFrame:
    """A row per point: ``family, rewind, seed, epoch, kind, share, loss, barrier``, by ``rewind`` in training's order.

    ``rewind`` is the name of the checkpoint that the twin started from: ``init``, ``step64``, ``epoch3``. ``barrier``
    is that of the whole line.

    Raises:
        UserError: a file is no line, repeats another's twin and seed, or is of other data or after another epoch.
    """
    keys = ["data", "seed", "epoch", "kind", "sparsify", "shares", "losses", "barrier"]
    lines = {path: files.read_json(path, keys) for path in paths}
    check_same({path: {key: line[key] for key in ("data", "epoch")} for path, line in lines.items()})
    parts, seen = [], set()
    for path, line in lines.items():
        family, rewind = line["sparsify"]["family"], line["sparsify"]["rewind"]
        if (family, line["seed"]) in seen:
            raise UserError(f"{path}: a second line of the same twin and seed")
        seen.add((family, line["seed"]))
        moment = rewind if isinstance(rewind, str) else f"epoch{rewind}" if rewind else "init"
        part = pd.DataFrame({"share": line["shares"], "loss": line["losses"]})
        about = {key: line[key] for key in ("seed", "epoch", "kind", "barrier")}
        parts.append(part.assign(family=family, rewind=moment, **about))
    frame = pd.concat(parts, ignore_index=True)
    order = frame["rewind"].map({name: find_place(name) for name in frame["rewind"].unique()})
    return frame.assign(order=order).sort_values(["order", "family", "seed", "share"]).drop(columns="order")


def find_place(name: str) -> tuple[int, int]:
    """Where a checkpoint is in training, to sort by: the untrained one, steps of the first epoch, epochs."""
    number = int("".join(filter(str.isdigit, name)) or 0)
    return ("init", "step", "epoch").index(name.rstrip("0123456789")), number


def compare(lines: pd.DataFrame, rates: pd.DataFrame, margins: Mapping[str, float]) -> pd.DataFrame:
    """A row per twin: ``family, rewind, epochs, seeds``, the learning rates, losses, the barrier and the verdict.

    ``loss_original`` and ``loss_twin`` are means over seeds; ``barrier`` is, too, with ``barrier_low`` and
    ``barrier_high``; ``stable`` is yes, no, undecided, or why it cannot be told; ``power`` is the chance of a yes.

    Raises:
        UserError: a model of a seed has no checkpoint among those that ``rates`` were read from, or a twin no margin.
    """
    rows, original = [], rates[~rates["family"].isin(lines["family"])]
    for key, group in lines.groupby(["family", "rewind"], sort=False):
        family, rewind = map(str, key)
        if family not in margins:
            raise UserError(f"--margins: none for {family}; give it as {{{family!r}: 0.05}}")
        margin, ends = float(margins[family]), group[group["share"].isin([0, 1])].groupby("share")["loss"].mean()
        barriers = group.drop_duplicates("seed").sort_values("seed")["barrier"].to_numpy()
        barrier, low, high = t_interval(barriers)
        own = schedule.select(rates, group[["family", "seed"]])
        rows.append(
            {"family": family, "rewind": rewind, "epochs": group["epoch"].iloc[0], "seeds": len(barriers)}
            | {"schedule": schedule.describe(own), "shared_schedule": schedule.is_shared(own, original)}
            | {"loss_original": ends[0.0], "loss_twin": ends[1.0]}
            | {"barrier": barrier, "barrier_low": low, "barrier_high": high, "margin": margin}
            | {"stable": judge(low, high, margin), "power": find_power(barriers, margin)}
        )
    return pd.DataFrame(rows)


def lay_out(rows: pd.DataFrame) -> Grid:
    """The table for readers."""
    heads = ["Twin", "Goes back to", "Epochs", "Learning rate", "Seeds", "Loss of original", "Loss of twin"]
    lines = [[*list_facts(row), *list_verdict(row)] for row in rows.to_dict("records")]
    return Grid([*heads, "Barrier (95 %)", "Margin", "Stable", "Power"], lines)


def list_facts(row: Mapping[Any, Any]) -> list[str]:
    """The cells of a row that say what is compared."""
    facts = [row["family"], name_moment(row["rewind"]), str(row["epochs"]), schedule.format_rate(row)]
    return [*facts, str(row["seeds"]), f"{row['loss_original']:.3f}", f"{row['loss_twin']:.3f}"]


def list_verdict(row: Mapping[Any, Any]) -> list[str]:
    """The cells of a row that say how stable it is."""
    barrier = format_interval(row["barrier"], row["barrier_low"], row["barrier_high"], "z.3f")
    return [barrier, f"{row['margin']:g}", row["stable"], format_power(row)]


def name_moment(checkpoint: str) -> str:
    """The name of a checkpoint for readers."""
    if checkpoint == "init":
        return "initial weights"
    kind = checkpoint.rstrip("0123456789")
    return f"{kind} {checkpoint.removeprefix(kind)}"
