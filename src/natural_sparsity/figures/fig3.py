"""Figures 3a and 3b: how the correlation of sparsity with word frequency develops, for all tensors."""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from natural_sparsity.analysis.tensors import GRADIENT, STATIC, find_top, list_layers, sort_tensors
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import STATISTICS, add_checkpoints, add_control, add_correlations, add_unit
from natural_sparsity.figures.courses import CONTROL, ENDS, OWN, mark_epochs, name_interval, read_course
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    DROP,
    MARKERS,
    SHUFFLED,
    THIN,
    Style,
    draw_band,
    fade,
    name_measure,
    space_markers,
    spread_out,
    write_symbol,
)

SUMMARY = "correlation of sparsity with the frequency of target words (3a) or input words (3b) by epoch, all tensors"
SIZE = (3.3, 3.2)
ROLES = {"fig3a": "target", "fig3b": "input"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_correlations(parser)
    add_control(parser)
    add_checkpoints(parser)
    add_unit(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure; ``args.figure`` decides the role."""
    # No intervals unless asked for: so many bands would hide each other.
    course = read_course(args, bool(style.intervals))
    table = select_points(course.correlations, course.drops, ROLES[args.figure])
    interval = name_interval(course.level, args.unit)
    return table, plot(table, style, args.measure, args.statistic, args.unit, interval)


def choose_controlled(role: str, tensors: Sequence[str]) -> list[str]:
    """The tensors whose correlations in the control are drawn: those that the paper's statements are about."""
    return [GRADIENT + find_top(tensors)] if role == "target" else ["h_e", list_layers(tensors)[0]]


def select_points(correlations: pd.DataFrame, drops: Sequence[int], role: str) -> pd.DataFrame:
    """The points, verticals and limits drawn: ``kind, role, tensor, epoch, rho, low, high, sd, seeds, n``.

    ``kind`` is ``correlation``; ``control`` (of the model on the shuffled text); ``learning_rate_drop`` (only an epoch,
    after which the rate dropped); or ``y_limit``, which spans both roles, so that 3a and 3b drawn from the same files
    have one scale.

    Args:
        correlations: ``kind, epoch, role, tensor, words, value, n`` of one measure and statistic; ``low, high``, if
            there, are drawn too, and ``sd, seeds`` say that they are the spread over seeds.
        drops: the epochs after which the learning rate dropped.
        role: ``target`` (3a, ρ←) or ``input`` (3b, ρ→).

    Raises:
        UserError: the role has no correlation over all words.
    """
    everything = correlations.loc[correlations["words"] == "all"]
    tensors = sort_tensors(everything["tensor"])
    controlled = {(name, tensor) for name in ROLES.values() for tensor in choose_controlled(name, tensors)}
    places = pd.MultiIndex.from_frame(everything[["role", "tensor"]])
    everything = everything.loc[(everything["kind"] == OWN) | places.isin(controlled)]
    mine = everything.loc[everything["role"] == role]
    own = mine.loc[mine["kind"] == OWN]
    if own["value"].isna().all():
        n = 0 if own.empty else int(own["n"].fillna(0).max())
        raise UserError(
            f"no correlation over all words for role {role!r} (n is at most {n}; 3 is the least); "
            "lower the vocabulary's min_count or give a larger corpus"
        )
    ends = [name for name in ENDS if name in correlations]
    shown = everything[["value", *(name for name in ends if name in ("low", "high"))]].to_numpy(float)
    limits = np.array([min(0, np.nanmin(shown)), max(0, np.nanmax(shown))])
    limits += np.array([-0.05, 0.05]) * (limits[1] - limits[0])
    kinds = pd.Categorical(mine["kind"], [OWN, CONTROL])
    points = mine.assign(kind=kinds, tensor=pd.Categorical(mine["tensor"], tensors)).rename(columns={"value": "rho"})
    points = points.sort_values(["kind", "tensor", "epoch"]).astype({"kind": object, "tensor": object, "n": "Int64"})
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
    table: pd.DataFrame,
    style: Style,
    measure: str = "chi",
    statistic: str = "pearson",
    unit: str = "word",
    interval: str = "interval",
) -> Figure:
    """A colour and marker per layer, solid activations, dashed gradients; those of the control are pale and thin.

    ``interval`` is what the legend calls the bootstrap's band.
    """
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    limits = table.loc[table["kind"] == "y_limit", "rho"]
    role = table["role"].iloc[0]
    tensors = sort_tensors(table["tensor"].dropna())
    layers = list(dict.fromkeys(tensor.removeprefix(GRADIENT) for tensor in tensors if tensor != STATIC))
    looks = dict(zip(layers, zip(style.colors(len(layers)), MARKERS * len(layers), strict=False), strict=True))
    looks[STATIC] = ("0.15", "*")
    ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
    ends = []
    parts = table.loc[table["tensor"].notna()].groupby(["kind", "tensor"], sort=False)
    lines = {(str(kind), str(tensor)): part for (kind, tensor), part in parts if part["rho"].notna().any()}
    for (kind, tensor), part in lines.items():
        gradient = tensor == STATIC or tensor.startswith(GRADIENT)
        color, marker = looks[tensor.removeprefix(GRADIENT)]
        control = kind == CONTROL
        color = fade(color) if control else color
        draw_band(ax, part, color)
        ax.plot(
            part["epoch"].astype(int),
            part["rho"],
            color=color,
            linestyle=DASHED if gradient else "-",
            linewidth=(THIN if control else 1) * style.line_width,
            marker=marker,
            markersize=(THIN if control else 1) * style.marker_size,
            markevery=space_markers(len(part)),
            markerfacecolor="white" if gradient else color,
            markeredgewidth=0.8,
            zorder=1.9 if control else 2,
            gid=f"{CONTROL} {tensor}" if control else tensor,
        )
        last = part.dropna(subset="rho").iloc[-1]
        name = "static" if tensor == STATIC else f"${write_symbol(tensor)}$"
        ends.append((f"{name} shuffled" if control else name, color, int(last["epoch"]), float(last["rho"])))
    ax.set_ylim(limits.min(), limits.max())
    ax.set_ylabel(
        f"{ARROWS[role]}: correlation of mean {name_measure(measure)}\n"
        f"with {role}-{unit} frequency ({STATISTICS[statistic]})"
    )
    entries: list[tuple[Artist, str]] = [
        (Line2D([], [], color="0.2"), "activation"),
        (Line2D([], [], color="0.2", linestyle=DASHED), "gradient"),
    ]
    if (OWN, STATIC) in lines:
        static = Line2D(
            [], [], color=looks[STATIC][0], linestyle=DASHED, marker=looks[STATIC][1], markerfacecolor="white"
        )
        entries.append((static, f"static gradient\n${write_symbol(STATIC)}$"))
    if any(kind == CONTROL for kind, _ in lines):
        entries.append((Line2D([], [], color=fade("0.2"), linewidth=THIN * style.line_width), SHUFFLED))
    entries += mark_epochs(ax, table, interval)
    handles, names = zip(*entries, strict=True)
    figure.legend(handles, names, loc="outside upper center", ncols=3 if len(names) == 3 else 2, columnspacing=1.2)

    # Each line's name at its end, moved apart where they would overlap and then tied to the line.
    figure.draw_without_rendering()
    gap = 1.3 * style.font_size / (ax.get_position().height * figure.get_figheight() * 72)
    span = limits.max() - limits.min()
    places = spread_out([(rho - limits.min()) / span for *_, rho in ends], gap, 0, 1)
    for (name, color, epoch, rho), place in zip(ends, places, strict=True):
        ax.annotate(
            name,
            (epoch, rho),
            (1.06, place),
            textcoords=ax.transAxes,
            va="center",
            color=color,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.5,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )
    return figure
