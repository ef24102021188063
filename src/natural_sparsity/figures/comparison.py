"""Runs side by side: how ρ← of the top layer develops in each."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.analysis.products import average_over_seeds, group_by_model, read_correlations
from natural_sparsity.analysis.tensors import GRADIENT, find_top
from natural_sparsity.figures.arguments import STATISTICS, add_correlations, add_unit
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    Style,
    count_seeds,
    draw_band,
    make_band_handle,
    name_measure,
    set_epoch_axis,
    space_markers,
    write_symbol,
)

SUMMARY = "correlation at the top layer by epoch, a panel per model and condition"
WIDTH, PANEL = 6.9, 1.55
RUN = ["data", "model", "condition"]
SPREAD = ("low", "high", "sd", "seeds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_correlations(parser)
    add_unit(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure."""
    table = select_points(args.correlations, args.measure, args.statistic)
    return table, plot(table, style, args.measure, args.statistic, args.unit)


def choose_tensors(top: str) -> tuple[str, str, str]:
    """The tensors drawn, given the output of the top layer."""
    return GRADIENT + top, top, "grad_x"


def select_points(paths: Sequence[Path | str], measure: str, statistic: str) -> pd.DataFrame:
    """The points drawn: ``data, model, condition, tensor, epoch, rho, n``; several seeds add ``low, high, sd, seeds``.

    Runs stand in the order of ``paths``, one file per seed and condition.
    """
    return arrange({run: read_correlations(files, measure, statistic) for run, files in group_by_model(paths).items()})


def arrange(runs: Mapping[tuple[str, str, str], pd.DataFrame]) -> pd.DataFrame:
    """The points drawn, as :func:`select_points` gives them.

    Args:
        runs: by data, model and condition, ``seed, epoch, role, tensor, words, value, low, high, n`` of one measure and
            statistic.
    """
    parts = []
    for run, correlations in runs.items():
        frame = average_over_seeds(correlations, ["epoch", "role", "tensor", "words"])
        if "sd" not in frame:
            frame = frame.drop(columns=["low", "high"])
        tensors = choose_tensors(find_top(frame["tensor"]))
        mine = frame[(frame["role"] == "target") & (frame["words"] == "all") & frame["tensor"].isin(tensors)]
        mine = mine.assign(**dict(zip(RUN, run, strict=True)))
        parts.append(mine.sort_values(["tensor", "epoch"]).rename(columns={"value": "rho"}))
    result = pd.concat(parts, ignore_index=True)
    return result[[*RUN, "tensor", "epoch", "rho", *(name for name in SPREAD if name in result), "n"]]


def plot(
    table: pd.DataFrame, style: Style, measure: str = "chi", statistic: str = "pearson", unit: str = "word"
) -> Figure:
    """A panel per model and condition, all on one scale."""
    runs = list(table.groupby(RUN, sort=False))
    columns = min(4, len(runs)) if len(runs) != 5 else 3
    rows = -(-len(runs) // columns)
    style = style.with_size(min(WIDTH, 0.9 + 1.9 * columns) if len(runs) < 4 else WIDTH, 0.9 + PANEL * rows)
    figure = style.figure()
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    tops = {find_top(part["tensor"]) for _, part in runs}
    labels = [write_symbol(tensor) for tensor in choose_tensors(tops.pop() if len(tops) == 1 else "h_L")]
    looks = list(zip(labels, style.colors(), "so^", (DASHED, "-", DASHED), strict=False))
    for ax, ((data, model, condition), part) in zip(panels.flat, runs, strict=False):
        ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
        tensors = choose_tensors(find_top(part["tensor"]))
        for tensor, (label, color, marker, line) in zip(tensors, looks, strict=True):
            points = part[part["tensor"] == tensor]
            if "sd" in points and points["sd"].notna().any():
                draw_band(ax, points, color)
            ax.plot(
                points["epoch"],
                points["rho"],
                color=color,
                linestyle=line,
                marker=marker,
                markerfacecolor="white" if line == DASHED else color,
                markevery=space_markers(len(points)),
                markeredgewidth=0.8,
                label=f"${label}$",
                gid=f"{data}/{model}, {condition} {tensor}",
            )
        set_epoch_axis(ax, part["epoch"].tolist())
        ax.locator_params(axis="x", nbins=5)
        seeds = f", {count_seeds(part)} seeds" if count_seeds(part) > 1 else ""
        title = ax.set_title(f"{data}\n{model}\n{condition}{seeds}", fontsize=0.875 * style.font_size)
        title.set_parse_math(False)
    for ax in panels.flat[len(runs) :]:
        ax.set_visible(False)
    figure.supylabel(
        f"{ARROWS['target']}: correlation of mean {name_measure(measure)}\n"
        f"with target-{unit} frequency ({STATISTICS[statistic]})",
        fontsize=style.font_size,
        multialignment="center",
    )
    handles, names = panels.flat[0].get_legend_handles_labels()
    if "sd" in table and np.any(table["sd"].notna()):
        handles, names = [*handles, make_band_handle()], [*names, "mean ± 1 s.d.\nof seeds"]
    figure.legend(
        handles, names, loc="outside upper center", ncols=2 if columns == 1 else len(names), columnspacing=1.2
    )
    return figure
