"""The claims as a figure: values, intervals, the ranges claimed, differences from controls, and verdicts."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.transforms import blended_transform_factory

from natural_sparsity.analysis.products import GROUP, check_same
from natural_sparsity.analysis.rules import CONDITION, NO, OPEN, PREMISE, VERDICTS, YES, format_interval, name_verdict
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import add_unit
from natural_sparsity.figures.style import Style
from natural_sparsity.files import read_parquet

SUMMARY = "the paper's statements: values, intervals, controls and verdicts"
# Inches; the height of a line is that at 8 points.
WIDTH, LINE = 6.9, 0.155
# Lines above everything; below the values of a quantity, for its axis; and below everything, for the legend.
ABOVE, BELOW_PANEL, BELOW_ALL = 1.2, 3.7, 4
# Shares of the figure's width: the axis of values, that of the differences from controls, and the margin.
VALUES, CONTROLS, MARGIN = (0.365, 0.56), (0.585, 0.695), 0.01
# Characters of a line below an axis.
LABEL = 30
# Characters of a reason that have room; the table has it whole.
LONGEST = 120
# A control: its column, its marker, and the place of the mark in the line, from the middle downwards.
DIFFERENCES = {"untrained": ("^", -0.2), "shuffled": ("s", 0.2)}
COLUMNS = [
    *("claim", "verdict", "also", "because", "part", "quantifier", "evidence", "values", "quantity"),
    *("value", "low", "high", "low_all", "high_all", "n", "above", "below", "effect", "holds"),
    *(name + end for name in DIFFERENCES for end in ("", "_low", "_high")),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    parser.add_argument(
        "--claims", type=Path, metavar="T", nargs="+", required=True, help="Parquet of the claims, one file per seed"
    )
    add_unit(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The rows drawn, and the figure."""
    table = read_claims(args.claims)
    return table, plot(table, style, args.unit)


def read_claims(paths: Sequence[Path | str]) -> pd.DataFrame:
    """The rows of the claims tables that are drawn, in their order; several seeds add ``seed`` as the first column.

    Of a part of a claim that is about many values, only the one that decides it is drawn; ``values`` is how many there
    are.

    Args:
        paths: one file per seed, of one model on one set of data under one condition.

    Raises:
        UserError: a file is no claims table, has other claims than the first, or does not belong with it.
    """
    frames: dict[Path | str, pd.DataFrame] = {}
    stored = [name for name in COLUMNS if name != "values"]
    for path in paths:
        frame = read_parquet(path, ["seed", *GROUP, *stored, "shown"])
        if frame.empty or not frame["verdict"].isin(VERDICTS).all():
            raise UserError(f"{path}: a verdict is none of {', '.join(VERDICTS)}; delete it and run again")
        frames[path] = frame
        if set(frame["claim"]) != set(frames[paths[0]]["claim"]):
            raise UserError(f"{path}: has other claims than {paths[0]}; judge both again")
    check_same({path: {key: str(frame[key].iloc[0]) for key in GROUP} for path, frame in frames.items()})
    seeds = {int(frame["seed"].iloc[0]): path for path, frame in frames.items()}
    if len(seeds) < len(paths):
        raise UserError(f"{', '.join(map(str, paths))}: two are of one seed; give one file per seed")
    return select_rows(pd.concat(frames.values(), ignore_index=True))


def select_rows(claims: pd.DataFrame) -> pd.DataFrame:
    """The rows that are drawn of claims of one model; see :func:`read_claims`.

    Args:
        claims: the claims tables of all seeds, ``seed`` among their columns.
    """
    values = claims.groupby(["seed", "claim", "part"])["value"].transform("size").astype("Int64")
    together = claims.assign(values=values)
    drawn = together.loc[together["shown"].fillna(True).astype(bool)].reset_index(drop=True)
    return drawn[["seed", *COLUMNS] if claims["seed"].nunique() > 1 else COLUMNS]


