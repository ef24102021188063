"""The losses and the learning rate by epoch: whether the model learned, and when its rate dropped."""

import argparse

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from natural_sparsity import registry
from natural_sparsity.analysis.products import find_drops, read_checkpoints
from natural_sparsity.analysis.statistics import exponentiate
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import add_checkpoints
from natural_sparsity.figures.style import (
    BAND,
    Style,
    make_band_handle,
    mark_drops,
    name_loss,
    set_epoch_axis,
    space_markers,
)
from natural_sparsity.files import read_json

SUMMARY = "losses, perplexity and learning rate by epoch"
SIZE = (3.3, 3.4)
MEAN = "mean"  # instead of a seed
# The perplexity of a larger loss exceeds a double.
MOST = np.log(np.finfo(float).max)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs."""
    add_checkpoints(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The values drawn, and the figure."""
    kind = read_json(args.checkpoints[0], ["kind"])["kind"]
    return draw_checkpoints(read_checkpoints(args.checkpoints), kind, style)


def draw_checkpoints(checkpoints: pd.DataFrame, kind: str, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The values drawn, and the figure; a perplexity only where the loss of that kind of data is that of classes."""
    table = list_epochs(checkpoints, registry.load(registry.DATA[kind].settings).Settings.categorical)
    return table, plot(table, style, name_loss(kind))


def list_epochs(checkpoints: pd.DataFrame, perplexity: bool = True) -> pd.DataFrame:
    """A row per seed and epoch: losses, perplexities, the rate trained with, and whether a later epoch had a lower one.

    Columns: ``seed, epoch, train_loss, dev_loss, learning_rate, learning_rate_drop`` and, with ``perplexity``,
    ``train_perplexity, dev_perplexity``. Several seeds add rows of seed ``mean``: the losses' means, and their sample
    standard deviations ``train_sd`` and ``dev_sd``; a perplexity there is that of the mean loss. The perplexity of a
    loss above :data:`MOST` is infinite.

    Raises:
        UserError: there is no loss at all.
    """
    if checkpoints[["train_loss", "dev_loss"]].isna().all(axis=None):
        raise UserError("the checkpoints hold no train_loss and no dev_loss; give those of trained epochs")
    drops = {(seed, epoch) for seed, part in checkpoints.groupby("seed") for epoch in find_drops(part, part["epoch"])}
    # The untrained model has a loss if somebody measured it, and never a rate.
    known = checkpoints[(checkpoints["epoch"] > 0) | checkpoints["dev_loss"].notna()]
    rows = known[["seed", "epoch", "train_loss", "dev_loss"]].assign(
        learning_rate=known["learning_rate_in"].where(known["epoch"] > 0),
        learning_rate_drop=[pair in drops for pair in zip(known["seed"], known["epoch"], strict=True)],
    )
    if rows["seed"].nunique() > 1:
        losses = rows.groupby("epoch")[["train_loss", "dev_loss"]]
        spread = losses.std().rename(columns={"train_loss": "train_sd", "dev_loss": "dev_sd"})
        mean = losses.mean().join(spread).reset_index().assign(seed=MEAN)
        rows = pd.concat([rows.astype({"seed": object, "learning_rate_drop": object}), mean], ignore_index=True)
    for split in ("train", "dev") if perplexity else ():
        rows[f"{split}_perplexity"] = exponentiate(rows[f"{split}_loss"])
    return rows


def choose_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round perplexities between the losses ``low`` and ``high``, as many as possible up to ``most``.

    If even the powers of ten are too many, only every n-th is kept.
    """
    best: list[float] = []
    scale = 10.0 ** np.arange(np.floor(low / np.log(10)), np.ceil(high / np.log(10)) + 1)
    for digits in ([1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], np.arange(1, 10, 0.5), np.arange(1, 10, 0.1)):
        ticks = np.unique(np.outer(scale, digits))
        inside = ticks[(ticks >= np.exp(low)) & (ticks <= np.exp(high))]
        if len(best) < len(inside) <= most:
            best = inside.tolist()
    powers = scale[(scale >= 1) & (scale <= np.exp(high))]
    return best or powers[:: max(1, -(-len(powers) // most))].tolist()


def plot(table: pd.DataFrame, style: Style, label: str = "loss (nats per token)") -> Figure:
    """The losses, with perplexity on the right unless it exceeds a double, above the learning rate.

    The losses of several seeds are drawn as their mean within a band of one standard deviation; each seed has its rate.
    """
    style = style.with_size(*SIZE)
    figure = style.figure()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
    runs = table.loc[table["seed"] != MEAN]
    seeds = runs["seed"].nunique()
    losses = runs if seeds == 1 else table.loc[table["seed"] == MEAN]
    epochs = losses["epoch"]
    blue, orange = style.colors()[:2]
    every = space_markers(len(losses))
    for split, color, line, marker, face in (("train", blue, "--", "o", "white"), ("dev", orange, "-", "s", orange)):
        mean = losses[f"{split}_loss"]
        above.plot(
            epochs, mean, color=color, linestyle=line, marker=marker, markevery=every, markerfacecolor=face,
            markeredgewidth=0.8, label=split, gid=f"{split}_loss",
        )  # fmt: skip
        if seeds > 1:
            sd = losses[f"{split}_sd"]
            above.fill_between(epochs, mean - sd, mean + sd, color=color, alpha=0.18, linewidth=0, gid=BAND)
    # The rate of epoch k holds from the end of epoch k-1 to the end of epoch k.
    for seed, run in runs.groupby("seed"):
        below.plot(
            run["epoch"], run["learning_rate"], color="0.2", drawstyle="steps-pre", marker="o", markevery=every,
            markersize=0.6 * style.marker_size, alpha=1 if seeds == 1 else 0.5,
            gid="learning_rate" if seeds == 1 else f"learning_rate {seed}",
        )  # fmt: skip
    below.set_yscale("log")
    rates = sorted(runs["learning_rate"].dropna().unique())
    if len(rates) <= 3:
        below.yaxis.set_major_locator(FixedLocator(rates))
        below.yaxis.set_minor_locator(NullLocator())
        below.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    below.set_ylabel("learning rate")
    above.set_ylabel(label)
    low, high = above.get_ylim()
    if high - low < 0.2:  # one epoch, or a plateau: a closer view would show rounding
        above.set_ylim((low + high) / 2 - 0.1, (low + high) / 2 + 0.1)
    drops = runs.loc[runs["learning_rate_drop"].astype(bool), "epoch"].tolist()
    mark_drops(below, drops, seeds)
    drop = mark_drops(above, drops, seeds)
    handles, names = above.get_legend_handles_labels()
    if drop is not None:
        handles, names = [*handles, drop], [*names, "learning rate lowered"]
    if seeds > 1:
        handles, names = [*handles, make_band_handle()], [*names, f"mean ± 1 s.d. of {seeds} seeds"]
    set_epoch_axis(below, epochs.tolist())
    if "dev_perplexity" in table and above.get_ylim()[1] < MOST:
        add_perplexity(above)
    figure.legend(handles, names, loc="outside upper center", ncols=3 if seeds == 1 else 2, columnspacing=1.2)
    return figure


def add_perplexity(ax: Axes) -> None:
    """Add an axis of perplexities on the right of one of losses."""
    right = ax.secondary_yaxis("right", functions=(np.exp, lambda value: np.log(np.maximum(value, 1e-9))))
    right.yaxis.set_major_locator(FixedLocator(choose_ticks(*ax.get_ylim())))
    right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    right.set_ylabel("perplexity")
