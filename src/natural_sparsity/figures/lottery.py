"""Held-out score against density: tickets, controls, models pruned in training, and the dense model's spread."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import GREY, Style
from natural_sparsity.files import read_parquet

SUMMARY = "held-out score of pruned models by density, with controls"
PANEL = (3.3, 2.8)
APART = 1.04  # factor between the roles' densities, so that their intervals do not cover each other
ROLES: dict[str, tuple[Any, str, str]] = {  # line, marker, and name in the legend
    "ticket": ("-", "o", "ticket"),
    "random_mask": ("--", "s", "random mask"),
    "random_init": (":", "^", "random weights"),
    "gradual": ("-.", "D", "pruned in training"),
    "random_mask_global": ("--", "p", "random mask, over all layers"),
    "equal_size": (":", "v", "small dense model"),
}
SCORE = ["score", "score_low", "score_high"]
COLUMNS = ["family", "role", "level", "density", "seeds", "measure", *SCORE, "matching"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the input."""
    parser.add_argument("--lottery", type=Path, metavar="L", required=True, help="Parquet of the lottery-ticket table")


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The rows drawn, and the figure."""
    table = read_table(args.lottery)
    return table, plot(table, style)


def read_table(path: Path | str) -> pd.DataFrame:
    """The rows and columns of the lottery-ticket table that are drawn.

    Raises:
        UserError: the file is no such table, or has no pruned model.
    """
    rows = read_parquet(path, COLUMNS)
    if not (rows["role"] != "dense").any() or not (rows["role"] == "dense").any():
        raise UserError(f"{path}: no dense or no pruned model to draw")
    return rows


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """A panel per family: the score by density, falling to the right; filled markers are matching sub-networks."""
    families = [family for family in table["family"].unique() if family]
    style = style.with_size(PANEL[0] * len(families), PANEL[1])
    figure = style.figure()
    panels = figure.subplots(1, len(families), sharey=True, squeeze=False)[0]
    [dense] = table[table["role"] == "dense"].itertuples()
    colors = dict(zip(ROLES, style.colors(len(ROLES)), strict=False))
    for ax, family in zip(panels, families, strict=True):
        ax.axhline(dense.score, color=GREY, linewidth=0.8, zorder=0)
        ax.axhspan(dense.score_low, dense.score_high, color=GREY, alpha=0.2, linewidth=0, zorder=0)
        for i, (role, (line, marker, _)) in enumerate(ROLES.items()):
            rows = table[(table["family"] == family) & (table["role"] == role)].sort_values("density")
            if rows.empty:
                continue
            rows = rows.assign(density=rows["density"] * APART**i)
            color = colors[role]
            errors = [rows["score"] - rows["score_low"], rows["score_high"] - rows["score"]]
            look: dict[str, Any] = {"color": color, "linestyle": line, "linewidth": style.line_width}
            ax.errorbar(rows["density"], rows["score"], errors, capsize=1.5, elinewidth=0.7, **look)
            for matching, face in (("yes", color), ("no", "white")):
                some = rows[(rows["matching"] == "yes") == (matching == "yes")]
                ax.plot(some["density"], some["score"], marker, color=color, markerfacecolor=face, zorder=3)
        ax.set_title(family)
        ax.set_xlabel("density (share of weights left)")
        set_density_axis(ax, table.loc[table["family"] == family, "density"])
    panels[0].set_ylabel(f"{dense.measure} (test)")
    present = [role for role in ROLES if (table["role"] == role).any()]
    handles: list[Line2D | Patch] = []
    for role in present:
        line, marker, label = ROLES[role]
        look = {"color": colors[role], "linestyle": line, "marker": marker, "markerfacecolor": "white"}
        handles.append(Line2D([], [], label=label, **look))
    handles += [
        Line2D([], [], color="0.2", linestyle="", marker="o", label="filled: matching"),
        Patch(facecolor=GREY, alpha=0.4, label="dense, 95 %"),
    ]
    columns = {1: 2, 2: 3}.get(len(families), len(handles))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)
    return figure


def set_density_axis(ax: Axes, densities: pd.Series) -> None:
    """Make a logarithmic axis from dense (left) to sparse (right), with a tick at each level that has room."""
    ax.set_xscale("log")
    low = float(densities.min())
    ax.set_xlim(1.05, low / 1.1)
    ticks: list[float] = []
    for density in sorted(densities.round(4).unique(), reverse=True):
        if not ticks or ticks[-1] / density > (1 / low) ** 0.14:
            ticks.append(float(density))
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
