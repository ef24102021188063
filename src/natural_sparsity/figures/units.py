"""Do the units that carry the concentration keep their weights and gates? Rank correlations, and their nulls."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from natural_sparsity.analysis.tensors import GRADIENT
from natural_sparsity.analysis.units import SIDES
from natural_sparsity.figures.style import MARKERS, Style, write_symbol
from natural_sparsity.files import read_parquet

SUMMARY = "do the units that carry the concentration keep their weights?"
WIDTH, ABOVE, PANEL = 6.9, 0.9, 1.65
COLUMNS = ["model", "family", "role", "level", "layer", "tensor", "quantity", "side", "rho", "low", "high", "units"]
CHANCE = ["chance_low", "chance_high"]
QUANTITIES = {"part": "part\nin χ²", "size": "mean\nsize"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the input."""
    parser.add_argument("--units", type=Path, metavar="L", required=True, help="Parquet of the table of units")


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The rows drawn, and the figure."""
    table = read_table(args.units)
    return table, plot(table, style)


def read_table(path: Path | str) -> pd.DataFrame:
    """The rows drawn: the first and the last level of each family, and their random masks.

    Raises:
        UserError: the file is no such table.
    """
    rows = read_parquet(path, [*COLUMNS, *CHANCE, "seeds"])
    ends = rows.groupby("family")["level"].agg(["min", "max"])
    kept = [level in tuple(ends.loc[family]) for family, level in zip(rows["family"], rows["level"], strict=True)]
    return rows[np.array(kept) & rows["role"].ne("random_init")].reset_index(drop=True)


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """A row for each thing kept, a column per layer; a colour and marker per model, hollow for its random mask."""
    sides = [side for side in SIDES if (table["side"] == side).any()]
    style = style.with_size(WIDTH, ABOVE + PANEL * len(sides))
    figure = style.figure()
    layers = list(dict.fromkeys(table["layer"]))
    panels = figure.subplots(len(sides), len(layers), sharex="col", sharey=True, squeeze=False)
    tickets = list(dict.fromkeys(map(tuple, table.loc[~is_null(table), ["family", "level"]].to_numpy())))
    looks = {key: (style.colors()[i % 4], MARKERS[i % len(MARKERS)]) for i, key in enumerate(tickets)}
    for row, side in zip(panels, sides, strict=True):
        for ax, layer in zip(row, layers, strict=True):
            here = table[(table["side"] == side) & (table["layer"] == layer)]
            places = [(tensor, q) for tensor in (layer, GRADIENT + layer) for q in QUANTITIES]
            ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
            if len(here):
                ax.axhspan(here["chance_low"].min(), here["chance_high"].max(), color="0.92", linewidth=0, zorder=0)
            ax.axvline(1.5, color="0.85", linewidth=0.6, zorder=0)
            pairs = [(key, null) for key in tickets for null in (False, True)]
            for i, (key, null) in enumerate(pairs):
                rows = here[(here["family"] == key[0]) & (here["level"] == key[1]) & (is_null(here) == null)]
                color, marker = looks[key]
                shift = 0.7 * ((i + 0.5) / len(pairs) - 0.5)
                for one in rows.to_dict("records"):
                    x = places.index((one["tensor"], one["quantity"])) + shift
                    ends = [[one["rho"] - one["low"]], [one["high"] - one["rho"]]]
                    ax.errorbar(
                        [x], [one["rho"]], ends, color=color, marker=marker, markerfacecolor="white" if null else color,
                        markersize=0.8 * style.marker_size, elinewidth=0.7, markeredgewidth=0.7, linestyle="",
                        gid=f"{one['model']} {one['tensor']} {one['quantity']} {side}",
                    )  # fmt: skip
            labels = [f"${write_symbol(tensor)}$\n{QUANTITIES[q]}" for tensor, q in places]
            ax.set_xticks(range(len(places)), labels)
            ax.set_xlim(-0.6, len(places) - 0.4)
            if side == sides[0]:
                units = table.loc[table["layer"] == layer, "units"].max()
                ax.set_title(f"${write_symbol(layer)}$, {units} units")
            if here.empty:
                ax.text(0.5, 0.5, "all kept, or none there", transform=ax.transAxes, ha="center", va="bottom")
        row[0].set_ylabel(SIDES[side])
    figure.supylabel("Spearman's ρ with what the model keeps of a unit", fontsize=style.font_size)
    handles: list[Line2D | Patch] = []
    for (family, level), (color, marker) in looks.items():
        name = f"{family}, level {level}" if level else family
        look: dict[str, Any] = {"color": color, "marker": marker, "linestyle": ""}
        handles.append(Line2D([], [], label=name, **look))
    handles.append(Patch(color="0.92", label="chance: 95 % of permutations of units"))
    if is_null(table).any():
        handles.append(
            Line2D([], [], color="0.4", marker="o", markerfacecolor="white", linestyle="", label="hollow: random mask")
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    return figure


def is_null(rows: pd.DataFrame) -> pd.Series:
    """Which rows are those of a random mask."""
    return rows["role"] == "random_mask"
