"""The claims as a figure: for each, its values with their intervals, the range claimed, and the verdict."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

from natural_sparsity.analysis.claims import VERDICTS
from natural_sparsity.analysis.products import GROUP, check_same
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import add_unit
from natural_sparsity.figures.style import Style
from natural_sparsity.files import read_parquet

SUMMARY = "the paper's statements: values, intervals and verdicts"
# Inches; the height of a row is that at 8 points.
WIDTH, ROW = 6.9, 0.165
# Shares of the figure's width.
AXIS, MARGIN = (0.4, 0.7), 0.01
# Characters of a reason that have room; the table has it whole.
LONGEST = 120
COLUMNS = ["claim", "verdict", "because", "evidence", "value", "low", "high", "n", "above", "below", "holds"]


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
    """The rows of the claims tables, in their order; several seeds add ``seed`` as the first column.

    Args:
        paths: one file per seed, of one model on one set of data under one condition.

    Raises:
        UserError: a file is no claims table, has other claims than the first, or does not belong with it.
    """
    frames: dict[Path | str, pd.DataFrame] = {}
    for path in paths:
        frame = read_parquet(path, ["seed", *GROUP, *COLUMNS])
        if frame.empty or not frame["verdict"].isin(VERDICTS).all():
            raise UserError(f"{path}: a verdict is none of {', '.join(VERDICTS)}; delete it and run again")
        frames[path] = frame
        if set(frame["claim"]) != set(frames[paths[0]]["claim"]):
            raise UserError(f"{path}: has other claims than {paths[0]}; judge both again")
    check_same({path: {key: str(frame[key].iloc[0]) for key in GROUP} for path, frame in frames.items()})
    seeds = {int(frame["seed"].iloc[0]): path for path, frame in frames.items()}
    if len(seeds) < len(paths):
        raise UserError(f"{', '.join(map(str, paths))}: two are of one seed; give one file per seed")
    if len(frames) == 1:
        return next(iter(frames.values()))[COLUMNS]
    return pd.concat(frames.values())[["seed", *COLUMNS]]


def summarise_verdict(rows: pd.DataFrame) -> str:
    """A claim's verdict; of several seeds, how many have which."""
    verdicts = rows["verdict"] if "seed" not in rows else rows.drop_duplicates("seed")["verdict"]
    counts = verdicts.value_counts(sort=False)
    if len(verdicts) > 1 and "seed" in rows:
        return ", ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts).removesuffix(" here")
    return str(verdicts.iloc[0])


def plot(table: pd.DataFrame, style: Style, unit: str = "word") -> Figure:
    """A line with each claim and its verdict, and below it a line per value.

    The range claimed is shaded. Values inside, outside and across its edge differ in colour and marker. Several seeds
    share a line, in their order from the top; the numbers at its right are then their mean and extremes.
    """
    claims = table.groupby("claim", sort=False)
    evidence = table.dropna(subset="value")
    # A claim without values has a line for the reason.
    lines = len(claims) + len(evidence.groupby(["claim", "evidence"])) + int((claims["value"].count() == 0).sum())
    places = {seed: i for i, seed in enumerate(dict.fromkeys(table["seed"]))} if "seed" in table else {}
    seeds = max(1, len(places))
    row = ROW * style.font_size / 8
    style = style.with_size(WIDTH, row * (lines + 4))
    figure = style.figure()
    figure.set_layout_engine("none")
    height = figure.get_figheight()
    # Names, axis and numbers have columns of their own, so that every run's figure is laid out alike.
    ax = figure.add_axes((AXIS[0], 3 * row / height, AXIS[1] - AXIS[0], lines * row / height))
    blue, orange = style.colors()[:2]
    looks = dict(
        zip(("yes", "no", "open"), ((blue, "o", blue), (orange, "X", orange), ("0.4", "D", "white")), strict=True)
    )
    colors = dict(zip(VERDICTS, (blue, orange, "0.4"), strict=True))
    ends = evidence[["value", "low", "high"]].to_numpy(float)
    low, high = min(-0.2, np.min(ends, initial=0)), max(0.2, np.max(ends, initial=0))
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    ax.set_xlim(low, high)
    # Left and right of the axis: x in shares of the figure's width, y in lines.
    outside: dict[str, Any] = {"va": "center", "fontsize": 0.875 * style.font_size}
    outside["transform"] = blended_transform_factory(figure.transFigure, ax.transData)
    y = 0
    for name, rows in claims:
        verdict = summarise_verdict(rows)
        bar = Rectangle((0, y - 0.5), 1, 1, color="0.94", linewidth=0, zorder=0, transform=outside["transform"])
        figure.add_artist(bar)
        ax.text(MARGIN, y, str(name), fontweight="bold", **outside)
        ax.text(
            1 - MARGIN,
            y,
            verdict,
            color=colors[rows["verdict"].iloc[0]] if rows["verdict"].nunique() == 1 else "0.2",
            fontweight="bold",
            ha="right",
            **outside,
        )
        y += 1
        for what, items in rows.dropna(subset="value").groupby("evidence", sort=False):
            start, end = max(items["above"].iloc[0], low), min(items["below"].iloc[0], high)
            ax.fill_betweenx([y - 0.5, y + 0.5], start, end, color="0.85", linewidth=0, zorder=0.5)
            for item in items.to_dict("records"):
                color, marker, face = looks[item["holds"]]
                place = y if seeds == 1 else y + 0.6 * (places[item["seed"]] / (seeds - 1) - 0.5)
                size = style.marker_size / seeds**0.3
                ax.plot([item["low"], item["high"]], [place, place], color=color, solid_capstyle="butt")
                gid = f"{name}: {what}"
                ax.plot(item["value"], place, marker, color=color, markerfacecolor=face, markersize=size, gid=gid)
            ax.text(AXIS[0] - MARGIN, y, str(what), ha="right", **outside)
            ax.text(AXIS[1] + MARGIN, y, format_values(items), **outside)
            y += 1
        if rows["value"].isna().all():
            because = rows["because"].iloc[0]
            shown = because if len(because) <= LONGEST else because[:LONGEST] + " …"
            ax.text(2 * MARGIN, y, shown, style="italic", color="0.3", bbox={"color": "white", "pad": 0}, **outside)
            y += 1
    ax.set_ylim(y - 0.5, -0.5)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.axvline(0, color="0.3", linewidth=0.6, zorder=0.6)
    number = "" if seeds == 1 else f"; {seeds} seeds"
    ax.set_xlabel(
        f"correlation, or difference of correlations or of mean χ; interval over {unit}s; shaded: range claimed{number}"
    )
    return figure


def format_values(items: pd.DataFrame) -> str:
    """A value with its interval and its n; of several seeds, their mean value, the least and the greatest."""
    if len(items) == 1:
        shown = items[["value", "low", "high"]].iloc[0].to_numpy(float)
        n = f", n = {items['n'].iloc[0]:,.0f}"
    else:
        shown = items["value"].agg(["mean", "min", "max"]).to_numpy(float)
        n = f", {len(items)} seeds"
    digits = 2 if np.abs(shown[1:]).max() >= 0.02 else 4
    value, *ends = (f"{number:z.{digits}f}".replace("-", "−") for number in shown)
    return f"{value} [{', '.join(ends)}]{n}"
