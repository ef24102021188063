"""Dev loss on the line between the weights of a model and of its twins, by the moment that each goes back to."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.analysis.products import average_over_seeds
from natural_sparsity.figures.style import BAND, MARKERS, Style, make_band_handle, name_band
from natural_sparsity.figures.training import name_loss
from natural_sparsity.tables.stability import name_moment, read_lines

SUMMARY = "dev loss between a model and its twins"
SIZE = (3.6, 3.0)


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
    """The points drawn: ``family, rewind, share, loss``; several seeds add ``low, high, sd, seeds``."""
    means = average_over_seeds(lines.rename(columns={"loss": "value"}), ["family", "rewind", "share"])
    return means.rename(columns={"value": "loss"})


def plot(table: pd.DataFrame, style: Style, label: str) -> Figure:
    """A line per twin over the share of its weights, from the original's to its own."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.subplots()
    twins = [part for _, part in table.groupby(["family", "rewind"], sort=False)]
    names = name_twins(table)
    for i, (part, color) in enumerate(zip(twins, style.colors(len(twins)), strict=True)):
        look: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "markevery": 5, "color": color}
        ax.plot(part["share"], part["loss"], label=names[i], **look)
        if "low" in part:
            ax.fill_between(part["share"], part["low"], part["high"], color=color, alpha=0.18, linewidth=0, gid=BAND)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["original", "¼", "½", "¾", "twin"])
    ax.set_xlabel("share of the twin's weights")
    ax.set_ylabel(f"dev {label}")
    handles, labels = ax.get_legend_handles_labels()
    if "low" in table:
        handles, labels = [*handles, make_band_handle()], [*labels, name_band(table, "")]
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
