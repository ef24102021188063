"""The footprint table: the bytes and CPU time of each model, and what it loses, in float and in eight bits."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import check_epochs, check_same, find_place
from natural_sparsity.analysis.statistics import exponentiate, t_interval
from natural_sparsity.errors import UserError
from natural_sparsity.settings import parse_json_object
from natural_sparsity.tables import schedule
from natural_sparsity.tables.scores import (
    MATCHING,
    NOT_COMPARED,
    compare_losses,
    format_difference,
    format_excess,
    format_power,
    sort_by_seed,
    subtract,
)
from natural_sparsity.tables.writer import Grid, Table, format_interval

KEYS = ["family", "role", "level", "precision"]
DENSE = ("", "dense", 0, "float32")
# Roles that the name of the family does not tell.
CONTROLS = {
    "no_teacher": "no teacher",
    "retrained": "retrained",
    "equal_size": "equal size",
    "rounded": "in single precision",
}
# Those that the loss of their family's model is compared with.
COMPARED = ("no_teacher", "equal_size", "rounded")
NOTE = (
    "Perplexity on the test split, with its 95 % t interval over seeds. Weights: nonzero weights of the matrices."
    " Bytes: the size of the file that natural-sparsity export writes, which holds the whole model. Time: on one CPU"
    " thread, in dense arithmetic whatever the density; tokens one after the other, and a window of several streams at"
    " once."
    f" {MATCHING}. Only models with the same number of epochs are compared. {schedule.NOTE_ON_OTHERS}."
)
CAPTION = (
    "Each model against its control, seed by seed: the mean difference of the loss, with its 95 % t interval, and in"
    " how many seeds the model's own is lower. Unless its family has a control, a model trained in few bits is compared"
    " with the model that it was made from, rounded to as many bits."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--footprints", type=Path, nargs="+", required=True, help="JSON, one file per model and seed")
    parser.add_argument(
        "--sources", type=parse_json_object, required=True, help="JSON, the model that each model is made from, by name"
    )
    schedule.add_option(parser)


def tabulate(args: argparse.Namespace) -> Table:
    """The table of the footprints, and its grids."""
    rows = compare(read_footprints(args.footprints), schedule.read_rates(args.checkpoints), args.sources)
    controlled = rows[rows["control"] != ""]
    return Table(rows, [lay_out(rows), *([lay_out_controls(controlled)] if len(controlled) else [])], note=NOTE)


def read_footprints(paths: Sequence[Path]) -> pd.DataFrame:
    """A row per model, seed and precision; the dense model's family is ``""`` and its role ``dense``.

    Raises:
        UserError: a file holds no footprints, is of other data, repeats another's model, or is after another epoch than
            the model's other seeds, or there is no dense model in single precision.
    """
    keys = ["data", "model", "seed", "epoch", "sparsify", "footprints"]
    values = {path: files.read_json(path, keys) for path in paths}
    check_same({path: {"data": value["data"]} for path, value in values.items()})
    check_epochs(values)
    numbers = ["precision", "loss", "nonzero", "bytes", "seconds_per_token", "seconds_per_token_at_once"]
    rows = []
    for path in paths:
        value = values[path]
        head = find_place(value["sparsify"]) | {key: value[key] for key in ("model", "seed", "epoch")} | {"path": path}
        rows += [head | {key: row[key] for key in numbers} for row in value["footprints"]]
    frame = pd.DataFrame(rows)
    repeated = frame.duplicated([*KEYS, "seed"])
    if repeated.any():
        raise UserError(f"{frame.loc[repeated, 'path'].iloc[0]}: a second footprint of the same model and seed")
    if not select_dense(frame).any():
        raise UserError("no footprint of the dense model, which the others are compared with")
    return frame


def select_dense(footprints: pd.DataFrame) -> pd.Series:
    """Which rows are the dense model's in single precision."""
    return (footprints["role"] == "dense") & (footprints["precision"] == "float32")


