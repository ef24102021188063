"""What figures 3 and 4 share: correlations by epoch, and when the learning rate dropped."""

import argparse

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from natural_sparsity.analysis.products import (
    average_over_seeds,
    check_chain,
    find_drops,
    read_checkpoints,
    read_correlations,
)
from natural_sparsity.figures.style import (
    DROP,
    count_seeds,
    make_band_handle,
    mark_drops,
    name_band,
    set_epoch_axis,
)

# Columns that the correlations may have, with several seeds or where intervals are drawn.
ENDS = ("low", "high", "sd", "seeds")


def read_course(args: argparse.Namespace, intervals: bool) -> tuple[pd.DataFrame, list[int]]:
    """The correlations over seeds, with bootstrap ``intervals`` or without, and after which epochs the rate dropped."""
    check_chain(args.correlations, args.checkpoints, getattr(args, "words", None))
    correlations = read_correlations(args.correlations, args.measure, args.statistic)
    drops = find_drops(read_checkpoints(args.checkpoints), correlations["epoch"])
    correlations = average_over_seeds(correlations, ["epoch", "role", "tensor", "words"])
    if "sd" not in correlations and not intervals:
        correlations = correlations.drop(columns=["low", "high"])
    return correlations, drops


def mark_epochs(ax: Axes, table: pd.DataFrame, interval: str) -> tuple[list[Artist], list[str]]:
    """Set the axis of epochs and mark the drops of the learning rate.

    Args:
        ax: where the correlations are drawn.
        table: ``kind, epoch`` and what the correlations have.
        interval: what the legend calls the bootstrap's band.

    Returns:
        Handles and names for the legend: of the drops, and of a band if there is one.
    """
    points = table.loc[table["kind"] == "correlation"]
    set_epoch_axis(ax, points["epoch"].astype(int).tolist())
    drops = table.loc[table["kind"] == DROP, "epoch"].astype(int).tolist()
    drop = mark_drops(ax, drops, count_seeds(points))
    entries: list[tuple[Artist, str]] = [] if drop is None else [(drop, "learning rate lowered")]
    if "low" in points:
        entries.append((make_band_handle(), name_band(points, interval)))
    return [handle for handle, _ in entries], [name for _, name in entries]
