"""Figure 4: how the correlation at the top layer's gradient develops within open and closed word classes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from natural_sparsity.analysis.products import read_words, suggest_min_tagged
from natural_sparsity.analysis.tensors import GRADIENT, find_top
from natural_sparsity.analysis.word_sets import select_words
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import STATISTICS, add_checkpoints, add_control, add_correlations
from natural_sparsity.figures.courses import CONTROL, ENDS, OWN, mark_epochs, name_interval, read_course
from natural_sparsity.figures.style import (
    ARROWS,
    DROP,
    SHUFFLED,
    THIN,
    Style,
    draw_band,
    fade,
    name_measure,
    space_markers,
    write_symbol,
)

SUMMARY = "correlation of the top gradient's sparsity with frequency by epoch, open and closed word classes"
# Inches: of panels side by side, and, in a figure narrower than NARROW, below each other.
WIDTH, HEIGHT, STACKED, NARROW = 6.9, 2.9, 6.4, 5.0
# A panel for each: what its word sets are, and how their names end.
PANELS = {
    "": "whole classes",
    "_matched": "ranges of equal mean frequency",
    "_paired": "pairs of nearest frequency",
}
CLASSES = ("open", "closed")
SETS = [name + suffix for suffix in PANELS for name in CLASSES]
COUNTS = "training_counts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_correlations(parser)
    add_control(parser)
    add_checkpoints(parser, required=False)
    parser.add_argument(
        "--words", type=Path, metavar="W", required=True, help="words Parquet, for how often the words occur"
    )


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure."""
    course = read_course(args, style.intervals is not False)
    tensor = GRADIENT + find_top(course.correlations["tensor"])
    table = select_points(course.correlations, course.drops, read_words(args.words), tensor)
    return table, plot(table, style, args.measure, args.statistic, tensor, name_interval(course.level))


def select_points(
    correlations: pd.DataFrame, drops: Sequence[int], words: pd.DataFrame, tensor: str = "grad_h_2"
) -> pd.DataFrame:
    """The points, verticals and counts drawn: ``kind, words, epoch, rho, low, high, n, mean_count, sd_count``.

    ``kind`` is ``correlation``; ``control`` (of the model on the shuffled text); ``learning_rate_drop`` (only an epoch,
    after which the rate dropped); or ``training_counts`` (how often the ``n`` words of a set occur in training: mean
    and standard deviation). Every word set has a row per epoch; ``rho`` is empty where there is no correlation.

    Args:
        correlations: ``kind, epoch, role, tensor, words, value, n`` of one measure and statistic; ``low, high``, if
            there, are drawn too, and ``sd, seeds`` say that they are the spread over seeds.
        drops: the epochs after which the learning rate dropped.
        words: the vocabulary with its classes and samples.
        tensor: whose correlations are drawn.

    Raises:
        UserError: neither class has a correlation.
    """
    chosen = (correlations["role"] == "target") & (correlations["tensor"] == tensor)
    ends = [name for name in ENDS if name in correlations]
    mine = correlations.loc[chosen, ["kind", "words", "epoch", "value", *ends, "n"]]
    own, control = (mine.loc[mine["kind"] == kind] for kind in (OWN, CONTROL))
    if own.loc[own["words"].isin(CLASSES), "value"].isna().all():
        raise UserError(
            f"no correlation of {tensor} within the open or the closed class, which have too few words; "
            + suggest_min_tagged(words)
        )
    grid = pd.MultiIndex.from_product([SETS, sorted(own["epoch"].unique())], names=["words", "epoch"])
    points = own.set_index(["words", "epoch"]).reindex(grid).reset_index().assign(kind=OWN)
    parts = [
        points.assign(n=points["n"].fillna(0)),
        *(control.loc[control["words"] == name].sort_values("epoch") for name in SETS),
        pd.DataFrame({"kind": DROP, "epoch": list(drops)}),
        describe_counts(words),
    ]
    result = pd.concat([part for part in parts if len(part)], ignore_index=True).rename(columns={"value": "rho"})
    columns = ["kind", "words", "epoch", "rho", *ends, "n", "mean_count", "sd_count"]
    return result.reindex(columns=columns).astype({"epoch": "Int64", "n": "Int64"})


