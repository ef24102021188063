"""The table of structures: what each run has left of its gates, neurons and weights, and what folding gains."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import Origin, check_epochs, check_same, find_origin
from natural_sparsity.errors import UserError
from natural_sparsity.model.gates import GATES
from natural_sparsity.tables import schedule
from natural_sparsity.tables.scores import MEASURE, format_difference, format_measure, sort_by_seed, subtract
from natural_sparsity.tables.writer import Grid, Table

RUN = ["data", "model"]
# The fields that say which checkpoint was measured.
MADE_FROM = ["epoch", "checkpoint"]
IDENTITY = [*RUN, "seed", *MADE_FROM]
NOTE = (
    "Means over seeds, with the least and the greatest in parentheses. The score is that of the test split."
    " Loss above dense: in nats, seed by seed, with its 95 % t interval, if there is one dense model of the data that"
    " trained for as many epochs."
    " Compression: all weights divided by those left; biases and group variables do not count. Neurons: left in each"
    " layer. Gates: those that some weight leads into, i + f + g + o of each layer; the others are constant or belong"
    " to removed neurons. Single pass: compression and gates as the paper's authors count them. They count weights into"
    " a gate whose own variable is removed as left, and count gates before the weights of removed units are taken away."
    " Folded: the weights of the smaller dense model with the same outputs, and how many times faster it is than the"
    " unfolded one, on one CPU thread: step by step with the output layer, and in the recurrent layers alone on a whole"
    f" batch. {schedule.NOTE}."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--structures", type=Path, nargs="+", required=True, help="JSON, one file per model and seed")
    parser.add_argument("--speedups", type=Path, nargs="+", required=True, help="JSON of the same models and seeds")
    schedule.add_option(parser)


def tabulate(args: argparse.Namespace) -> Table:
    """The table of structures and speed-ups, and its grid."""
    rows = join(args.structures, args.speedups)
    rates = schedule.read_rates(args.checkpoints)
    for _, group in rows.groupby(RUN, sort=False):
        rows.loc[group.index, "schedule"] = schedule.describe(schedule.select(rates, group[[*RUN, "seed"]]))
        for name, value in find_excess(group, rows).items():
            rows.loc[group.index, name] = value
    return Table(rows, [lay_out(rows)], note=NOTE)


def find_excess(group: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """How far a run's loss lies above that of its data's dense model, as ``above_dense``.

    See :func:`~natural_sparsity.tables.scores.subtract`. It is NaN for a dense model, if there are several of the data,
    and if the two trained for different numbers of epochs.
    """
    run = group.iloc[0]
    dense = rows[(rows["data"] == run["data"]) & (rows["method"] == "dense")]
    alike = dense[dense["epoch"] == run["epoch"]]
    if run["method"] == "dense" or dense["model"].nunique() != 1:
        alike = alike[:0]
    own, other = (sort_by_seed(part.drop_duplicates("seed"), "loss") for part in (group, alike))
    return subtract(own, other, "above_dense")


def join(structures: Sequence[Path], speedups: Sequence[Path]) -> pd.DataFrame:
    """A row per run, seed and layer; columns about the whole model are the same for all its layers.

    ``data, model, seed, epoch``; the held-out ``loss``, and the ``score`` by the ``measure``; ``weights``,
    ``weights_left``, ``compression``, ``compression_single_pass``; ``units_left``, of the embedding; ``neurons``,
    ``neurons_left``, ``reading_…`` and ``constant_…`` of each gate, of the layer; ``folded_…``: weights, bytes, and how
    many times faster.

    Raises:
        UserError: a structure without a speed-up, or with that of another checkpoint, two files of one run and seed, or
            seeds of a run after different epochs.
    """
    gains: dict[Origin, tuple[Path, dict[str, Any]]] = {}
    for path in speedups:
        gain = files.read_json(path, [*IDENTITY, "whole", "folded"])
        if find_origin(gain) in gains:
            raise UserError(f"{path}: a second speed-up of {find_origin(gain)}; give one file per run and seed")
        gains[find_origin(gain)] = path, gain
    given = {path: files.read_json(path, [*IDENTITY, "sparsify", "layers", *MEASURE]) for path in structures}
    check_epochs(given)
    rows, known = [], set()
    for path in structures:
        structure = given[path]
        origin = find_origin(structure)
        if origin in known:
            raise UserError(f"{path}: a second structure of {origin}; give one file per run and seed")
        if origin not in gains:
            raise UserError(f"{path}: no --speedups file is of {origin}; give one")
        known.add(origin)
        other, gain = gains[origin]
        check_same(
            {file: {key: fields[key] for key in MADE_FROM} for file, fields in ((other, gain), (path, structure))}
        )
        rows += [
            {**list_model(structure), **list_gain(gain), "layer": number, **list_layer(layer)}
            for number, layer in enumerate(structure["layers"], 1)
        ]
    return pd.DataFrame(rows)


def list_model(structure: dict[str, Any]) -> dict[str, Any]:
    """The columns of a whole model."""
    settings = structure["sparsify"]
    groups = settings.get("groups", [kind for kind, value in settings.get("strengths", {}).items() if value])
    named = {
        "method": settings.get("method", "dense"),
        "groups": groups if isinstance(groups, str) else "+".join(groups),
    }
    sizes = ["weights", "weights_left", "compression", "compression_single_pass"]
    sizes += ["words", "words_left", "units", "units_left"]
    plain = [*RUN, "seed", "epoch", "loss", "score", *MEASURE, *sizes, "embedding_left", "output_left"]
    return {key: structure[key] for key in plain} | named


def list_layer(layer: dict[str, Any]) -> dict[str, Any]:
    """The columns of a layer."""
    gates = {f"{kind}_{gate}": layer[kind][gate] for kind in ("reading", "constant") for gate in GATES}
    left = {f"{kind}_left": count for kind, count in layer["weights_left"].items()}
    return {key: layer[key] for key in ("neurons", "neurons_left", "reading_single_pass")} | gates | left


def list_gain(gain: dict[str, Any]) -> dict[str, Any]:
    """The columns of the folded model."""
    sizes = {"bytes": gain["whole"]["bytes"], "folded_bytes": gain["folded"]["bytes"]}
    times = {key: gain[key] for key in ("speedup", "speedup_recurrence")}
    return {**sizes, "folded_weights": gain["folded"]["weights"], **times}


def format_spread(values: pd.Series, form: str) -> str:
    """The mean and, in parentheses, the least and the greatest, if they differ."""
    mean, low, high = (form.format(value) for value in (values.mean(), values.min(), values.max()))
    return mean if low == high else f"{mean} ({low} to {high})"


def lay_out(rows: pd.DataFrame) -> Grid:
    """The table for readers, a row per run."""
    heads = ["Run", "Variables or penalties", "Epochs", "Learning rate", "Seeds", format_measure(rows)]
    heads += [
        "Loss above dense (95 %)",
        "Compression",
        "Compression, single pass",
        "Weights left",
        "Embedding units",
        "Neurons",
        "Gates i + f + g + o",
        "Gates",
    ]
    heads += ["Gates, single pass", "Folded weights"]
    lines = []
    rows = rows.assign(reading=rows[[f"reading_{gate}" for gate in GATES]].sum(axis=1))
    for (data, model), part in rows.groupby(RUN, sort=False):
        seeds = part.drop_duplicates("seed")
        layers = [layer for _, layer in part.groupby("layer")]
        gates = [" + ".join(f"{layer[f'reading_{gate}'].mean():.0f}" for gate in GATES) for layer in layers]
        units = f"{seeds['units_left'].mean():.0f} of {seeds['units'].max()}" if seeds["units"].any() else ""
        cells = [f"{data}/{model}", seeds["groups"].iloc[0] or seeds["method"].iloc[0]]
        cells += [
            str(seeds["epoch"].iloc[0]),
            seeds["schedule"].iloc[0],
            str(len(seeds)),
            format_spread(seeds["score"], f"{{:.{seeds['digits'].iloc[0]}f}}"),
            format_difference(seeds.iloc[0].to_dict(), "above_dense"),
        ]
        cells += [
            format_spread(seeds["compression"], "{:.1f}×"),
            format_spread(seeds["compression_single_pass"], "{:.1f}×"),
            format_spread(seeds["weights_left"], "{:,.0f}"),
            units,
        ]
        cells += ["; ".join(f"{layer['neurons_left'].mean():.0f} of {layer['neurons'].max()}" for layer in layers)]
        cells += ["; ".join(gates), format_spread(part.groupby("seed")["reading"].sum(), "{:.0f}")]
        cells += [format_spread(part.groupby("seed")["reading_single_pass"].sum(), "{:.0f}")]
        cells += [f"{seeds['folded_weights'].mean():,.0f}"]
        cells += [format_spread(seeds[name], "{:.2f}×") for name in ("speedup", "speedup_recurrence")]
        lines.append(cells)
    return Grid([*heads, "Faster", "Recurrence faster"], lines)