def compare(footprints: pd.DataFrame, rates: pd.DataFrame, sources: Mapping[str, str]) -> pd.DataFrame:
    """A row per model and precision: learning rates, perplexity, weights, bytes, times, verdict, and the control.

    ``control`` is the name of the control, empty if there is none. ``difference`` is that of the losses; see
    :func:`~natural_sparsity.tables.scores.subtract`.

    Args:
        footprints: as :func:`read_footprints` returns them.
        rates: as :func:`~natural_sparsity.tables.schedule.read_rates` returns them.
        sources: the name of the model that each model is made from, by name.

    Raises:
        UserError: a model of a seed has no checkpoint among those that ``rates`` were read from.
    """
    reference = footprints[select_dense(footprints)]
    dense, epochs = reference.set_index("seed")["loss"], reference["epoch"].iloc[0]
    rows = []
    for key, group in footprints.groupby(KEYS):
        losses = sort_by_seed(group, "loss")
        names = ("perplexity", "perplexity_low", "perplexity_high")
        compared = NOT_COMPARED if key == DENSE else compare_losses(losses, dense)
        if group["epoch"].iloc[0] != epochs:
            compared = NOT_COMPARED | {"matching": f"not comparable: the dense model has {epochs} epochs"}
        control = find_control(group.iloc[0], footprints, sources)
        rows.append(
            dict(zip(KEYS, key, strict=True))
            | {"epochs": group["epoch"].iloc[0], "seeds": len(group)}
            | schedule.compare(rates, group)
            | dict(zip(names, exponentiate(t_interval(losses.to_numpy())), strict=True))
            | {"nonzero": round(group["nonzero"].mean()), "bytes": round(group["bytes"].mean())}
            | {"bytes_of_dense": group["bytes"].mean() / reference["bytes"].mean()}
            | {"milliseconds_per_token": 1000 * group["seconds_per_token"].mean()}
            | {"milliseconds_per_token_at_once": 1000 * group["seconds_per_token_at_once"].mean()}
            | compared
            | {"control": name_control(control.to_dict("records"))}
            | subtract(losses, sort_by_seed(control, "loss"), "difference")
        )
    return pd.DataFrame(rows)


def find_control(model: pd.Series, footprints: pd.DataFrame, sources: Mapping[str, str]) -> pd.DataFrame:
    """The rows of a model's control, after as many epochs; none if it has none besides the dense model.

    It is the one in the model's family. Without one, it is the pruned model that the model goes on from; for a model
    trained in few bits, this may be the dense model.
    """
    if model["role"] == "dense" or model["role"] in CONTROLS:
        return footprints[:0]
    precision = model["precision"].replace("trained", "rounded")
    alike = footprints[(footprints["precision"] == precision) & (footprints["epoch"] == model["epoch"])]
    place = (alike["family"] == model["family"]) & (alike["level"] == model["level"])
    if (own := place & alike["role"].isin(COMPARED)).any():
        return alike[own]
    source = alike[alike["model"] == sources.get(model["model"])]
    return source if model["role"] == "qat" else source[source["role"] != "dense"]


def lay_out(rows: pd.DataFrame) -> Grid:
    """The table for readers."""
    heads = [
        "Model",
        "Precision",
        "Epochs",
        "Learning rate",
        "Seeds",
        "Perplexity (95 %)",
        "Weights",
        "Bytes on disk",
        "Bytes, relative to dense",
    ]
    lines = []
    for row in rows.to_dict("records"):
        perplexity = format_interval(row["perplexity"], row["perplexity_low"], row["perplexity_high"])
        cells = [name_model(row), row["precision"], str(row["epochs"]), schedule.format_rate(row)]
        cells += [str(row["seeds"]), perplexity]
        cells += [f"{row['nonzero']:,}", f"{row['bytes']:,}", f"{row['bytes_of_dense']:.3f}"]
        times = [f"{row[f'milliseconds_per_token{how}']:.3f}" for how in ("", "_at_once")]
        lines.append([*cells, *times, format_excess(row), row["matching"], format_power(row)])
    heads += ["Time per token, ms", "In a window, ms", "Loss above dense, nats (95 %)", "Matching", "Power"]
    return Grid(heads, lines)


def name_control(rows: Sequence[Mapping[Any, Any]]) -> str:
    """What a control is called, with its precision; empty if there is none."""
    return f"{name_model(rows[0])}, {rows[0]['precision']}" if rows else ""


def lay_out_controls(rows: pd.DataFrame) -> Grid:
    """The models that have a control, and how far they lie from it."""
    lines = [
        [f"{name_model(row)}, {row['precision']}", row["control"], format_difference(row, "difference")]
        for row in rows.to_dict("records")
    ]
    return Grid(["Model", "Control", "Loss above its control, nats (95 %)"], lines, caption=CAPTION)


def name_model(row: Mapping[Any, Any]) -> str:
    """What a row's model is called: by its family, level and control."""
    level = f", level {row['level']}" if row["level"] else ""
    control = f", {CONTROLS[row['role']]}" if row["role"] in CONTROLS else ""
    return f"{row['family']}{level}{control}" if row["family"] else "dense"
