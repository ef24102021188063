"""What χ measures, in two dimensions: the plane shaded by χ, ‖v‖₂ = 1 and ‖v‖₁ = 1, a sparse and a dense vector."""

import argparse
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from natural_sparsity.figures.style import Style

SUMMARY = "what χ measures, in two dimensions (needs no data)"
SIZE = (3.3, 2.7)
EDGE = 1.5  # of both axes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no inputs."""


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure."""
    table = list_points()
    return table, plot(table, style)


def list_points() -> pd.DataFrame:
    """The points of the paper's illustration of χ: ``element, v_1, v_2, l1, l2, chi``.

    A vector has two rows: where its direction meets the diamond (‖v‖₁ = 1, so that its length is χ) and the circle.
    The circle's rows also give the shade of the plane, since χ depends on the direction alone.
    """
    angle = np.linspace(0, 2 * np.pi, 361)
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
    """Circle and diamond on the shaded plane, and the two vectors."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    parts = {str(name): part for name, part in table.groupby("element")}
    shade_plane(ax, parts["circle"], style)
    ax.plot(parts["circle"]["v_1"], parts["circle"]["v_2"], color="0.2", label=r"$\Vert v\Vert_2=1$")
    ax.plot(
        parts["diamond"]["v_1"],
        parts["diamond"]["v_2"],
        color="0.2",
        linestyle="--",
        label=r"$\Vert v\Vert_1=1$ (arrow length: $\chi$)",
    )
    outline = [withStroke(linewidth=2.5, foreground="white")]
    labels = (
        ("sparse", r"sparse: $\chi=1$", (-4, 4), "right"),
        ("dense", "dense:\n" r"$\chi=1/\sqrt{2}$", (1, 3), "left"),
    )
    for name, label, shift, side in labels:
        inner, outer = parts[name].iloc[0], parts[name].iloc[1]
        ax.plot([0, outer["v_1"]], [0, outer["v_2"]], color="black", linestyle=":", label="_nolegend_")
        arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.5 * style.line_width}
        ax.annotate("", (inner["v_1"], inner["v_2"]), (0, 0), arrowprops={**arrow, "shrinkA": 0, "shrinkB": 0})
        ax.annotate(
            label,
            (outer["v_1"], outer["v_2"]),
            shift,
            textcoords="offset points",
            ha=side,
            path_effects=outline,
        )
    ax.set(aspect="equal", xlabel="$v_1$", ylabel="$v_2$", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def shade_plane(ax: Axes, circle: pd.DataFrame, style: Style) -> None:
    """Shade the directions of the circle's points by their χ, out to the corners, and add the colour bar."""
    ends = np.array([[1e-9], [2 * EDGE]])  # χ(0) is undefined
    x, y = ends * circle["v_1"].to_numpy(), ends * circle["v_2"].to_numpy()
    shades = np.broadcast_to(circle["chi"].to_numpy(), x.shape)
    # Light, so that lines and words are read on it. Not by transparency, which would show the seams of the mesh.
    light = ListedColormap(0.4 + 0.6 * mpl.colormaps[style.colormap](np.linspace(0, 1, 256)))
    look: dict[str, Any] = {"cmap": light, "vmin": np.sqrt(0.5), "vmax": 1, "shading": "gouraud"}
    mesh = ax.pcolormesh(x, y, shades, rasterized=True, **look)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.03, aspect=25, ticks=[np.sqrt(0.5), 0.8, 0.9, 1])
    bar.ax.set_yticklabels([r"$1/\sqrt{2}$", "0.8", "0.9", "1"])
    bar.set_label(r"$\chi(v)$")
    bar.outline.set_linewidth(0.6)
