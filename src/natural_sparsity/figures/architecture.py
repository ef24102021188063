"""Figure 1: the language model with its activations and gradients."""

import argparse
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from natural_sparsity.figures.style import DASHED, Style, write_symbol

SUMMARY = "the model with its activations and gradients, figure 1 (needs no data)"
SIZE = (3.3, 4.1)
# Of boxes, in the axes' units: a step is 1 wide, a layer 1 high.
WIDTH, HEIGHT = 0.72, 0.4
# The words at the bottom and at the top of each step: where xₜ₋₁ is the input, xₜ is the target.
STEPS = {-1: ("t-2", "t-1"), 0: ("t-1", "t"), 1: ("t", "t+1")}
LAYERS = ("input", "embedding", "LSTM", "LSTM", "linear", "softmax")
# By the layer whose output it is. No probe measures the logits, nor the gradient at the softmax's output.
ACTIVATIONS = {1: "h_e", 2: "h_1", 3: "h_2", 5: "x"}
GRADIENTS = {1: "grad_h_e", 2: "grad_h_1", 3: "grad_h_2", 4: "grad_x"}
UP, DOWN = -0.09, 0.09  # of the arrows up and down beside a step's middle, and of those to the right and to the left
FAINT = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no inputs."""


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The elements drawn, and the figure."""
    table = list_elements()
    return table, plot(table, style)


def list_elements() -> pd.DataFrame:
    """What is drawn: ``element, kind, step, x, y, to_x, to_y, text``.

    ``kind`` is ``box`` or ``text`` (x, y its centre), or that of an arrow from (x, y) to (to_x, to_y): ``activation``,
    ``gradient``, ``recurrence``, ``input``, ``time`` (the gradient through time). ``element`` is its name, a tensor's
    where the probe measures it. Every step has all of them.
    """
    rows: list[tuple[str, str, int, float, float, float | None, float | None, str]] = []
    half, side = HEIGHT / 2, WIDTH / 2
    for step, (before, now) in STEPS.items():
        for layer, name in enumerate(LAYERS):
            text = f"$x_{{{before}}}$" if layer == 0 else name
            rows.append((name, "box", step, step, layer, None, None, text))
            if name == "LSTM":
                right, left = step + side, step + 1 - side
                rows.append((name, "recurrence", step, right, layer + DOWN, left, layer + DOWN, ""))
                rows.append((name, "time", step, left, layer + UP, right, layer + UP, ""))
        rows.append(("input", "input", step, step, half, step, 1 - half, ""))
        for layer in range(1, len(LAYERS)):
            low, high = layer + half, layer + 1 - half
            name = ACTIVATIONS.get(layer, "logits")
            text = f"${write_symbol(name)}$" if layer in ACTIVATIONS else name
            rows.append((name, "activation", step, step + UP, low, step + UP, high, text))
            name = GRADIENTS.get(layer, "")
            text = f"${write_symbol(name)}$" if name else ""
            rows.append((name, "gradient", step, step + DOWN, high, step + DOWN, low, text))
        rows.append(("target", "text", step, step, len(LAYERS) - 0.02, None, None, f"target $x_{{{now}}}$"))
    return pd.DataFrame(rows, columns=["element", "kind", "step", "x", "y", "to_x", "to_y", "text"])


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """Activations solid, gradients dashed, the steps before and after the middle one faint."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    blue, orange, green = style.colors()[:3]
    looks: dict[str, tuple[Any, Any]] = {
        "activation": (blue, "-"),
        "recurrence": (green, "-"),
        "gradient": (orange, DASHED),
        "time": (orange, DASHED),
        "input": ("0.4", "-"),
    }
    for row in table.to_dict("records"):
        alpha = 1.0 if row["step"] == 0 else FAINT
        x, y, kind = row["x"], row["y"], row["kind"]
        if kind in looks:
            color, line = looks[kind]
            add_arrow(ax, row, color, line, alpha, style)
            if row["step"] == 0 and row["text"]:
                align, shift = ("left", 0.05) if kind == "gradient" else ("right", -0.05)
                middle = (y + row["to_y"]) / 2
                ax.text(x + shift, middle, row["text"], color=color, ha=align, va="center", gid=row["element"])
            continue
        if kind == "box":
            corner = (x - WIDTH / 2, y - HEIGHT / 2)
            look: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "linewidth": 0.8, "edgecolor": "0.2"}
            ax.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, facecolor="0.95", alpha=alpha, **look))
        ax.text(x, y, row["text"], ha="center", va="center", alpha=alpha)
    ax.set(xlim=(-1.7, 1.7), ylim=(-0.3, len(LAYERS) + 0.15))
    ax.set_axis_off()
    kinds = {"activation": "activation", "gradient": "gradient of the loss", "recurrence": "recurrence"}
    handles = [Line2D([], [], color=color, linestyle=line) for color, line in map(looks.__getitem__, kinds)]
    figure.legend(handles, list(kinds.values()), loc="outside lower center", ncols=3, columnspacing=1.0)
    return figure


def add_arrow(ax: Axes, row: dict, color: object, line: object, alpha: float, style: Style) -> None:
    """Add an arrow from (x, y) to (to_x, to_y)."""
    look: dict[str, Any] = {
        "arrowstyle": "-|>",
        "color": color,
        "linestyle": line,
        "alpha": alpha,
        "linewidth": style.line_width,
    }
    look |= {"shrinkA": 1, "shrinkB": 1, "mutation_scale": style.font_size}
    ax.annotate("", (row["to_x"], row["to_y"]), (row["x"], row["y"]), arrowprops=look)
