"""What the sentence filter keeps: tokens, vocabulary and ``<unk>``, by ``min_count``."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import GREY, Style

SUMMARY = "what the sentence filter keeps, by min_count"
SIZE = (3.3, 4.0)
MOST_TICKS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs."""
    parser.add_argument("--thresholds", type=Path, metavar="T", required=True, help="Parquet that 'filter' wrote")
    parser.add_argument("--account", type=Path, metavar="J", required=True, help="JSON that 'filter' wrote with it")


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The shares drawn, and the figure."""
    columns = ["min_count", "tokens", "types", "unknown_tokens"]
    min_count = files.read_json(args.account, ["min_count"])["min_count"]
    table = find_shares(files.read_parquet(args.thresholds, columns), min_count)
    if not table["configured"].any():
        raise UserError(
            f"{args.thresholds}: no row for the min_count {min_count} of {args.account}; make both again with filter"
        )
    return table, plot(table, style)


def find_shares(thresholds: pd.DataFrame, min_count: int) -> pd.DataFrame:
    """A row per ``min_count`` that leaves a word: ``tokens_kept`` of all, ``vocabulary``, ``unknown`` of those kept.

    Args:
        thresholds: ``min_count, tokens, types, unknown_tokens``, rising; its first row keeps all tokens.
        min_count: the one that is marked ``configured``.
    """
    left = thresholds[thresholds["types"] > 0]
    columns = {
        "min_count": left["min_count"],
        "tokens_kept": left["tokens"] / thresholds["tokens"].iloc[0],
        "vocabulary": left["types"],
        "unknown": left["unknown_tokens"] / left["tokens"],
        "configured": left["min_count"] == min_count,
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """A panel each for tokens, vocabulary and ``<unk>``; the configured ``min_count`` is marked and written out."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    panels = figure.subplots(3, 1, sharex=True)
    labels = {"tokens_kept": "tokens kept", "vocabulary": "vocabulary", "unknown": "<unk>"}
    configured = table[table["configured"]].iloc[0]
    for ax, (column, label), color, marker in zip(panels, labels.items(), style.colors(3), "os^", strict=True):
        ax.axvline(configured["min_count"], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        look = {"color": color, "marker": marker, "clip_on": False}
        ax.plot(table["min_count"], table[column], gid=column, markerfacecolor="white", **look)
        ax.plot(configured["min_count"], configured[column], **look)
        ax.set_ylabel(label)
    tokens, vocabulary, unknown = panels
    tokens.set_ylim(0, 1)
    unknown.set_ylim(0, max(1.05 * table["unknown"].max(), 0.01))
    for ax in (tokens, unknown):
        ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    set_log_axis(vocabulary, "y", table["vocabulary"])
    set_log_axis(unknown, "x", table["min_count"])
    unknown.set_xlabel("min_count")
    figure.align_ylabels()
    figure.suptitle(
        f"min_count {configured['min_count']:,}: {100 * configured['tokens_kept']:.0f} % of the tokens kept,\n"
        f"vocabulary {configured['vocabulary']:,}, {100 * configured['unknown']:.1f} % <unk>",
        fontsize=style.font_size,
    )
    return figure


def set_log_axis(ax: Axes, axis: str, values: pd.Series) -> None:
    """Make an axis logarithmic, with round numbers written out, as many as there is room for."""
    room = max(1.1, (values.max() / values.min()) ** 0.05)
    low, high = values.min() / room, values.max() * room
    ax.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
    lines = getattr(ax, f"{axis}axis")
    lines.set_major_locator(FixedLocator(choose_ticks(low, high)))
    lines.set_minor_locator(NullLocator())
    lines.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def choose_ticks(low: float, high: float) -> list[float]:
    """Round integers between ``low`` and ``high``, as many as possible up to ``MOST_TICKS``."""
    decades = 10.0 ** np.arange(0, 13)
    best: list[float] = []
    for ticks in (decades[::2], decades, np.outer(decades, [1, 3]), np.outer(decades, [1, 2, 5]), np.arange(1, 100)):
        inside = np.unique(ticks[(ticks >= low) & (ticks <= high)])
        if len(best) < len(inside) <= MOST_TICKS:
            best = inside.tolist()
    return best
