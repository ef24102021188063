"""Figures 3a and 3b: how the correlation of sparsity with word frequency develops, for all eight tensors."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    DROP,
    SYMBOLS,
    TENSORS,
    Style,
    band,
    band_handle,
    band_name,
    epoch_axis,
    mark_drops,
    marked,
    name_of,
    seeds_in,
    spread,
)

SIZE = (3.3, 3.0)
STATISTICS = {"pearson": "Pearson", "spearman": "Spearman", "pearson_log": "Pearson, log frequency"}
MARKERS = ("o", "s", "^", "D")


def table(correlations: pd.DataFrame, drops: Sequence[int], role: str) -> pd.DataFrame:
    """The points, verticals and limits drawn: ``kind, role, tensor, epoch, rho, low, high, sd, seeds, n``.

    ``kind`` is ``correlation``; ``learning_rate_drop`` (an epoch alone: the rate dropped after it); or ``y_limit``,
    which spans both roles, so that 3a and 3b drawn from one file have one scale.

    Args:
        correlations: ``epoch, role, tensor, words, value, n`` of one measure and statistic; with ``low, high``, these
            are drawn too; ``sd, seeds`` say that they are the spread over seeds.
        drops: the epochs after which the learning rate dropped.
        role: ``target`` (3a, ρ←) or ``input`` (3b, ρ→).

    Raises:
        UserError: the role has no correlation over all words.
    """
    everything = correlations.loc[(correlations["words"] == "all") & correlations["tensor"].isin(TENSORS)]
    mine = everything.loc[everything["role"] == role]
    if mine["value"].isna().all():
        n = 0 if mine.empty else int(mine["n"].fillna(0).max())
        raise UserError(
            f"no correlation over all words for role {role!r} (n is at most {n}; 3 is the least); "
            "lower the vocabulary's min_count or give a larger corpus"
        )
    ends = [name for name in ("low", "high", "sd", "seeds") if name in correlations]
    shown = everything[["value", *(name for name in ends if name in ("low", "high"))]].to_numpy(float)
    limits = np.array([min(0, np.nanmin(shown)), max(0, np.nanmax(shown))])
    limits += np.array([-0.05, 0.05]) * (limits[1] - limits[0])
    points = mine.assign(kind="correlation", tensor=pd.Categorical(mine["tensor"], TENSORS)).rename(
        columns={"value": "rho"}
    )
    points = points.sort_values(["tensor", "epoch"]).astype({"tensor": object, "n": "Int64"})
    extra = pd.DataFrame(
        {
            "kind": [DROP] * len(drops) + ["y_limit"] * 2,
            "role": role,
            "epoch": [*drops, None, None],
            "rho": [None] * len(drops) + list(limits),
        }
    )
    result = pd.concat([points, extra.astype({"rho": float})], ignore_index=True)
    return result[["kind", "role", "tensor", "epoch", "rho", *ends, "n"]].astype({"epoch": "Int64"})


def draw(
    table: pd.DataFrame, style: Style, measure: str = "chi", statistic: str = "pearson", unit: str = "word"
) -> Figure:
    """Draw the rows of :func:`table`: a colour and marker a layer, solid activations, dashed gradients."""
    style = style.sized(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    points = table.loc[table["kind"] == "correlation"]
    limits = table.loc[table["kind"] == "y_limit", "rho"]
    role = table["role"].iloc[0]
    colors = style.colors()
    ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
    ends = []
    for index, tensor in enumerate(TENSORS):
        part = points.loc[points["tensor"] == tensor]
        if part["rho"].isna().all():
            continue
        layer, gradient = index % 4, index >= 4
        color = colors[layer]
        band(ax, part, color)
        ax.plot(
            part["epoch"].astype(int),
            part["rho"],
            color=color,
            linestyle=DASHED if gradient else "-",
            marker=MARKERS[layer],
            markevery=marked(len(part)),
            markerfacecolor="white" if gradient else color,
            markeredgewidth=0.8,
            label=f"${SYMBOLS[tensor]}$",
            gid=tensor,
        )
        last = part.dropna(subset="rho").iloc[-1]
        ends.append((tensor, color, int(last["epoch"]), float(last["rho"])))
    epoch_axis(ax, points["epoch"].astype(int).tolist())
    ax.set_ylim(limits.min(), limits.max())
    ax.set_ylabel(
        f"{ARROWS[role]}: correlation of mean {name_of(measure)}\n"
        f"with {role}-{unit} frequency ({STATISTICS[statistic]})"
    )
    dropped = mark_drops(ax, table.loc[table["kind"] == DROP, "epoch"].astype(int).tolist(), seeds_in(points))

    handles: list[Artist] = [Line2D([], [], color="0.2"), Line2D([], [], color="0.2", linestyle=DASHED)]
    names = ["activation", "gradient"]
    if dropped is not None:
        handles, names = [*handles, dropped], [*names, "learning rate lowered"]
    if "low" in points:
        handles, names = [*handles, band_handle()], [*names, band_name(points, "interval")]
    columns = 2 if "sd" in points else len(names)
    figure.legend(handles, names, loc="outside upper center", ncols=columns, columnspacing=1.2)

    # Each line's name at its end, moved apart where they would overlap and then tied to the line.
    figure.draw_without_rendering()
    gap = 1.3 * style.font_size / (ax.get_position().height * figure.get_figheight() * 72)
    span = limits.max() - limits.min()
    places = spread([(rho - limits.min()) / span for *_, rho in ends], gap, 0, 1)
    for (tensor, color, epoch, rho), place in zip(ends, places, strict=True):
        ax.annotate(
            f"${SYMBOLS[tensor]}$",
            (epoch, rho),
            (1.06, place),
            textcoords=ax.transAxes,
            va="center",
            color=color,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3},
        )
    return figure
