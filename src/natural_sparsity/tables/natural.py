"""Natural sparsity of sparsified models after the last epoch, compared with the dense model they were made from."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import check_chain, check_same, find_place, read_origin, read_states
from natural_sparsity.analysis.statistics import t_interval
from natural_sparsity.analysis.tensors import GRADIENT, STATIC, list_layers
from natural_sparsity.errors import UserError
from natural_sparsity.tables import schedule
from natural_sparsity.tables.scores import subtract
from natural_sparsity.tables.writer import Grid, Table

MODEL = ["model", "family", "role", "level"]
PLACE = ["tensor", "measure", "statistic"]
KEYS = [*MODEL, *PLACE]
SHOWN = {"pearson_log": "ρ← with log frequency of χ", "pearson": "ρ← of χ", "mean": "mean χ"}
NOTE = (
    "After the last epoch; target words; the mean over seeds and its 95 % t interval. Minus dense: the difference"
    " from the dense model of the same seed after the same number of epochs, with its 95 % t interval; bold where"
    " that excludes 0, one row at a time; empty where the dense model has more or fewer epochs. The mean is over words;"
    " between models of different widths it is not compared, since the least χ is 1/√width."
    f" {schedule.NOTE_ON_OTHERS}."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--correlations", type=Path, nargs="+", required=True, help="Parquet, one per model and seed")
    schedule.add_option(parser)


def tabulate(args: argparse.Namespace) -> Table:
    """The table of all tensors, measures and statistics; and χ at the recurrent layers as grids."""
    rows = compare(read_last(args.correlations, args.checkpoints), schedule.read_rates(args.checkpoints))
    return Table(rows, list(lay_out(rows)), note=NOTE)


def read_last(correlations: Sequence[Path], checkpoints: Sequence[Path]) -> pd.DataFrame:
    """The correlations and means of every run at its last epoch: :data:`KEYS`, ``width, epoch, seed, value``.

    The dense model's family is ``""``.

    Raises:
        UserError: correlations without a checkpoint of their run and last epoch, or of several data or conditions; or
            no dense model.
    """
    check_chain(correlations, checkpoints)
    states = read_states(checkpoints, ["architecture"])
    origins = {path: read_origin(path, ["condition"], "correlate") for path in correlations}
    check_same({path: {key: metadata[key] for key in ("data", "condition")} for path, (_, metadata) in origins.items()})
    frames = []
    for path in correlations:
        origin, _ = origins[path]
        frame = files.read_parquet(path, ["epoch", "role", *PLACE, "words", "value"])
        last = int(frame["epoch"].max())
        state = states.get(origin)
        if state is None or state["epoch"] != last:
            raise UserError(f"{path}: is of {origin}, epoch {last}, but no --checkpoints file is; give its state.json")
        chosen = frame.query("epoch == @last and role == 'target' and words == 'all'").drop(columns="role")
        place = {key: value for key, value in find_place(state["sparsify"]).items() if key != "method"}
        width = chosen["tensor"].map(list_widths(state["architecture"]))
        frames.append(chosen.assign(**place, model=origin.model, seed=origin.seed, width=width))
    together = pd.concat(frames, ignore_index=True)
    if not (together["role"] == "dense").any():
        raise UserError("no correlations of the dense model, which the others are compared with")
    return together[[*KEYS, "width", "epoch", "seed", "value"]]


def list_widths(architecture: dict[str, Any]) -> dict[str, int]:
    """The width of each tensor; 0 stands for the vocabulary, which all the models share."""
    layers = {"h_e": architecture["embedding"], "x": 0}
    layers |= {f"h_{i}": width for i, width in enumerate(architecture["hidden"], 1)}
    gradients = {GRADIENT + name: width for name, width in layers.items()}
    return layers | gradients | {STATIC: architecture["hidden"][-1]}


def compare(values: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    """A row for each of :data:`KEYS`: ``value``, ``low``, ``high`` over ``seeds``; ``difference`` from dense; rates.

    Where there is nothing to compare, the difference is empty: for the dense model itself, for a mean at another width,
    and for models trained for other numbers of epochs, since χ and its correlations change with every epoch.
    """
    dense = values[values["role"] == "dense"].set_index([*PLACE, "seed"])
    schedules = {model: schedule.compare(rates, group) for model, group in values.groupby("model")}
    rows = []
    for key, group in values.groupby(KEYS, sort=False):
        row = dict(zip(KEYS, key, strict=True)) | {"epoch": group["epoch"].iloc[0], "seeds": len(group)}
        row |= schedules[row["model"]]
        row |= dict(zip(("value", "low", "high"), t_interval(group["value"].to_numpy()), strict=True))
        own = group.set_index([*PLACE, "seed"])
        same = dense.reindex(own.index)
        same = same[same["epoch"] == own["epoch"]]
        same_width = bool((same["width"] == own["width"].reindex(same.index)).all())
        comparable = row["role"] != "dense" and (row["statistic"] != "mean" or same_width)
        rows.append(row | subtract(own["value"], same["value"] if comparable else same["value"].iloc[:0], "difference"))
    return pd.DataFrame(rows)


def lay_out(rows: pd.DataFrame) -> Iterator[Grid]:
    """χ at the recurrent layers and their gradients: a grid per statistic, a row per model."""
    for statistic, name in SHOWN.items():
        chosen = rows[(rows["measure"] == "chi") & (rows["statistic"] == statistic)]
        layers = list_layers(chosen["tensor"].str.removeprefix(GRADIENT))
        every = [*layers, *(GRADIENT + layer for layer in layers)]
        tensors = [tensor for tensor in every if (chosen["tensor"] == tensor).any()]
        heads = ["model", "epochs", "learning rate", "seeds"]
        heads += [f"{tensor}, {end}" for tensor in tensors for end in ("value", "minus dense")]
        lines = []
        for model, part in chosen.groupby("model", sort=False):
            first = part.iloc[0].to_dict()
            cells = [str(model), str(first["epoch"]), schedule.format_rate(first), str(first["seeds"])]
            for tensor in tensors:
                of_tensor = part[part["tensor"] == tensor].to_dict("records")
                cells += format_row(of_tensor[0]) if of_tensor else ["", ""]
            lines.append(cells)
        yield Grid(heads, lines, f"**{name}**")


def format_row(row: dict[Any, Any]) -> Iterator[str]:
    """The value and the difference, with their intervals."""
    for name, prefix, sign in (("value", "", "z"), ("difference", "difference_", "+z")):
        if np.isnan(row[name]):
            yield ""
            continue
        text = f"{row[name]:{sign}.3f}"
        low, high = row[f"{prefix}low"], row[f"{prefix}high"]
        if not np.isnan(low):
            text += f" [{low:{sign}.3f}, {high:{sign}.3f}]"
            text = f"**{text}**" if prefix and low * high > 0 else text
        yield text.replace("-", "−")
