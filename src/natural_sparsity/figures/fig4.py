"""Figure 4: how the correlation at the top layer's gradient develops within open and closed word classes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.analysis.products import read_words, suggest_min_tagged
from natural_sparsity.analysis.tensors import GRADIENT, find_top
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import STATISTICS, add_checkpoints, add_correlations
from natural_sparsity.figures.courses import ENDS, mark_epochs, read_course
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    DROP,
    Style,
    draw_band,
    name_measure,
    space_markers,
    write_symbol,
)

SUMMARY = "correlation of the top gradient's sparsity with frequency by epoch, open and closed word classes"
SIZE = (3.3, 3.3)
SETS = {
    "open": "open class",
    "closed": "closed class",
    "open_matched": "open class, frequency-matched",
    "closed_matched": "closed class, frequency-matched",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_correlations(parser)
    add_checkpoints(parser, required=False)
    parser.add_argument(
        "--words", type=Path, metavar="W", help="words Parquet, for the advice when no word has a class"
    )


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure."""
    correlations, drops = read_course(args, style.intervals is not False)
    tensor = GRADIENT + find_top(correlations["tensor"])
    table = select_points(correlations, drops, tensor, read_words(args.words) if args.words else None)
    return table, plot(table, style, args.measure, args.statistic, tensor)


def select_points(
    correlations: pd.DataFrame, drops: Sequence[int], tensor: str = "grad_h_2", words: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The points and verticals drawn: ``kind, words, epoch, rho, low, high, n``.

    ``kind`` is ``correlation`` or ``learning_rate_drop`` (only an epoch, after which the rate dropped). Every word set
    has a row per epoch; ``rho`` is empty where there is no correlation.

    Args:
        correlations: ``epoch, role, tensor, words, value, n`` of one measure and statistic; ``low, high``, if there,
            are drawn too, and ``sd, seeds`` say that they are the spread over seeds.
        drops: the epochs after which the learning rate dropped.
        tensor: whose correlations are drawn.
        words: ``id, tagged, share``; with it, the error about an empty figure names a threshold that would do.

    Raises:
        UserError: neither class has a correlation.
    """
    chosen = (correlations["role"] == "target") & (correlations["tensor"] == tensor)
    ends = [name for name in ENDS if name in correlations]
    mine = correlations.loc[chosen & correlations["words"].isin(SETS), ["words", "epoch", "value", *ends, "n"]]
    if mine.loc[mine["words"].isin(["open", "closed"]), "value"].isna().all():
        mend = "lower tagging.min_tagged, or tag a larger corpus" if words is None else suggest_min_tagged(words)
        raise UserError(
            f"no correlation of {tensor} within the open or the closed class, which have too few words; {mend}"
        )
    grid = pd.MultiIndex.from_product([list(SETS), sorted(correlations["epoch"].unique())], names=["words", "epoch"])
    points = mine.set_index(["words", "epoch"]).reindex(grid).reset_index().rename(columns={"value": "rho"})
    points = points.assign(kind="correlation", n=points["n"].fillna(0))
    verticals = pd.DataFrame({"kind": DROP, "epoch": list(drops)})
    result = pd.concat([points, verticals], ignore_index=True) if len(verticals) else points
    return result[["kind", "words", "epoch", "rho", *ends, "n"]].astype({"epoch": "Int64", "n": "Int64"})


def plot(
    table: pd.DataFrame, style: Style, measure: str = "chi", statistic: str = "pearson", tensor: str = "grad_h_2"
) -> Figure:
    """A colour per class, solid for all its words, dashed for the matched sample.

    A word set without a single correlation is named in the figure.
    """
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    points = table.loc[table["kind"] == "correlation"]
    ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
    missing = []
    for index, (name, label) in enumerate(SETS.items()):
        part = points.loc[points["words"] == name]
        n = np.unique(part["n"].astype(int))
        size = f"n = {n[0]:,}" if len(n) == 1 else f"n = {n[0]:,}–{n[-1]:,}"
        if part["rho"].isna().all():
            missing.append(f"no correlation: {label} ({size})")
            continue
        color, matched = style.colors()[index % 2], index >= 2
        draw_band(ax, part, color, edged=matched)
        ax.plot(
            part["epoch"].astype(int),
            part["rho"],
            color=color,
            linestyle=DASHED if matched else "-",
            marker="os"[index % 2],
            markevery=space_markers(len(part)),
            markerfacecolor="white" if matched else color,
            markeredgewidth=0.8,
            label=f"{label} ({size})",
            gid=name,
        )
    gradient = f"{ARROWS['target']}$({write_symbol(tensor)})$"
    ax.set_ylabel(f"{gradient}: correlation of\nmean {name_measure(measure)} with frequency\n({STATISTICS[statistic]})")
    if missing:
        note = {"color": "0.2", "style": "italic", "fontsize": 0.875 * style.font_size}
        figure.suptitle("\n".join(missing), x=0.02, horizontalalignment="left", **note)
    handles, names = ax.get_legend_handles_labels()
    more = mark_epochs(ax, table, "bootstrap interval over words")
    handles, names = [*handles, *more[0]], [*names, *more[1]]
    columns = 1 if figure.get_figwidth() < 4.5 else 2
    if columns == 2 and len(names) == 5:  # so that the matched samples fill the second column
        handles, names = [handles[i] for i in (0, 1, 4, 2, 3)], [names[i] for i in (0, 1, 4, 2, 3)]
    figure.legend(handles, names, loc="outside lower center", ncols=columns)
    return figure
