"""Figure 4: how the correlation at the top layer's gradient develops within open and closed word classes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.errors import UserError
from natural_sparsity.figures.fig3 import STATISTICS
from natural_sparsity.figures.inputs import taggable
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    DROP,
    SYMBOLS,
    Style,
    band,
    band_handle,
    band_name,
    epoch_axis,
    mark_drops,
    marked,
    name_of,
    seeds_in,
)

SIZE = (3.3, 3.3)
SETS = {
    "open": "open class",
    "closed": "closed class",
    "open_matched": "open class, frequency-matched",
    "closed_matched": "closed class, frequency-matched",
}


def table(correlations: pd.DataFrame, drops: Sequence[int], words: pd.DataFrame | None = None) -> pd.DataFrame:
    """The points and verticals drawn: ``kind, words, epoch, rho, low, high, n``.

    ``kind`` is ``correlation`` or ``learning_rate_drop`` (an epoch alone: the rate dropped after it). Every word set
    has a row an epoch; ``rho`` is empty where there is no correlation.

    Args:
        correlations: ``epoch, role, tensor, words, value, n`` of one measure and statistic; with ``low, high``, these
            are drawn too; ``sd, seeds`` say that they are the spread over seeds.
        drops: the epochs after which the learning rate dropped.
        words: ``id, tagged, share``; with it, the error about an empty figure names a threshold that would do.

    Raises:
        UserError: neither class has a correlation.
    """
    of_gradient = (correlations["role"] == "target") & (correlations["tensor"] == "grad_h_2")
    ends = [name for name in ("low", "high", "sd", "seeds") if name in correlations]
    mine = correlations.loc[of_gradient & correlations["words"].isin(SETS), ["words", "epoch", "value", *ends, "n"]]
    if mine.loc[mine["words"].isin(["open", "closed"]), "value"].isna().all():
        mend = "lower min_tagged, or tag a larger corpus" if words is None else taggable(words)
        raise UserError(f"no correlation of grad_h_2 within the open or the closed class, for want of words; {mend}")
    grid = pd.MultiIndex.from_product([list(SETS), sorted(correlations["epoch"].unique())], names=["words", "epoch"])
    points = mine.set_index(["words", "epoch"]).reindex(grid).reset_index().rename(columns={"value": "rho"})
    points = points.assign(kind="correlation", n=points["n"].fillna(0))
    verticals = pd.DataFrame({"kind": DROP, "epoch": list(drops)})
    result = pd.concat([points, verticals], ignore_index=True) if len(verticals) else points
    return result[["kind", "words", "epoch", "rho", *ends, "n"]].astype({"epoch": "Int64", "n": "Int64"})


def draw(table: pd.DataFrame, style: Style, measure: str = "chi", statistic: str = "pearson") -> Figure:
    """Draw the rows of :func:`table`: a colour a class, solid for all its words, dashed for the matched sample.

    A word set without a single correlation is named in the figure.
    """
    style = style.sized(*SIZE)
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
        band(ax, part, color, edged=matched)
        ax.plot(
            part["epoch"].astype(int),
            part["rho"],
            color=color,
            linestyle=DASHED if matched else "-",
            marker="os"[index % 2],
            markevery=marked(len(part)),
            markerfacecolor="white" if matched else color,
            markeredgewidth=0.8,
            label=f"{label} ({size})",
            gid=name,
        )
    dropped = mark_drops(ax, table.loc[table["kind"] == DROP, "epoch"].astype(int).tolist(), seeds_in(points))
    epoch_axis(ax, points["epoch"].astype(int).tolist())
    gradient = f"{ARROWS['target']}$({SYMBOLS['grad_h_2']})$"
    ax.set_ylabel(f"{gradient}: correlation of\nmean {name_of(measure)} with frequency\n({STATISTICS[statistic]})")
    if missing:
        note = {"color": "0.2", "style": "italic", "fontsize": 0.875 * style.font_size}
        figure.suptitle("\n".join(missing), x=0.02, horizontalalignment="left", **note)
    handles, names = ax.get_legend_handles_labels()
    if dropped is not None:
        handles, names = [*handles, dropped], [*names, "learning rate lowered"]
    if "low" in points:
        handles, names = [*handles, band_handle()], [*names, band_name(points, "bootstrap interval over words")]
    columns = 1 if figure.get_figwidth() < 4.5 else 2
    if columns == 2 and len(names) == 5:  # so that the matched samples fill the second column
        handles, names = [handles[i] for i in (0, 1, 4, 2, 3)], [names[i] for i in (0, 1, 4, 2, 3)]
    figure.legend(handles, names, loc="outside lower center", ncols=columns)
    return figure
