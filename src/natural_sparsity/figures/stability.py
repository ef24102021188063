"""Dev loss on the line between the weights of a model and of its twins, by the moment that each goes back to.

Above the mean of the two ends: seeds differ more in the losses of their models than along a line.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.analysis.products import average_over_seeds
from natural_sparsity.figures.style import BAND, GREY, MARKERS, Style, make_band_handle, name_band, name_loss
from natural_sparsity.tables.stability import name_moment, read_lines

SUMMARY = "dev loss between a model and its twins"
SIZE = (3.6, 3.1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the input."""
    parser.add_argument(
        "--lines", type=Path, metavar="J", nargs="+", required=True, help="JSON, one file per twin and seed"
    )


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure."""
    lines = read_lines(args.lines)
    table = average(lines)
    return table, plot(table, style, name_loss(lines["kind"].iloc[0]))


def average(lines: pd.DataFrame) -> pd.DataFrame:
    """The points drawn: ``family, rewind, share, loss_above_ends``; several seeds add ``low, high, sd, seeds``.

    A loss is taken relative to the mean of the losses at the two ends of its line, so that the highest is the barrier.
    """
    ends = lines[lines["share"].isin([0, 1])].groupby(["family", "seed"])["loss"].mean().rename("ends")
    both = lines.join(ends, on=["family", "seed"])
    means = average_over_seeds(both.assign(value=both["loss"] - both["ends"]), ["family", "rewind", "share"])
    return means.rename(columns={"value": "loss_above_ends"})


def plot(table: pd.DataFrame, style: Style, label: str) -> Figure:
    """A line per twin over the share of its weights, from the original's to its own."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.subplots()
    twins = [part for _, part in table.groupby(["family", "rewind"], sort=False)]
    names = name_twins(table)
    for i, (part, color) in enumerate(zip(twins, style.colors(len(twins)), strict=True)):
        look: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "markevery": 5, "color": color}
        ax.plot(part["share"], part["loss_above_ends"], label=names[i], **look)
        if "low" in part:
            ax.fill_between(part["share"], part["low"], part["high"], color=color, alpha=0.18, linewidth=0, gid=BAND)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["original", "¼", "½", "¾", "twin"])
    ax.set_xlabel("share of the twin's weights")
    ax.set_ylabel(f"dev {label},\nabove the mean of the ends")
    handles, labels = ax.get_legend_handles_labels()
    if "low" in table:
        handles, labels = [*handles, make_band_handle()], [*labels, name_band(table, "")]
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    figure.legend(handles, labels, loc="outside upper center", ncols=2, title="training again from")
    return figure


def name_twins(table: pd.DataFrame) -> Sequence[str]:
    """What the legend calls each twin: the moment it goes back to, and its name where two go back to the same."""
    twins = table[["family", "rewind"]].drop_duplicates()
    twice = twins["rewind"].duplicated(keep=False)
    return [
        f"{name_moment(rewind)} ({family})" if again else name_moment(rewind)
        for family, rewind, again in zip(twins["family"], twins["rewind"], twice, strict=True)
    ]
