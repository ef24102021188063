"""The structure of gates: for each run and layer a matrix of gates × neurons, after the last epoch of one seed."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from natural_sparsity.analysis.products import find_origin
from natural_sparsity.figures.style import Style
from natural_sparsity.files import read_json
from natural_sparsity.model.gates import CONSTANT, GATES, READING, REMOVED

SUMMARY = "which gates of which neurons read, a panel per layer"
WIDTH, PANEL = 6.9, 0.68
STATUS = {REMOVED: "neuron removed", CONSTANT: "constant", READING: "reads its input"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs."""
    parser.add_argument(
        "--structures", type=Path, metavar="J", nargs="+", required=True, help="JSON, one file per model and seed"
    )


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The gates drawn, and the figure."""
    table = list_gates(args.structures)
    return table, plot(table, style)


def list_gates(paths: Sequence[Path | str]) -> pd.DataFrame:
    """``data, model, seed, layer, neuron, gate, status, low, high`` of the first seed of each run.

    ``status`` is one of :data:`STATUS`; ``low`` and ``high`` are the gate's extremes on the test split. Neurons stand
    in the order in which they are drawn: those that have most left first.
    """
    runs: dict[tuple[str, str], dict[str, Any]] = {}
    for path in paths:
        structure = read_json(path, ["data", "model", "seed", "layers"])
        origin = find_origin(structure)
        first = runs.setdefault(origin[:2], structure)
        if origin.seed < first["seed"]:
            runs[origin[:2]] = structure
    parts = []
    for (data, model), structure in runs.items():
        for number, layer in enumerate(structure["layers"], 1):
            status = np.array([layer["status"][gate] for gate in GATES])
            order = np.lexsort([*(-row for row in status[::-1]), -status.sum(0)])
            for gate in GATES:
                values = {key: np.array(layer[key][gate])[order] for key in ("status", "low", "high")}
                names = {"data": data, "model": model, "seed": structure["seed"], "layer": number}
                part = pd.DataFrame({"neuron": order, **names, "gate": gate, **values})
                parts.append(part.replace({"status": STATUS}))
    columns = ["data", "model", "seed", "layer", "neuron", "gate", "status", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns]


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """A row of panels per run, a panel per layer; at its right the number of neurons in which each gate reads."""
    runs = [name for name, _ in table.groupby(["data", "model"], sort=False)]
    layers = sorted(table["layer"].unique())
    style = style.with_size(WIDTH, 0.75 + PANEL * len(runs))
    figure = style.figure()
    panels = figure.subplots(len(runs), len(layers), squeeze=False)
    first, _, third, _ = style.colors()
    colors = {REMOVED: "white", CONSTANT: lighten(third), READING: first}
    for row, (data, model) in zip(panels, runs, strict=True):
        for ax, layer in zip(row, layers, strict=True):
            part = table[(table["data"] == data) & (table["model"] == model) & (table["layer"] == layer)]
            if part.empty:
                ax.set_axis_off()
                continue
            plot_layer(ax, part, ListedColormap([colors[status] for status in STATUS]))
            name = f"{data}/{model}, layer {layer}" if len(layers) > 1 else f"{data}/{model}"
            ax.set_title(name, loc="left", pad=2)
    figure.supxlabel("neurons, sorted; at the right: in how many of them the gate reads", fontsize=style.font_size)
    handles: list[Any] = [
        Patch(facecolor=colors[status], edgecolor="0.5", linewidth=0.5, label=label) for status, label in STATUS.items()
    ]
    figure.legend(handles=handles[::-1], loc="outside upper center", ncols=len(handles))
    return figure


def plot_layer(ax: Axes, part: pd.DataFrame, colormap: ListedColormap) -> None:
    """Draw the matrix of one layer."""
    codes = {label: code for code, label in STATUS.items()}
    matrix = np.array([[codes[status] for status in part[part["gate"] == gate]["status"]] for gate in GATES])
    width = matrix.shape[1]
    edges: dict[str, Any] = {"edgecolors": "0.85", "linewidth": 0.2} if width <= 150 else {}
    ax.pcolormesh(matrix, cmap=colormap, vmin=0, vmax=len(STATUS) - 1, rasterized=width > 150, **edges)
    ax.set_ylim(len(GATES), 0)
    ax.set_yticks(np.arange(len(GATES)) + 0.5, GATES)
    ax.tick_params(length=0, labelsize="x-small")
    ax.set_xticks([0, width])
    reading = (matrix == READING).sum(1)
    for row, count in enumerate(reading):
        ax.text(width * 1.01, row + 0.5, str(count), va="center", fontsize="x-small")
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)


def lighten(color: Any) -> Any:
    """The colour, halfway to white."""
    return tuple((part + 1) / 2 for part in color)
