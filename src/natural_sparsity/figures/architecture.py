"""Figure 1: the language model with its activations and gradients."""

import argparse
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from natural_sparsity.analysis.tensors import GRADIENT
from natural_sparsity.figures.style import DASHED, Style, write_symbol

SUMMARY = "the model with its activations and gradients, figure 1 (needs no data)"
SIZE = (3.3, 3.5)
# Of boxes, in the axes' units: a step is 1 wide, a layer 1 high.
WIDTH, HEIGHT = 0.74, 0.4
# The words at the bottom and at the top of each step: where xₜ₋₁ is the input, xₜ is the target.
STEPS = {-1: ("t-2", "t-1"), 0: ("t-1", "t"), 1: ("t", "t+1")}
LAYERS = ("input", "embedding", "LSTM", "LSTM", "softmax")
TENSORS = ("h_e", "h_1", "h_2", "x")
FAINT = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no inputs."""


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The elements drawn, and the figure."""
    table = list_elements()
    return table, plot(table, style)


def list_elements() -> pd.DataFrame:
    """What is drawn: ``element, step, x, y, to_x, to_y, text``.

    ``element`` is ``box`` (x, y its centre), ``recurrence``, or a tensor's name, which is an arrow from (x, y) to
    (to_x, to_y); its ``text`` is mathtext. Every step has all of them.
    """
    rows: list[tuple[str, int, float, float, float | None, float | None, str]] = []
    half = HEIGHT / 2
    for step, (before, now) in STEPS.items():
        for layer, name in enumerate(LAYERS):
            text = f"$x_{{{before}}}$" if layer == 0 else name
            rows.append(("box", step, step, layer, None, None, text))
            if name == "LSTM":
                rows.append(("recurrence", step, step + WIDTH / 2, layer, step + 1 - WIDTH / 2, layer, ""))
        for layer, tensor in enumerate(TENSORS, 1):
            end = layer + 1 - half
            up, down = step - 0.09, step + 0.09
            rows.append((tensor, step, up, layer + half, up, end, f"${write_symbol(tensor)}$"))
            gradient = GRADIENT + tensor
            rows.append((gradient, step, down, end, down, layer + half, f"${write_symbol(gradient)}$"))
        rows.append(("input", step, step, half, step, 1 - half, ""))
        rows.append(("target", step, step, len(LAYERS) - 0.02, None, None, f"target $x_{{{now}}}$"))
    return pd.DataFrame(rows, columns=["element", "step", "x", "y", "to_x", "to_y", "text"])


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """Activations solid, gradients dashed, the steps before and after the middle one faint."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    blue, orange = style.colors()[:2]
    for row in table.to_dict("records"):
        alpha = 1.0 if row["step"] == 0 else FAINT
        name, x, y = row["element"], row["x"], row["y"]
        if name == "box":
            corner = (x - WIDTH / 2, y - HEIGHT / 2)
            look: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "linewidth": 0.8, "edgecolor": "0.2"}
            ax.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, facecolor="0.95", alpha=alpha, **look))
            ax.text(x, y, row["text"], ha="center", va="center", alpha=alpha)
        elif name == "target":
            ax.text(x, y, row["text"], ha="center", va="center", alpha=alpha)
        else:
            gradient = name.startswith(GRADIENT)
            color = orange if gradient else blue if name in TENSORS else "0.4"
            add_arrow(ax, row, color, DASHED if gradient else "-", alpha, style)
            side = ("left", 0.05) if gradient else ("right", -0.05)
            if row["step"] == 0 and row["text"]:
                middle = (y + row["to_y"]) / 2
                ax.text(x + side[1], middle, row["text"], color=color, ha=side[0], va="center", gid=name)
    ax.set(xlim=(-1.7, 1.7), ylim=(-0.3, len(LAYERS) + 0.15))
    ax.set_axis_off()
    kinds: list[tuple[Any, Any, str]] = [
        (blue, "-", "activation"),
        (orange, DASHED, "gradient of the loss"),
        ("0.4", "-", "recurrence"),
    ]
    handles = [Line2D([], [], color=color, linestyle=line) for color, line, _ in kinds]
    figure.legend(handles, [name for *_, name in kinds], loc="outside lower center", ncols=3, columnspacing=1.0)
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
