"""What figures 3 and 4 share: correlations by epoch, of a run and its control, and when the learning rate dropped."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from natural_sparsity.analysis.products import (
    average_over_seeds,
    check_chain,
    check_same,
    find_drops,
    read_checkpoints,
    read_correlations,
    read_origin,
)
from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import (
    DROP,
    count_seeds,
    make_band_handle,
    mark_drops,
    name_band,
    set_epoch_axis,
)
from natural_sparsity.files import read_parquet

# Columns that the correlations may have, with several seeds or where intervals are drawn.
ENDS = ("low", "high", "sd", "seeds")
# The kinds of a drawn correlation: the run's own, and that of the same model on the shuffled text.
OWN, CONTROL = "correlation", "control"


class Course(NamedTuple):
    """What is drawn by epoch.

    Attributes:
        correlations: ``kind, epoch, role, tensor, words, value, n`` over seeds, and :data:`ENDS` if they are drawn.
        drops: the epochs after which the learning rate dropped, for each seed.
        level: of the bootstrap's intervals.
    """

    correlations: pd.DataFrame
    drops: list[int]
    level: float


def read_course(args: argparse.Namespace, intervals: bool) -> Course:
    """Read the correlations of a run and of its control, as :func:`make_course` takes them, and check them."""
    check_chain(args.correlations, args.checkpoints, getattr(args, "words", None))
    check_control(args.correlations, args.control)
    own, control = (
        read_correlations(paths, args.measure, args.statistic) if paths else None
        for paths in (args.correlations, args.control)
    )
    assert own is not None
    statistics = read_origin(args.correlations[0], ["statistics"], "correlate")[1]["statistics"]
    course = make_course(own, control, read_checkpoints(args.checkpoints), intervals)
    return Course(*course, float(statistics["level"]))


def make_course(
    own: pd.DataFrame, control: pd.DataFrame | None, checkpoints: pd.DataFrame, intervals: bool
) -> tuple[pd.DataFrame, list[int]]:
    """The ``correlations`` and ``drops`` of a :class:`Course`, with bootstrap ``intervals`` or without.

    Args:
        own, control: ``seed, epoch, role, tensor, words, value, low, high, n`` of one measure and statistic.
        checkpoints: ``seed, epoch, learning_rate_in, learning_rate_out``.
        intervals: whether to keep them; several seeds have their spread instead.
    """
    frames: list[pd.DataFrame] = []
    for kind, seeds in ((OWN, own), (CONTROL, control)):
        if seeds is not None:
            seeds = seeds[seeds["epoch"] <= own["epoch"].max()]  # a control may have trained for longer
            frames.append(average_over_seeds(seeds, ["epoch", "role", "tensor", "words"]).assign(kind=kind))
    correlations = pd.concat(frames, ignore_index=True)
    if "sd" not in correlations and not intervals:
        correlations = correlations.drop(columns=["low", "high"])
    return correlations, find_drops(checkpoints, frames[0]["epoch"])


def check_control(paths: Sequence[Path], control: Sequence[Path]) -> None:
    """Refuse a control that is not the same model, on other data of the same vocabulary, with the same seeds.

    The model is the same if it has the same tensors, too: a name may have stood for another depth.

    Raises:
        UserError: it is not; the message names the file.
    """
    if not control:
        return
    given = {path: read_origin(path, ["condition", "vocabulary"], "correlate") for path in (*paths, *control)}
    same = ("model", "condition", "vocabulary")
    tensors = {path: sorted(read_parquet(path, ["tensor"])["tensor"].unique()) for path in given}
    fields = {path: {key: metadata[key] for key in same} for path, (_, metadata) in given.items()}
    check_same({path: {**fields[path], "tensors": tensors[path]} for path in given})
    for path in control:
        if given[path][0].data == given[paths[0]][0].data:
            raise UserError(f"{path}: --control is of the data of --correlations; give the run on the shuffled text")
    seeds, others = (sorted(given[path][0].seed for path in group) for group in (paths, control))
    if seeds != others:
        raise UserError(f"--control: its seeds are {others}, but those of --correlations are {seeds}; give the same")


def name_interval(level: float, unit: str = "word") -> str:
    """What a legend calls the bootstrap's intervals, in two lines."""
    return f"{100 * level:g} % bootstrap interval\nover {unit}s"


def mark_epochs(ax: Axes, table: pd.DataFrame, interval: str) -> list[tuple[Artist, str]]:
    """Set the axis of epochs and mark the drops of the learning rate.

    Args:
        ax: where the correlations are drawn.
        table: ``kind, epoch`` and what the correlations have.
        interval: what the legend calls the bootstrap's band.

    Returns:
        Handles and names for the legend: of the drops, and of a band if there is one.
    """
    points = table.loc[table["kind"] == OWN]
    set_epoch_axis(ax, points["epoch"].astype(int).tolist())
    drops = table.loc[table["kind"] == DROP, "epoch"].astype(int).tolist()
    drop = mark_drops(ax, drops, count_seeds(points))
    entries: list[tuple[Artist, str]] = [] if drop is None else [(drop, "learning rate lowered")]
    if "low" in points:
        entries.append((make_band_handle(), name_band(points, interval)))
    return entries
