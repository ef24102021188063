"""The losses and the learning rate by epoch: whether the model learned, and when its rate dropped."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import Style, epoch_axis, mark_drops, marked

SIZE = (3.3, 3.4)


def table(checkpoints: pd.DataFrame) -> pd.DataFrame:
    """A row an epoch: losses in nats per token, perplexities, the rate trained with, and whether it dropped after.

    Columns: ``epoch, train_loss, dev_loss, train_perplexity, dev_perplexity, learning_rate, learning_rate_drop``.

    Raises:
        UserError: there is no loss at all.
    """
    if checkpoints[["train_loss", "dev_loss"]].isna().all(axis=None):
        raise UserError("the checkpoints hold no train_loss and no dev_loss; give those of trained epochs")
    return pd.DataFrame(
        {
            "epoch": checkpoints["epoch"],
            "train_loss": checkpoints["train_loss"],
            "dev_loss": checkpoints["dev_loss"],
            "train_perplexity": np.exp(checkpoints["train_loss"]),
            "dev_perplexity": np.exp(checkpoints["dev_loss"]),
            "learning_rate": checkpoints["learning_rate_in"],
            "learning_rate_drop": checkpoints["learning_rate_out"] < checkpoints["learning_rate_in"],
        }
    )


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
    """Draw the rows of :func:`table`: losses with perplexity on the right, the learning rate below."""
    style = style.sized(*SIZE)
    figure = style.figure()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
    epochs = table["epoch"]
    blue, orange = style.colors()[:2]
    every = marked(len(table))
    for column, label, color, line, marker, face in (
        ("train_loss", "train", blue, "--", "o", "white"),
        ("dev_loss", "dev", orange, "-", "s", orange),
    ):
        above.plot(
            epochs, table[column], color=color, linestyle=line, marker=marker, markevery=every, markerfacecolor=face,
            markeredgewidth=0.8, label=label, gid=column,
        )  # fmt: skip
    # The rate of epoch k holds from the end of epoch k-1 to the end of epoch k.
    below.plot(
        epochs, table["learning_rate"], color="0.2", drawstyle="steps-pre", marker="o", markevery=every,
        markersize=0.6 * style.marker_size, gid="learning_rate",
    )  # fmt: skip
    below.set_yscale("log")
    rates = sorted(table["learning_rate"].unique())
    if len(rates) <= 3:
        below.yaxis.set_major_locator(FixedLocator(rates))
        below.yaxis.set_minor_locator(NullLocator())
        below.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    below.set_ylabel("learning rate")
    above.set_ylabel("loss (nats per token)")
    low, high = above.get_ylim()
    if high - low < 0.2:  # one epoch, or a plateau: a closer view would show rounding
        above.set_ylim((low + high) / 2 - 0.1, (low + high) / 2 + 0.1)
    dropped = epochs[table["learning_rate_drop"]].tolist()
    mark_drops(below, dropped)
    drop = mark_drops(above, dropped)
    if drop is not None:
        drop.set_label("learning rate lowered")
    epoch_axis(below, epochs.tolist())
    right = above.secondary_yaxis("right", functions=(np.exp, lambda value: np.log(np.maximum(value, 1e-9))))
    right.yaxis.set_major_locator(FixedLocator(perplexity_ticks(*above.get_ylim())))
    right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    right.set_ylabel("perplexity")
    figure.legend(loc="outside upper center", ncols=3, columnspacing=1.2)
    return figure