def describe_counts(words: pd.DataFrame) -> pd.DataFrame:
    """How often the words of each drawn set occur in training; sets without words are left out."""
    sets = select_words(words)
    count = words.set_index("id")["count"]
    counts = {name: count.loc[sets[name]] for name in SETS if len(sets[name])}
    rows = [(COUNTS, name, len(part), part.mean(), part.std()) for name, part in counts.items()]
    return pd.DataFrame(rows, columns=["kind", "words", "n", "mean_count", "sd_count"])


def plot(
    table: pd.DataFrame,
    style: Style,
    measure: str = "chi",
    statistic: str = "pearson",
    tensor: str = "grad_h_2",
    interval: str = "interval",
) -> Figure:
    """A panel each for whole classes and for the samples of equal frequency, a colour and marker per class.

    A word set without a single correlation is named in its panel. ``interval`` is what the legend calls the
    bootstrap's band.
    """
    stacked = (style.width or WIDTH) < NARROW
    style = style.with_size(WIDTH, STACKED if stacked else HEIGHT)
    figure = style.figure()
    rows, columns = (len(PANELS), 1) if stacked else (1, len(PANELS))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    looks = dict(zip(CLASSES, zip(style.colors(), "os", strict=False), strict=True))
    for ax, (suffix, title) in zip(panels.flat, PANELS.items(), strict=True):
        ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
        notes = [title]
        for name, (color, marker) in looks.items():
            words = name + suffix
            draw_line(ax, table, OWN, words, color, marker, style)
            draw_line(ax, table, CONTROL, words, fade(color), marker, style)
            notes.append(f"{name}: {describe_words(table, words)}")
        ax.set_title("\n".join(notes), loc="left", fontsize=0.875 * style.font_size)
        marks = mark_epochs(ax, table, interval)
        if stacked and ax is not panels.flat[-1]:
            ax.set_xlabel("")
    gradient = f"{ARROWS['target']}$({write_symbol(tensor)})$"
    figure.supylabel(
        f"{gradient}: correlation of mean {name_measure(measure)}\nwith frequency ({STATISTICS[statistic]})",
        fontsize=style.font_size,
        multialignment="center",
    )
    entries: list[tuple[Artist, str]] = [
        (Line2D([], [], color=color, marker=marker), f"{name} class") for name, (color, marker) in looks.items()
    ]
    if (table["kind"] == CONTROL).any():
        entries.append((Line2D([], [], color=fade("0.2"), linewidth=THIN * style.line_width), SHUFFLED))
    entries += marks
    handles, names = zip(*entries, strict=True)
    figure.legend(handles, names, loc="outside lower center", ncols=2 if stacked else 3, columnspacing=1.2)
    return figure


def draw_line(ax: Axes, table: pd.DataFrame, kind: str, words: str, color: object, marker: str, style: Style) -> None:
    """Draw the correlations of one word set, with their band, if there are any."""
    part = table.loc[(table["kind"] == kind) & (table["words"] == words)]
    if part["rho"].isna().all():
        return
    size = THIN if kind == CONTROL else 1
    draw_band(ax, part, color)
    ax.plot(
        part["epoch"].astype(int),
        part["rho"],
        color=color,
        linewidth=size * style.line_width,
        marker=marker,
        markersize=size * style.marker_size,
        markevery=space_markers(len(part)),
        zorder=1.9 if kind == CONTROL else 2,
        gid=f"{CONTROL} {words}" if kind == CONTROL else words,
    )


def describe_words(table: pd.DataFrame, words: str) -> str:
    """How many words a correlation is over, and how often they occur in training: mean ± standard deviation."""
    mine = table.loc[table["words"] == words]
    points = mine.loc[mine["kind"] == OWN]
    n = np.unique(points["n"].astype(int))
    size = f"n = {n[0]:,}" if len(n) == 1 else f"n = {n[0]:,}–{n[-1]:,}"
    if points["rho"].isna().all():
        return f"no correlation ({size})"
    counts = mine.loc[mine["kind"] == COUNTS]
    if counts.empty:
        return size
    mean, spread = counts[["mean_count", "sd_count"]].iloc[0]
    digits = 0 if mean >= 100 else 1
    return f"{size}, counts {mean:,.{digits}f} ± {spread:,.{digits}f}"
