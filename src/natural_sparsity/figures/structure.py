"""The structure of gates: for each run and layer a matrix of gates × neurons, after the last epoch of one seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import Style
from natural_sparsity.files import read_json
from natural_sparsity.sparsify.gates import CONSTANT, GATES, READING, REMOVED

WIDTH, PANEL = 6.9, 0.68
STATUS = {REMOVED: "neuron removed", CONSTANT: "constant", READING: "reads its input"}


def table(paths: Sequence[Path | str], runs: Sequence[str]) -> pd.DataFrame:
    """``run, seed, layer, neuron, gate, status, low, high`` of the first seed of each run.

    ``status`` is one of ``STATUS``; ``low`` and ``high`` are the gate's extremes on the test split. Neurons stand in
    the order in which they are drawn: by what of them reads.

    Raises:
        UserError: not as many files as runs.
    """
    if len(paths) != len(runs):
        raise UserError(f"{len(paths)} structures and {len(runs)} runs; give as many")
    parts = []
    for path, run in zip(paths, runs, strict=True):
        found = min(read_json(Path(path), ["structures"])["structures"], key=lambda each: each["seed"])
        for number, layer in enumerate(found["layers"], 1):
            status = np.array([layer["status"][gate] for gate in GATES])
            keys = [status[row] for row in range(len(GATES))]
            order = np.lexsort([*(-key for key in reversed(keys)), -status.sum(0)])
            for gate in GATES:
                of_gate = {key: np.array(layer[key][gate])[order] for key in ("status", "low", "high")}
                parts.append(
                    pd.DataFrame({"run": run, "seed": found["seed"], "layer": number, "neuron": order, "gate": gate})
                    .assign(**of_gate)
                    .replace({"status": STATUS})
                )
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, style: Style) -> Figure:
    """A row of panels a run, a panel a layer; at its right the number of each gate's neurons in which it reads."""
    runs, layers = list(dict.fromkeys(table["run"])), sorted(table["layer"].unique())
    style = style.sized(WIDTH, 0.75 + PANEL * len(runs))
    figure = style.figure()
    panels = figure.subplots(len(runs), len(layers), squeeze=False)
    first, _, third, _ = style.colors()
    colors = {REMOVED: "white", CONSTANT: lighter(third), READING: first}
    for row, run in zip(panels, runs, strict=True):
        for ax, layer in zip(row, layers, strict=True):
            part = table[(table["run"] == run) & (table["layer"] == layer)]
            if part.empty:
                ax.set_axis_off()
                continue
            draw_panel(ax, part, ListedColormap([colors[status] for status in STATUS]))
            ax.set_title(f"{run}, layer {layer}" if len(layers) > 1 else run, loc="left", pad=2)
    figure.supxlabel("neurons, sorted; at the right, in how many of them the gate reads", fontsize=style.font_size)
    handles: list[Any] = [
        Patch(facecolor=colors[status], edgecolor="0.5", linewidth=0.5, label=label) for status, label in STATUS.items()
    ]
    figure.legend(handles=handles[::-1], loc="outside upper center", ncols=len(handles))
    return figure


def draw_panel(ax: Axes, part: pd.DataFrame, colormap: ListedColormap) -> None:
    """The matrix of one layer."""
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


def lighter(color: Any) -> Any:
    """The colour, half way to white."""
    return tuple((part + 1) / 2 for part in color)
