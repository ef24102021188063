"""The losses and the learning rate by epoch: whether the model learned, and when its rate dropped."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import BAND, Style, band_handle, epoch_axis, mark_drops, marked

SIZE = (3.3, 3.4)
MEAN = "mean"  # instead of a seed


def table(checkpoints: pd.DataFrame) -> pd.DataFrame:
    """A row a seed and epoch: losses in nats per token, perplexities, the rate trained with, whether it dropped after.

    Columns: ``seed, epoch, train_loss, dev_loss, train_perplexity, dev_perplexity, learning_rate, learning_rate_drop``.
    Of several seeds, rows of seed ``mean`` follow: the losses' means, and their sample standard deviations ``train_sd``
    and ``dev_sd``; a perplexity there is that of the mean loss.

    Raises:
        UserError: there is no loss at all.
    """
    if checkpoints[["train_loss", "dev_loss"]].isna().all(axis=None):
        raise UserError("the checkpoints hold no train_loss and no dev_loss; give those of trained epochs")
    rows = checkpoints[["seed", "epoch", "train_loss", "dev_loss"]].assign(
        learning_rate=checkpoints["learning_rate_in"],
        learning_rate_drop=checkpoints["learning_rate_out"] < checkpoints["learning_rate_in"],
    )
    if rows["seed"].nunique() > 1:
        losses = rows.groupby("epoch")[["train_loss", "dev_loss"]]
        spread = losses.std().rename(columns={"train_loss": "train_sd", "dev_loss": "dev_sd"})
        mean = losses.mean().join(spread).reset_index().assign(seed=MEAN)
        rows = pd.concat([rows.astype({"seed": object, "learning_rate_drop": object}), mean], ignore_index=True)
    for split in ("train", "dev"):
        rows[f"{split}_perplexity"] = np.exp(rows[f"{split}_loss"])
    return rows


def perplexity_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round perplexities, at most ``most`` and as many as that allows, between the losses ``low`` and ``high``."""
    best: list[float] = []
    scale = 10.0 ** np.arange(np.floor(low / np.log(10)), np.ceil(high / np.log(10)) + 1)
    for digits in ([1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], np.arange(1, 10, 0.5), np.arange(1, 10, 0.1)):
        ticks = np.unique(np.outer(scale, digits))
        inside = ticks[(ticks >= np.exp(low)) & (ticks <= np.exp(high))]
        if len(best) < len(inside) <= most:
            best = inside.tolist()
    return best


def draw(table: pd.DataFrame, style: Style) -> Figure:
    """Draw the rows of :func:`table`: losses with perplexity on the right, the learning rate below.

    Of several seeds, the losses are their mean within a band of one standard deviation; each seed has its rate.
    """
    style = style.sized(*SIZE)
    figure = style.figure()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
    runs = table.loc[table["seed"] != MEAN]
    seeds = runs["seed"].nunique()
    losses = runs if seeds == 1 else table.loc[table["seed"] == MEAN]
    epochs = losses["epoch"]
    blue, orange = style.colors()[:2]
    every = marked(len(losses))
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
    rates = sorted(runs["learning_rate"].unique())
    if len(rates) <= 3:
        below.yaxis.set_major_locator(FixedLocator(rates))
        below.yaxis.set_minor_locator(NullLocator())
        below.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    below.set_ylabel("learning rate")
    above.set_ylabel("loss (nats per token)")
    low, high = above.get_ylim()
    if high - low < 0.2:  # one epoch, or a plateau: a closer view would show rounding
        above.set_ylim((low + high) / 2 - 0.1, (low + high) / 2 + 0.1)
    dropped = runs.loc[runs["learning_rate_drop"].astype(bool), "epoch"].tolist()
    mark_drops(below, dropped, seeds)
    drop = mark_drops(above, dropped, seeds)
    handles, names = above.get_legend_handles_labels()
    if drop is not None:
        handles, names = [*handles, drop], [*names, "learning rate lowered"]
    if seeds > 1:
        handles, names = [*handles, band_handle()], [*names, f"mean ± 1 s.d. of {seeds} seeds"]
    epoch_axis(below, epochs.tolist())
    right = above.secondary_yaxis("right", functions=(np.exp, lambda value: np.log(np.maximum(value, 1e-9))))
    right.yaxis.set_major_locator(FixedLocator(perplexity_ticks(*above.get_ylim())))
    right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    right.set_ylabel("perplexity")
    figure.legend(handles, names, loc="outside upper center", ncols=3 if seeds == 1 else 2, columnspacing=1.2)
    return figure
