"""Held-out perplexity against density: tickets, controls, what was pruned in training, and the dense model's spread."""

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

PANEL = (3.3, 2.8)
APART = 1.04  # the factor between roles' densities, so that their intervals do not cover each other
ROLES: dict[str, tuple[Any, str, str]] = {  # line, marker, and what the legend says
    "ticket": ("-", "o", "ticket"),
    "random_mask": ("--", "s", "random mask"),
    "random_init": (":", "^", "random weights"),
    "gradual": ("-.", "D", "pruned in training"),
}
COLUMNS = ["family", "role", "level", "density", "seeds", "perplexity", "perplexity_low", "perplexity_high", "matching"]


def table(path: Path | str) -> pd.DataFrame:
    """The rows of the lottery-ticket table that are drawn.

    Raises:
        UserError: the file is no such table, or has no pruned model.
    """
    try:
        rows = pd.read_csv(path, keep_default_na=False, na_values={"perplexity_low": "", "perplexity_high": ""})
        rows = rows[COLUMNS]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a lottery-ticket table ({error}); delete it and run again") from error
    if not (rows["role"] != "dense").any() or not (rows["role"] == "dense").any():
        raise UserError(f"{path}: no dense or no pruned model to draw")
    return rows


def draw(table: pd.DataFrame, style: Style) -> Figure:
    """A panel a family: perplexity by density, falling to the right; filled markers are matching sub-networks."""
    families = [family for family in table["family"].unique() if family]
    style = style.sized(PANEL[0] * len(families), PANEL[1])
    figure = style.figure()
    panels = figure.subplots(1, len(families), sharey=True, squeeze=False)[0]
    [dense] = table[table["role"] == "dense"].itertuples()
    colors = dict(zip(ROLES, style.colors(), strict=False))
    for ax, family in zip(panels, families, strict=True):
        ax.axhline(dense.perplexity, color=GREY, linewidth=0.8, zorder=0)
        ax.axhspan(dense.perplexity_low, dense.perplexity_high, color=GREY, alpha=0.2, linewidth=0, zorder=0)
        for i, (role, (line, marker, _)) in enumerate(ROLES.items()):
            rows = table[(table["family"] == family) & (table["role"] == role)].sort_values("density")
            if rows.empty:
                continue
            rows = rows.assign(density=rows["density"] * APART**i)
            color = colors[role]
            errors = [rows["perplexity"] - rows["perplexity_low"], rows["perplexity_high"] - rows["perplexity"]]
            look: dict[str, Any] = {"color": color, "linestyle": line, "linewidth": style.line_width}
            ax.errorbar(rows["density"], rows["perplexity"], errors, capsize=1.5, elinewidth=0.7, **look)
            for matching, face in (("yes", color), ("no", "white")):
                some = rows[(rows["matching"] == "yes") == (matching == "yes")]
                ax.plot(some["density"], some["perplexity"], marker, color=color, markerfacecolor=face, zorder=3)
        ax.set_title(family)
        ax.set_xlabel("density (share of weights left)")
        density_axis(ax, table.loc[table["family"] == family, "density"])
    panels[0].set_ylabel("perplexity (test)")
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


def density_axis(ax: Axes, densities: pd.Series) -> None:
    """A logarithmic axis from dense on the left to sparse on the right, with a tick at each level that has room."""
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
