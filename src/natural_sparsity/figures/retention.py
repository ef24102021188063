"""What the sentence filter keeps: tokens, vocabulary and ``<unk>``, by ``min_count``."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from natural_sparsity import files
from natural_sparsity.corpus.account import MIN_WORDS, percent
from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import GREY, Style

SUMMARY = "what the sentence filter keeps, by min_count"
WIDTH, PANEL_HEIGHT, REST_HEIGHT = 3.3, 1.2, 0.8
# The panels from the top, each with a color and a marker of its own, in given splits too.
PANELS = ["tokens_kept", "vocabulary", "unknown"]
MOST_TICKS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs."""
    parser.add_argument("--thresholds", type=Path, metavar="T", required=True, help="Parquet that 'filter' wrote")
    parser.add_argument("--account", type=Path, metavar="J", required=True, help="JSON that 'filter' wrote with it")
    parser.add_argument("--data", default="", metavar="NAME", help="what the title calls the data")
    parser.add_argument("--unit", default="word", help="what the labels call a token (default %(default)s)")


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The shares drawn, and the figure."""
    columns = ["min_count", "tokens", "types", "unknown_tokens"]
    account = files.read_json(args.account, ["min_count", "given_splits"])
    table = find_shares(files.read_parquet(args.thresholds, columns), account["min_count"], account["given_splits"])
    if not table["configured"].any():
        raise UserError(
            f"{args.thresholds}: no row for the min_count {account['min_count']} of {args.account}; make both again"
            " with filter"
        )
    return table, plot(table, style, args.data, args.unit)


def find_shares(thresholds: pd.DataFrame, min_count: int, given_splits: bool = False) -> pd.DataFrame:
    """A row per ``min_count`` that leaves enough words for a run, and for the configured one.

    Args:
        thresholds: ``min_count, tokens, types, unknown_tokens``, rising; its first row keeps all tokens.
        min_count: the one that is marked ``configured``.
        given_splits: whether all tokens are kept, whatever the ``min_count``, so that there is nothing to draw of them.

    Returns:
        ``min_count``; ``tokens_kept`` of all, unless the splits are given; ``vocabulary``; ``unknown`` of those kept,
        missing if none is; ``configured``.
    """
    least = min(MIN_WORDS, max(1, thresholds["types"].iloc[0]))
    left = thresholds[(thresholds["types"] >= least) | (thresholds["min_count"] == min_count)]
    shares = {} if given_splits else {"tokens_kept": left["tokens"] / thresholds["tokens"].iloc[0]}
    columns = {
        "min_count": left["min_count"],
        **shares,
        "vocabulary": left["types"],
        "unknown": left["unknown_tokens"] / left["tokens"].where(left["tokens"] > 0),
        "configured": left["min_count"] == min_count,
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def plot(table: pd.DataFrame, style: Style, name: str = "", unit: str = "word") -> Figure:
    """A panel each for tokens, vocabulary and ``<unk>``; the configured ``min_count`` is marked and written out."""
    labels = {
        "tokens_kept": "tokens kept\n(share of all)",
        "vocabulary": f"vocabulary\n({unit}s)",
        "unknown": "<unk> (share of\nkept tokens)",
    }
    drawn = [column for column in PANELS if column in table]
    style = style.with_size(WIDTH, REST_HEIGHT + PANEL_HEIGHT * len(drawn))
    figure = style.figure()
    panels = dict(zip(drawn, figure.subplots(len(drawn), 1, sharex=True), strict=True))
    configured = table[table["configured"]].iloc[0]
    for column, color, marker in zip(PANELS, style.colors(3), "os^", strict=True):
        if column not in panels:
            continue
        ax = panels[column]
        ax.axvline(configured["min_count"], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        look = {"color": color, "marker": marker, "clip_on": False}
        # A logarithmic axis has no place for a vocabulary without a word.
        shown = table[table[column] > 0] if column == "vocabulary" else table[table[column].notna()]
        ax.plot(shown["min_count"], shown[column], gid=column, markerfacecolor="white", **look)
        marked = shown[shown["configured"]]
        if len(marked):  # an empty line would leave the layout no room
            ax.plot(marked["min_count"], marked[column], **look)
        ax.set_ylabel(labels[column])
    if "tokens_kept" in panels:
        set_shares(panels["tokens_kept"], 1)
    set_shares(panels["unknown"], max(table["unknown"].max(), 0.01))
    if table["vocabulary"].any():
        set_log_axis(panels["vocabulary"], "y", table["vocabulary"][table["vocabulary"] > 0], cover=True)
    set_log_axis(panels["unknown"], "x", table["min_count"], cover=False)
    panels["unknown"].set_xlabel(f"min_count (least occurrences of a {unit})")
    figure.align_ylabels()
    figure.suptitle(write_title(configured, name, unit), fontsize=style.font_size)
    return figure


def write_title(configured: pd.Series, name: str, unit: str) -> str:
    """Write what the configured ``min_count`` leaves."""
    lines = [f"{name}, min_count {configured['min_count']:,}" if name else f"min_count {configured['min_count']:,}"]
    if "tokens_kept" in configured:
        lines.append(f"{percent(configured['tokens_kept'])} of the tokens kept")
    unknown = "" if np.isnan(configured["unknown"]) else f", {percent(configured['unknown'])} <unk>"
    return "\n".join([*lines, f"vocabulary {configured['vocabulary']:,} {unit}s{unknown}"])


def set_shares(ax: Axes, most: float) -> None:
    """Give an axis of shares ticks in percent, from 0 to one at ``most`` or above."""
    ticks = ax.yaxis.get_major_locator().tick_values(0, most)
    top = next(tick for tick in ticks if tick >= most * (1 - 1e-9))
    ax.set_ylim(0, top)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))


def set_log_axis(ax: Axes, axis: str, values: pd.Series, cover: bool) -> None:
    """Make an axis logarithmic, with round numbers written out; with ``cover``, the outer ones enclose the values."""
    low, high = values.min(), values.max()
    room = max(1.1, (high / low) ** 0.05)
    limits = (low / room, high * room)
    ticks = choose_ticks(*limits)
    if cover:
        ticks = choose_ticks(low, high, around=True)
        limits = (ticks[0], ticks[-1])
    ax.set(**{f"{axis}scale": "log", f"{axis}lim": limits})
    lines = getattr(ax, f"{axis}axis")
    lines.set_major_locator(FixedLocator(ticks))
    lines.set_minor_locator(NullLocator())
    lines.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def choose_ticks(low: float, high: float, around: bool = False) -> list[float]:
    """As many round integers as possible up to ``MOST_TICKS``, between ``low`` and ``high`` or just ``around`` them."""
    decades = 10.0 ** np.arange(0, 13)
    best: list[float] = []
    for series in (decades[::2], decades, np.outer(decades, [1, 3]), np.outer(decades, [1, 2, 5]), np.arange(1, 100)):
        numbers = np.unique(series)
        if around:
            start, stop = np.searchsorted(numbers, low, "right") - 1, np.searchsorted(numbers, high) + 1
            inside = numbers[start:stop] if start >= 0 and start + 2 <= stop <= len(numbers) else numbers[:0]
        else:
            inside = numbers[(numbers >= low) & (numbers <= high)]
        if len(best) < len(inside) <= MOST_TICKS:
            best = inside.tolist()
    return best
