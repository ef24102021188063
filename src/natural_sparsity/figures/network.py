"""The strongest surviving recurrent weights, as lines between their units' points in the space.

A line is the shortest way from the unit that sends to the one that receives. On the square of a torus or a Klein
bottle, a line that leaves at one side goes on at the side glued to it. The sphere is shown whole, in Hammer's
equal-area projection, and lines on it are great circles. On the circle, lines are chords.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import add_folders
from natural_sparsity.figures.style import GREY, Style
from natural_sparsity.methods import spaces
from natural_sparsity.methods.moduli import POINTS
from natural_sparsity.model import checkpoint

SUMMARY = "the strongest surviving recurrent weights as lines in the space"
STRONGEST = 200
COLUMNS = 4
PANEL = 1.75
ARC = 33  # points of a great circle's arc
LIMITS = {"square": (0.0, spaces.SIDE, 0.0, spaces.SIDE), "circle": (-1.1, 1.1, -1.1, 1.1)}
LIMITS["sphere"] = (-2.05 * math.sqrt(2), 2.05 * math.sqrt(2), -1.05 * math.sqrt(2), 1.05 * math.sqrt(2))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs."""
    add_folders(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The units and weights drawn, and the figure."""
    table = list_weights(args.checkpoint)
    return table, plot(table, style)


def list_weights(folders: Sequence[Path]) -> pd.DataFrame:
    """``model, space, seed, source, target, weight, x, y, z``: each unit's point, and the strongest weights.

    For each model, the first checkpoint given, and in it the first recurrent layer. A row without ``target`` is a unit
    with its coordinates (z only on the sphere); one with it is a weight, of any gate. A model in a space of more than
    two dimensions has one row, with neither.

    Raises:
        UserError: no checkpoint has units in a space.
    """
    cpu = torch.device("cpu")
    first: dict[str, Path] = {}
    for folder in folders:
        first.setdefault(checkpoint.read_state(folder)["model"], folder)
    rows = []
    for name, folder in first.items():
        model, state = checkpoint.load(folder, cpu)
        tensors = checkpoint.load_tensors(folder, cpu)
        layers = [(w.detach(), tensors[POINTS + key]) for key, w in model.named_parameters() if POINTS + key in tensors]
        if layers:
            space = state["sparsify"]["space"]
            part = pd.DataFrame(select_strongest(*layers[0]) if can_draw(space) else [{}])
            rows.append(part.assign(model=name, space=space, seed=state["seed"]))
    if not rows:
        raise UserError(f"{folders[0]}: no units in a space, here or in the others; give models of moduli")
    columns = ["model", "space", "seed", "source", "target", "weight", "x", "y", "z"]
    return pd.concat(rows, ignore_index=True).reindex(columns=columns)


def can_draw(space: str) -> bool:
    """Whether a space has at most two dimensions, and is no product."""
    factors = spaces.parse(space)
    return len(factors) == 1 and factors[0].dimension <= 2


def count_dimensions(space: str) -> int:
    """The dimensions of a space, a product's added up."""
    return sum(factor.dimension for factor in spaces.parse(space))


def select_strongest(weight: Tensor, points: Tensor) -> list[dict[str, float]]:
    """The units, then the greatest weights (gates · units, units) that are not 0, :data:`STRONGEST` or fewer."""
    units = [{"source": i, **dict(zip("xyz", point, strict=False))} for i, point in enumerate(points.tolist())]
    size = weight.abs().flatten()
    order = size.argsort(descending=True, stable=True)[: min(STRONGEST, int(weight.count_nonzero()))]
    return units + [
        {"source": index % len(points), "target": index // len(points) % len(points), "weight": float(w)}
        for index, w in zip(order.tolist(), weight.flatten()[order], strict=True)
    ]


def find_flat_lines(kind: str, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """The shortest way from a to b on the torus or the Klein bottle, as lines that each cross the square in part."""
    ends = [image[0].numpy() for image in spaces.images(kind, torch.tensor(b[None]))]
    nearest = min(ends, key=lambda end: float(np.linalg.norm(end - a)))
    shown = [image.numpy() for image in spaces.images(kind, torch.from_numpy(np.stack([a, nearest])))]
    return [line for line in shown if (line.max(0) > 0).all() and (line.min(0) < spaces.SIDE).all()]


def project(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors (…, 3) in Hammer's projection (…, 2): an ellipse with half axes 2√2 and √2, areas kept."""
    longitude, latitude = np.arctan2(vectors[..., 1], vectors[..., 0]), np.arcsin(vectors[..., 2].clip(-1, 1))
    scale = np.sqrt(2 / (1 + np.cos(latitude) * np.cos(longitude / 2)))
    return np.stack([2 * scale * np.cos(latitude) * np.sin(longitude / 2), scale * np.sin(latitude)], -1)


def find_arcs(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """The great circle's arc from a to b (3,), projected; in two where it passes the border of the map."""
    along = np.linspace(0, 1, ARC)[:, None]
    chord, other = np.linalg.norm(a - b), np.linalg.norm(a + b)
    angle = 2 * math.atan2(chord, other)
    if angle < 1e-6:
        return []
    points = (np.sin((1 - along) * angle) * a + np.sin(along * angle) * b) / math.sin(angle)
    longitude = np.arctan2(points[:, 1], points[:, 0])
    cut = np.flatnonzero(np.abs(np.diff(longitude)) > math.pi) + 1
    return [project(part) for part in np.split(points, cut) if len(part) > 1]


def place(space: str, units: pd.DataFrame) -> tuple[str, np.ndarray]:
    """The form of a space (``square``, ``circle``, ``sphere``) and its units' points, from the table."""
    kind, dimension = spaces.parse(space)[0]
    if kind == "torus" and dimension == 1:
        angle = 2 * math.pi * units["x"].to_numpy() / spaces.SIDE
        return "circle", np.stack([np.cos(angle), np.sin(angle)], -1)
    form = "square" if kind in ("torus", "klein") else kind
    return form, units[["x", "y", "z"] if form == "sphere" else ["x", "y"]].to_numpy(float)


def find_lines(space: str, form: str, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """The way from a to b, as lines to draw."""
    if form == "circle":
        return [np.stack([a, b])]
    return find_arcs(a, b) if form == "sphere" else find_flat_lines(spaces.parse(space)[0].kind, a, b)


def plot_model(ax: Axes, part: pd.DataFrame, style: Style) -> None:
    """Draw a model's units and weights; a unit's weight to itself is a ring around it."""
    space = part["space"].iloc[0]
    units, weights = part[part["target"].isna()], part[part["target"].notna()]
    form, points = place(space, units)
    flat = project(points) if form == "sphere" else points
    draw_border(ax, form)
    for color, chosen in zip(style.colors(), (weights["weight"] > 0, weights["weight"] < 0), strict=False):
        ends = weights.loc[chosen, ["source", "target"]].to_numpy(int)
        ways = [line for i, j in ends if i != j for line in find_lines(space, form, points[i], points[j])]
        ax.add_collection(LineCollection(ways, colors=[color], linewidths=style.line_width / 2, alpha=0.7, zorder=2))
        to_itself = flat[[i for i, j in ends if i == j]]
        ax.scatter(
            to_itself[:, 0],
            to_itself[:, 1],
            s=22,
            facecolors="none",
            edgecolors=[color],
            linewidths=style.line_width / 2,
            zorder=2,
        )
    ax.scatter(flat[:, 0], flat[:, 1], s=4, color="black", linewidths=0, zorder=3)


def draw_border(ax: Axes, form: str) -> None:
    """Draw the outline of a space, on equal scales and without axes."""
    left, right, low, high = LIMITS[form]
    ax.set(xlim=(left, right), ylim=(low, high), aspect="equal", xticks=[], yticks=[])
    if form == "square":
        ax.spines[["top", "right"]].set_visible(True)
        for spine in ax.spines.values():
            spine.set_linestyle((0, (4, 3)))
        return
    ax.spines[:].set_visible(False)
    half = (2 * math.sqrt(2), math.sqrt(2)) if form == "sphere" else (1.0, 1.0)
    ax.add_patch(Ellipse((0, 0), 2 * half[0], 2 * half[1], fill=False, edgecolor=GREY, linewidth=0.6, zorder=1))


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """A panel per model; a line of text names the models that are not drawn."""
    space_of: dict[str, str] = dict(zip(table["model"], table["space"], strict=True))
    shown = [name for name, space in space_of.items() if can_draw(space)]
    left = [f"{name} ({count_dimensions(space)} dimensions)" for name, space in space_of.items() if name not in shown]
    columns = min(COLUMNS, max(len(shown), 1))
    height = -(-len(shown) // columns)
    style = style.with_size(max(PANEL * columns, 3.5), 1.05 * PANEL * height + (0.7 if left else 0.5))
    figure = style.figure()
    panels = list(figure.subplots(height, columns, squeeze=False).flatten()) if shown else []
    for ax, name in zip(panels, shown, strict=False):
        plot_model(ax, table[table["model"] == name], style)
        ax.set_title(name if name == space_of[name] else f"{name} ({space_of[name]})")
    for ax in panels[len(shown) :]:
        ax.remove()
    if shown:
        signs = zip(style.colors(), ("positive", "negative"), strict=False)
        handles = [Line2D([], [], color=color, linewidth=style.line_width, label=sign) for color, sign in signs]
        title = f"the strongest surviving recurrent weights, at most {STRONGEST}"
        figure.legend(handles=handles, title=title, loc="outside upper center", ncols=2, title_fontsize=style.font_size)
    if left:
        figure.supxlabel(f"not drawn: {', '.join(left)}", fontsize=0.875 * style.font_size)
    return figure
