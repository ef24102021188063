"""The lottery-ticket table: density against held-out loss, tickets against controls, over seeds.

A sub-network *matches* at a density if, trained for the same number of epochs in all, its loss is shown to be less than
an equivalence margin above the dense network's of the same seed. It *beats its controls* if, seed by seed, each
control's loss is larger, by a difference whose 95 % t interval lies above 0.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import check_same, find_place
from natural_sparsity.analysis.statistics import t_interval
from natural_sparsity.errors import UserError
from natural_sparsity.tables import schedule
from natural_sparsity.tables.schedule import KEYS
from natural_sparsity.tables.scores import (
    MATCHING,
    MEASURE,
    NOT_COMPARED,
    UNTESTABLE,
    average_score,
    check_measure,
    compare_losses,
    format_excess,
    format_measure,
    format_power,
    format_score,
    sort_by_seed,
)
from natural_sparsity.tables.writer import Grid, Table

NOTE = (
    f"On the test split after the last epoch. {MATCHING}. Beats controls: each control's loss is larger, the 95 % t"
    f" interval of the difference by seed above 0. {schedule.NOTE_ON_OTHERS}."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="JSON, one file per model and seed")
    schedule.add_option(parser)


def tabulate(args: argparse.Namespace) -> Table:
    """The table of the evaluations, and its grid."""
    rows = compare(read_evaluations(args.evaluations), schedule.read_rates(args.checkpoints))
    return Table(rows, [lay_out(rows)], note=NOTE)


def read_evaluations(paths: Sequence[Path]) -> pd.DataFrame:
    """A row per evaluation: :data:`KEYS`, ``seed, epoch, density, weights, nonzero, loss, score``, the measure.

    The dense model's family is ``""`` and its role ``dense``.

    Raises:
        UserError: a file is no evaluation, repeats another, is of other data, by another measure or after another
            epoch, or there is no dense model among them.
    """
    numbers = ["seed", "epoch", "density", "weights", "nonzero", "loss", "score", *MEASURE]
    values = {path: files.read_json(path, ["data", "sparsify", *numbers]) for path in paths}
    check_measure(values)
    rows = []
    for path in paths:
        row = {key: values[path][key] for key in numbers}
        rows.append(find_place(values[path]["sparsify"]) | row | {"path": path})
    frame = pd.DataFrame(rows)
    repeated = frame.duplicated([*KEYS, "seed"])
    if repeated.any():
        raise UserError(f"{frame.loc[repeated, 'path'].iloc[0]}: a second evaluation of the same model and seed")
    check_same({path: {"epoch": value["epoch"]} for path, value in values.items()})
    if not (frame["role"] == "dense").any():
        raise UserError("no evaluation of the dense model, which the pruned ones are compared with")
    return frame


def compare(evaluations: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    """A row for the dense model and for each family, role and level.

    ``density`` is the mean over seeds of the weights left, counted from the checkpoints, as a share of the dense
    model's; ``schedule`` is the learning rate in words, and ``shared_schedule`` whether it is the dense model's;
    ``loss`` with ``low`` and ``high``, in nats or the data's own unit; ``score`` by the ``measure``, with its interval;
    :func:`~natural_sparsity.tables.scores.compare_losses` says what ``excess`` with its interval, ``matching`` and
    ``power`` are; ``beats_controls`` is yes, no, or why it cannot be told.

    Raises:
        UserError: a model of a seed has no checkpoint among those that ``rates`` were read from.
    """
    is_dense = evaluations["role"] == "dense"
    dense, weights = evaluations[is_dense].set_index("seed")["loss"], evaluations.loc[is_dense, "weights"].iloc[0]
    rows = []
    for key, group in evaluations.groupby(KEYS, sort=False):
        losses = sort_by_seed(group, "loss")
        loss, low, high = t_interval(losses.to_numpy())
        is_reference = key[KEYS.index("role")] == "dense"
        rows.append(
            dict(zip(KEYS, key, strict=True))
            | {
                "density": group["nonzero"].mean() / weights,
                "nonzero": round(group["nonzero"].mean()),
                "seeds": len(group),
            }
            | schedule.compare(rates, group)
            | {"loss": loss, "low": low, "high": high}
            | average_score(group.sort_values("seed"))
            | (NOT_COMPARED if is_reference else compare_losses(losses, dense))
            | {"beats_controls": judge_controls(losses, find_controls(key, evaluations))}
        )
    return pd.DataFrame(rows).sort_values(KEYS, ignore_index=True)


def find_controls(key: tuple, evaluations: pd.DataFrame) -> list[pd.Series]:
    """The losses, by seed, of each control of a ticket; none for a model that is no ticket."""
    family, _, role, level = key
    if role != "ticket":
        return []
    same = evaluations[(evaluations["family"] == family) & (evaluations["level"] == level)]
    return [group.set_index("seed")["loss"] for name, group in same.groupby("role") if name != "ticket"]


def judge_controls(losses: pd.Series, controls: list[pd.Series]) -> str:
    """Whether every control is worse, seed by seed, beyond doubt; empty if there is no control."""
    if not controls:
        return ""
    if len(losses) < 2:
        return UNTESTABLE
    ends = [t_interval((control.reindex(losses.index) - losses).to_numpy())[1] for control in controls]
    return "yes" if min(ends) > 0 else "no"


def lay_out(rows: pd.DataFrame) -> Grid:
    """The table for readers."""
    heads = ["Model", "Role", "Density", "Weights left", "Learning rate", "Seeds", f"{format_measure(rows)} (95 %)"]
    lines = []
    for row in rows.to_dict("records"):
        numbers = [f"{row['density']:.4g}", f"{row['nonzero']:,}", schedule.format_rate(row)]
        numbers += [str(row["seeds"]), format_score(row)]
        verdicts = [format_excess(row), row["matching"], format_power(row), row["beats_controls"]]
        lines.append([row["family"] or "dense", row["role"], *numbers, *verdicts])
    return Grid([*heads, "Loss above dense (95 %)", "Matching", "Power", "Beats controls"], lines)
