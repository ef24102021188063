"""Figures 3a and 3b: how the correlation of sparsity with word frequency develops, for all tensors."""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from natural_sparsity.analysis.tensors import GRADIENT, sort_tensors
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import STATISTICS, add_checkpoints, add_correlations, add_unit
from natural_sparsity.figures.courses import ENDS, mark_epochs, read_course
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    DROP,
    MARKERS,
    Style,
    draw_band,
    name_measure,
    space_markers,
    spread_out,
    write_symbol,
)

SUMMARY = "correlation of sparsity with the frequency of target words (3a) or input words (3b) by epoch, all tensors"
SIZE = (3.3, 3.0)
ROLES = {"fig3a": "target", "fig3b": "input"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_correlations(parser)
    add_checkpoints(parser)
    add_unit(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure; ``args.figure`` decides the role."""
    # No intervals unless asked for: so many bands would hide each other.
    correlations, drops = read_course(args, bool(style.intervals))
    table = select_points(correlations, drops, ROLES[args.figure])
    return table, plot(table, style, args.measure, args.statistic, args.unit)


def select_points(correlations: pd.DataFrame, drops: Sequence[int], role: str) -> pd.DataFrame:
    """The points, verticals and limits drawn: ``kind, role, tensor, epoch, rho, low, high, sd, seeds, n``.

    ``kind`` is ``correlation``; ``learning_rate_drop`` (only an epoch, after which the rate dropped); or ``y_limit``,
    which spans both roles, so that 3a and 3b drawn from one file have one scale.

    Args:
        correlations: ``epoch, role, tensor, words, value, n`` of one measure and statistic; ``low, high``, if there,
            are drawn too, and ``sd, seeds`` say that they are the spread over seeds.
        drops: the epochs after which the learning rate dropped.
        role: ``target`` (3a, ρ←) or ``input`` (3b, ρ→).

    Raises:
        UserError: the role has no correlation over all words.
    """
    everything = correlations.loc[correlations["words"] == "all"]
    tensors = sort_tensors(everything["tensor"])
    mine = everything.loc[everything["role"] == role]
    if mine["value"].isna().all():
        n = 0 if mine.empty else int(mine["n"].fillna(0).max())
        raise UserError(
            f"no correlation over all words for role {role!r} (n is at most {n}; 3 is the least); "
            "lower the vocabulary's min_count or give a larger corpus"
        )
    ends = [name for name in ENDS if name in correlations]
    shown = everything[["value", *(name for name in ends if name in ("low", "high"))]].to_numpy(float)
    limits = np.array([min(0, np.nanmin(shown)), max(0, np.nanmax(shown))])
    limits += np.array([-0.05, 0.05]) * (limits[1] - limits[0])
    points = mine.assign(kind="correlation", tensor=pd.Categorical(mine["tensor"], tensors)).rename(
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


def plot(
    table: pd.DataFrame, style: Style, measure: str = "chi", statistic: str = "pearson", unit: str = "word"
) -> Figure:
    """A colour and marker per layer, solid activations, dashed gradients."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    points = table.loc[table["kind"] == "correlation"]
    limits = table.loc[table["kind"] == "y_limit", "rho"]
    role = table["role"].iloc[0]
    tensors = sort_tensors(points["tensor"])
    layers = list(dict.fromkeys(tensor.removeprefix(GRADIENT) for tensor in tensors))
    looks = dict(zip(layers, zip(style.colors(len(layers)), MARKERS * len(layers), strict=False), strict=True))
    ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
    ends = []
    for tensor in tensors:
        part = points.loc[points["tensor"] == tensor]
        if part["rho"].isna().all():
            continue
        gradient = tensor.startswith(GRADIENT)
        color, marker = looks[tensor.removeprefix(GRADIENT)]
        draw_band(ax, part, color)
        ax.plot(
            part["epoch"].astype(int),
            part["rho"],
            color=color,
            linestyle=DASHED if gradient else "-",
            marker=marker,
            markevery=space_markers(len(part)),
            markerfacecolor="white" if gradient else color,
            markeredgewidth=0.8,
            label=f"${write_symbol(tensor)}$",
            gid=tensor,
        )
        last = part.dropna(subset="rho").iloc[-1]
        ends.append((tensor, color, int(last["epoch"]), float(last["rho"])))
    ax.set_ylim(limits.min(), limits.max())
    ax.set_ylabel(
        f"{ARROWS[role]}: correlation of mean {name_measure(measure)}\n"
        f"with {role}-{unit} frequency ({STATISTICS[statistic]})"
    )
    kinds: list[Artist] = [Line2D([], [], color="0.2"), Line2D([], [], color="0.2", linestyle=DASHED)]
    handles, names = mark_epochs(ax, table, "interval")
    columns = 2 if "sd" in points else 2 + len(names)
    figure.legend(
        [*kinds, *handles],
        ["activation", "gradient", *names],
        loc="outside upper center",
        ncols=columns,
        columnspacing=1.2,
    )

    # Each line's name at its end, moved apart where they would overlap and then tied to the line.
    figure.draw_without_rendering()
    gap = 1.3 * style.font_size / (ax.get_position().height * figure.get_figheight() * 72)
    span = limits.max() - limits.min()
    places = spread_out([(rho - limits.min()) / span for *_, rho in ends], gap, 0, 1)
    for (tensor, color, epoch, rho), place in zip(ends, places, strict=True):
        ax.annotate(
            f"${write_symbol(tensor)}$",
            (epoch, rho),
            (1.06, place),
            textcoords=ax.transAxes,
            va="center",
            color=color,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3},
        )
    return figure
