"""What χ measures, in two dimensions: the circle of ‖v‖₂ = 1, the diamond of ‖v‖₁ = 1, a sparse and a dense vector."""

import argparse

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.figures.style import GREY, Style

SUMMARY = "what χ measures, in two dimensions (needs no data)"
SIZE = (3.3, 2.6)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no inputs."""


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure."""
    table = list_points()
    return table, plot(table, style)


def list_points() -> pd.DataFrame:
    """The points of the paper's illustration of χ: ``element, v_1, v_2, l1, l2, chi``.

    A vector has two rows: where its direction meets the diamond (‖v‖₁ = 1, so that its length is χ) and the circle.
    """
    angle = np.linspace(0, 2 * np.pi, 181)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    diamond = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1], [1, 0]])
    sparse, dense = np.array([0.0, 1.0]), np.array([1.0, 1.0])
    elements = {"circle": circle, "diamond": diamond}
    for name, v in (("sparse", sparse), ("dense", dense)):
        elements[name] = np.array([v / np.abs(v).sum(), v / np.sqrt((v**2).sum())])
    points = np.concatenate(list(elements.values()))
    l1, l2 = np.abs(points).sum(axis=1), np.sqrt((points**2).sum(axis=1))
    names = np.repeat(list(elements), [len(v) for v in elements.values()])
    columns = {"element": names, "v_1": points[:, 0], "v_2": points[:, 1], "l1": l1, "l2": l2, "chi": l2 / l1}
    return pd.DataFrame(columns)


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """Circle, diamond, and the two vectors."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    parts = {str(name): part for name, part in table.groupby("element")}
    blue, orange = style.colors()[:2]
    ax.axhline(0, color="0.85", linewidth=0.6, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.6, zorder=0)
    ax.plot(parts["circle"]["v_1"], parts["circle"]["v_2"], color=GREY, label=r"$\Vert v\Vert_2=1$")
    ax.plot(
        parts["diamond"]["v_1"],
        parts["diamond"]["v_2"],
        color="0.2",
        linestyle="--",
        label=r"$\Vert v\Vert_1=1$ (arrow length: $\chi$)",
    )
    for name, color, value in (("sparse", orange, "1"), ("dense", blue, r"1/\sqrt{2}")):
        inner, outer = parts[name].iloc[0], parts[name].iloc[1]
        ax.plot([0, outer["v_1"]], [0, outer["v_2"]], color=color, linestyle=":", label="_nolegend_")
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.5 * style.line_width, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (inner["v_1"], inner["v_2"]), (0, 0), arrowprops=arrow)
        ax.annotate(
            rf"{name}: $\chi={value}$",
            (outer["v_1"], outer["v_2"]),
            (4, 4),
            textcoords="offset points",
            color=color,
            fontweight="bold",
        )
    ax.set(aspect="equal", xlabel="$v_1$", ylabel="$v_2$", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.15))
    figure.legend(loc="outside lower center", ncols=2)
    return figure