def summarise_verdict(rows: pd.DataFrame) -> str:
    """A claim's verdict and what is to be said beside it; of several seeds, how many have which."""
    if "seed" not in rows:
        return name_verdict(*rows[["verdict", "also"]].iloc[0])
    seeds = rows.drop_duplicates("seed")
    parts = []
    for verdict in VERDICTS:
        mine = seeds.loc[seeds["verdict"] == verdict]
        if len(mine):
            also = mine.loc[mine["also"] != "", "also"].value_counts(sort=False)
            beside = ", ".join(f"{count} {name}" for name, count in also.items())
            parts.append(f"{len(mine)} {verdict.removesuffix(' here')}" + (f" ({beside})" if beside else ""))
    return ", ".join(parts)


def split_panels(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows by what their values measure; the last, named ``""``, are claims without a value in any seed."""
    valued = table.dropna(subset="value")
    panels = {str(quantity): rows for quantity, rows in valued.groupby("quantity", sort=False)}
    rest = table.loc[~table["claim"].isin(valued["claim"])]
    return panels if rest.empty else {**panels, "": rest}


def count_lines(rows: pd.DataFrame) -> int:
    """The lines of a panel: one for each claim, and one for each of its parts, or for the reason why it has none."""
    return rows["claim"].nunique() + rows.drop_duplicates(["claim", "part"]).shape[0]


def plot(table: pd.DataFrame, style: Style, unit: str = "word") -> Figure:
    """A panel per quantity; in it, a line with each claim and its verdict, and below it a line per value.

    The range claimed, up to the smallest effect that counts, is shaded. Values inside, outside and across its edge
    differ in colour and marker; a thin line is the interval that covers all the claim's values at once. Several seeds
    share a line, in their order from the top; the numbers at its right are then their mean and extremes. Beside the
    values are their differences from the untrained model and from the same model on the shuffled text, if there are
    any, filled where the interval of every seed excludes 0 on the same side.
    """
    panels = split_panels(table)
    lines = {quantity: count_lines(rows) for quantity, rows in panels.items()}
    height = sum(lines.values()) + BELOW_PANEL * sum(quantity != "" for quantity in panels) + ABOVE + BELOW_ALL
    style = style.with_size(WIDTH, LINE * style.font_size / 8 * height)
    figure = style.figure()
    figure.set_layout_engine("none")
    # Names, axes and numbers have columns of their own, so that every run's figure is laid out alike.
    compared = [name for name in DIFFERENCES if table[name].notna().any()]
    end = CONTROLS[1] if compared else VALUES[1]
    top = ABOVE
    numbers = "mean [least, greatest]" if "seed" in table else "value [interval]"
    note: dict[str, Any] = {"color": "0.3", "style": "italic", "fontsize": 0.875 * style.font_size, "va": "center"}
    figure.text(end + MARGIN, 1 - ABOVE / 2 / height, numbers, **note)
    looks = choose_looks(style)
    for quantity, rows in panels.items():
        place = 1 - (top + lines[quantity]) / height, lines[quantity] / height
        ax = figure.add_axes((VALUES[0], place[0], VALUES[1] - VALUES[0], place[1]))
        beside = None
        if quantity and rows[compared].notna().any(axis=None):
            beside = figure.add_axes((CONTROLS[0], place[0], CONTROLS[1] - CONTROLS[0], place[1]))
        draw_panel(ax, beside, rows, table, end, looks, style)
        if quantity:
            ax.set_xlabel(fill(f"{quantity}, or difference", LABEL), fontsize=0.875 * style.font_size)
            top += BELOW_PANEL
        else:
            ax.set_axis_off()
        if beside is not None:
            beside.set_xlabel("value − that\nof a control", fontsize=0.875 * style.font_size)
        top += lines[quantity]
    handles, names = zip(*list_legend(looks, compared, unit, "seed" in table), strict=True)
    figure.legend(handles, names, loc="lower center", ncols=3, columnspacing=1.2, borderaxespad=0.2)
    return figure


def choose_looks(style: Style) -> dict[str, tuple[Any, str, Any]]:
    """A colour, marker and marker's face for each state of a value, and a colour for each verdict."""
    blue, orange, _, purple = style.colors()
    states = {YES: (blue, "o", blue), NO: (orange, "X", orange), OPEN: (purple, "D", "white")}
    colors = zip(VERDICTS, (blue, orange, purple, "0.4"), strict=True)
    return {**states, **{verdict: (color, "", color) for verdict, color in colors}}


def draw_panel(
    ax: Axes,
    beside: Axes | None,
    panel: pd.DataFrame,
    table: pd.DataFrame,
    end: float,
    looks: dict[str, tuple[Any, str, Any]],
    style: Style,
) -> None:
    """Draw the claims of one quantity.

    Args:
        ax: for the values.
        beside: for their differences from controls, if there are any.
        panel: the rows with this quantity.
        table: all rows; a claim's verdict rests on those with other quantities, too.
        end: where the axes end, in shares of the figure's width.
        looks: of states and verdicts.
        style: whose sizes apply.
    """
    figure = ax.figure
    places = {seed: i for i, seed in enumerate(dict.fromkeys(table["seed"]))} if "seed" in table else {}
    seeds = max(1, len(places))
    ax.set_xlim(*find_limits(panel[["value", "low", "high", "low_all", "high_all"]], panel[["above", "below"]]))
    # Left and right of the axes: x in shares of the figure's width, y in lines.
    outside: dict[str, Any] = {"va": "center", "fontsize": 0.875 * style.font_size}
    outside["transform"] = blended_transform_factory(figure.transFigure, ax.transData)
    y = 0
    for name, rows in panel.groupby("claim", sort=False):
        every = table.loc[table["claim"] == name]
        verdicts = every["verdict"].unique()
        color = looks[verdicts[0]][0] if len(verdicts) == 1 else "0.2"
        bar = Rectangle((0, y - 0.5), 1, 1, color="0.94", linewidth=0, zorder=0, transform=outside["transform"])
        figure.add_artist(bar)
        ax.text(MARGIN, y, str(name), fontweight="bold", **outside)
        ax.text(1 - MARGIN, y, summarise_verdict(every), color=color, fontweight="bold", ha="right", **outside)
        y += 1
        for _, items in rows.dropna(subset="value").groupby("part", sort=False):
            what = name_part(items)
            low, high = ax.get_xlim()
            for drawn in filter(None, (ax, beside)):
                drawn.vlines(0, y - 0.5, y + 0.5, color="0.3", linewidth=0.6, zorder=0.6)
            start, stop = max(items["above"].iloc[0], low), min(items["below"].iloc[0], high)
            ax.fill_betweenx([y - 0.5, y + 0.5], start, stop, color="0.85", linewidth=0, zorder=0.5)
            for item in items.to_dict("records"):
                place = y if seeds == 1 else y + 0.6 * (places[item["seed"]] / (seeds - 1) - 0.5)
                draw_value(ax, item, place, looks, style.marker_size / seeds**0.3, f"{name}: {what}")
            ax.text(VALUES[0] - MARGIN, y, what, ha="right", **outside)
            ax.text(end + MARGIN, y, format_values(items), **outside)
            if beside is not None:
                draw_differences(beside, items, y, 0.7 * style.marker_size, f"{name}: {what}")
            y += 1
        if rows["value"].isna().all():
            because = rows["because"].iloc[0]
            shown = because if len(because) <= LONGEST else because[:LONGEST] + " …"
            ax.text(2 * MARGIN, y, shown, style="italic", color="0.3", bbox={"color": "white", "pad": 0}, **outside)
            y += 1
    for drawn in filter(None, (ax, beside)):
        drawn.set_ylim(y - 0.5, -0.5)
        drawn.set_yticks([])
        drawn.spines["left"].set_visible(False)
        drawn.patch.set_visible(False)  # the bars behind a claim's name pass below it
    if beside is not None:
        names = [name + suffix for name in DIFFERENCES for suffix in ("", "_low", "_high")]
        beside.set_xlim(*find_limits(panel[names]))
        beside.locator_params(axis="x", nbins=3)


def find_limits(shown: pd.DataFrame, edges: pd.DataFrame | None = None) -> tuple[float, float]:
    """The ends of an axis that holds all values, 0, and the finite ends of the ranges claimed."""
    numbers = shown.to_numpy(float).ravel()
    if edges is not None:
        numbers = np.concatenate([numbers, edges.to_numpy(float).ravel()])
    numbers = numbers[np.isfinite(numbers)]
    low, high = np.min(numbers, initial=0), np.max(numbers, initial=0)
    room = 0.08 * (high - low) or 0.1
    return low - room, high + room


def name_part(items: pd.DataFrame) -> str:
    """The name of a line: its value, or, where each seed shows another of a part's values, how many there are."""
    names = items["evidence"].unique()
    first = items.iloc[0]
    if first["values"] > 1:
        which = "best" if first["quantifier"] == "some" else "extreme"
        where = f"{which} of {first['values']}"
        return f"{names[0]} ({where})" if len(names) == 1 else f"{where}, of each seed"
    return {PREMISE: "needs: ", CONDITION: "with: "}.get(first["quantifier"], "") + str(names[0])


def draw_value(
    ax: Axes, item: Mapping[Any, Any], y: float, looks: dict[str, tuple[Any, str, Any]], size: float, gid: str
) -> None:
    """Draw a value with its interval, and thinly the one that covers all the claim's values."""
    color, marker, face = looks[item["holds"]]
    if np.isfinite(item["low_all"]):
        ax.plot([item["low_all"], item["high_all"]], [y, y], color=color, linewidth=0.6, solid_capstyle="butt")
    ax.plot([item["low"], item["high"]], [y, y], color=color, solid_capstyle="butt", gid="interval")
    ax.plot(item["value"], y, marker, color=color, markerfacecolor=face, markersize=size, gid=gid)


def draw_differences(ax: Axes, items: pd.DataFrame, y: float, size: float, gid: str) -> None:
    """Draw the differences from each control: of one seed with the interval, of several their mean and extremes."""
    for name, (marker, offset) in DIFFERENCES.items():
        given = items.dropna(subset=name)
        if given.empty:
            continue
        value = given[name].mean()
        low, high = given[f"{name}_low"], given[f"{name}_high"]
        ends = (low.iloc[0], high.iloc[0]) if len(given) == 1 else (given[name].min(), given[name].max())
        clear = (low > 0).all() or (high < 0).all()
        ax.plot(ends, [y + offset] * 2, color="0.3", linewidth=0.8, solid_capstyle="butt")
        face = "0.3" if clear else "white"
        ax.plot(value, y + offset, marker, color="0.3", markerfacecolor=face, markersize=size, gid=f"{gid} {name}")


def format_values(items: pd.DataFrame) -> str:
    """A value with its interval and its n; of several seeds, their mean value, the least and the greatest."""
    edges = items[["above", "below"]].iloc[0]
    if len(items) == 1:
        return f"{format_interval(*items[['value', 'low', 'high']].iloc[0], *edges)}, n = {items['n'].iloc[0]:,}"
    return f"{format_interval(*items['value'].agg(['mean', 'min', 'max']), *edges)}, {len(items)} seeds"


def list_legend(
    looks: dict[str, tuple[Any, str, Any]], compared: Sequence[str], unit: str, several: bool
) -> list[tuple[Artist, str]]:
    """What the marks mean, as handles and names of a legend."""
    entries: list[tuple[Artist, str]] = []
    for state, name in ((YES, "as claimed"), (NO, "not as claimed"), (OPEN, "undecided")):
        color, marker, face = looks[state]
        entries.append((Line2D([], [], color=color, marker=marker, markerfacecolor=face), name))
    entries.append((Patch(facecolor="0.85"), "range claimed, from the smallest effect"))
    each = ", a line per seed" if several else ""
    entries.append((Line2D([], [], color="0.3"), f"interval over {unit}s{each}"))
    entries.append((Line2D([], [], color="0.3", linewidth=0.6), "of all the claim's values at once"))
    spread = ": mean, range of seeds" if several else ""
    for control in compared:
        marker = DIFFERENCES[control][0]
        entries.append((Line2D([], [], color="0.3", marker=marker, linewidth=0.8), f"value − {control}{spread}"))
    if compared:
        hollow = Line2D([], [], color="0.3", marker=DIFFERENCES[compared[0]][0], markerfacecolor="white", linewidth=0.8)
        entries.append((hollow, "hollow: its interval contains 0"))
    return entries
