"""How the correlation of sparsity with frequency develops in sparsified models, compared with the dense one."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.analysis.products import (
    average_over_seeds,
    check_chain,
    check_same,
    find_place,
    group_by_model,
    read_correlations,
    read_states,
)
from natural_sparsity.analysis.tensors import GRADIENT, list_layers, sort_tensors
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import STATISTICS, add_checkpoints, add_correlations, add_unit
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    GREY,
    Style,
    count_seeds,
    draw_band,
    make_band_handle,
    name_measure,
    set_epoch_axis,
    space_markers,
    write_symbol,
)

SUMMARY = "correlations by epoch of sparsified models, compared with the dense one"
WIDTH, PANEL = 6.9, 1.35
SPREAD = ("low", "high", "sd", "seeds")
ROLES = {
    "random_mask": "random mask",
    "random_mask_global": "random mask, over all layers",
    "random_init": "random weights",
    "equal_size": "small dense model",
    "no_teacher": "without teacher",
    "retrained": "retrained",
    "rounded": "in single precision",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_correlations(parser)
    add_checkpoints(parser)
    add_unit(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure."""
    table = select_points(args.correlations, args.checkpoints, args.measure, args.statistic)
    return table, plot(table, style, args.measure, args.statistic, args.unit)


def select_points(
    correlations: Sequence[Path | str], checkpoints: Sequence[Path | str], measure: str, statistic: str
) -> pd.DataFrame:
    """The points: ``family, role, level, model, tensor, epoch, rho, n``; several seeds add ``low, high, sd, seeds``.

    All recurrent layers and their gradients, over all target words. The dense model's family is ``""``; the others
    stand in the order of the files.

    Args:
        correlations: one file per model and seed, of one set of data and one condition.
        checkpoints: ``state.json`` of a checkpoint of each model, which says what the model is.
        measure, statistic: which correlations.

    Raises:
        UserError: a model without a checkpoint, no dense model, or no other.
    """
    check_chain(correlations, checkpoints)
    groups = group_by_model(correlations)
    check_same({paths[0]: {"data": data, "condition": condition} for (data, _, condition), paths in groups.items()})
    places = {}
    for origin, state in read_states(checkpoints).items():
        places[origin.data, origin.model] = find_place(state["sparsify"])
    parts = []
    for (data, model, _), paths in groups.items():
        if (data, model) not in places:
            raise UserError(f"{paths[0]}: no --checkpoints file is of {data}/{model}; give one")
        place = {key: value for key, value in places[data, model].items() if key != "method"}
        frame = read_correlations(paths, measure, statistic)
        frame = average_over_seeds(frame, ["epoch", "role", "tensor", "words"])
        if "sd" not in frame:
            frame = frame.drop(columns=["low", "high"])
        layers = list_layers(frame["tensor"].str.removeprefix(GRADIENT))
        shown = [*layers, *(GRADIENT + layer for layer in layers)]
        mine = frame[(frame["role"] == "target") & (frame["words"] == "all") & frame["tensor"].isin(shown)]
        mine = mine.drop(columns="role").assign(**place, model=model)
        parts.append(mine.sort_values(["tensor", "epoch"]).rename(columns={"value": "rho"}))
    result = pd.concat(parts, ignore_index=True)
    if not (result["family"] == "").any() or (result["family"] == "").all():
        raise UserError("a dense model and one that was made from it are needed to draw them together")
    spread = [name for name in SPREAD if name in result]
    return result[["family", "role", "level", "model", "tensor", "epoch", "rho", *spread, "n"]]


def plot(
    table: pd.DataFrame, style: Style, measure: str = "chi", statistic: str = "pearson", unit: str = "word"
) -> Figure:
    """A column per family, a row per tensor; the dense model in grey in every panel."""
    families = [family for family in table["family"].unique() if family]
    tensors = sort_tensors(table["tensor"])
    few = len(families) < 3
    style = style.with_size(4.4 if few else WIDTH, 1.1 + PANEL * len(tensors))
    figure = style.figure()
    panels = figure.subplots(len(tensors), len(families), sharex=True, sharey="row", squeeze=False)
    looks = choose_looks(table, style)
    handles: dict[str, Any] = {}
    for row, tensor in zip(panels, tensors, strict=True):
        every = table[table["tensor"] == tensor]
        for ax, family in zip(row, families, strict=True):
            ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
            for _, points in every[every["family"].isin(["", family])].groupby(["family", "role", "level"], sort=False):
                role, level = points["role"].iloc[0], int(points["level"].iloc[0])
                color, line = looks[role, level]
                if "sd" in points and points["sd"].notna().any() and line == "-":
                    draw_band(ax, points, color)
                [handle] = ax.plot(
                    points["epoch"],
                    points["rho"],
                    color=color,
                    linestyle=line,
                    marker="o",
                    markersize=0.7 * style.marker_size,
                    markerfacecolor=color if line == "-" else "white",
                    markevery=space_markers(len(points)),
                    markeredgewidth=0.7,
                    gid=f"{family} {role} {level} {tensor}",
                )
                handles.setdefault(label_model(role, level), handle)
            set_epoch_axis(ax, every["epoch"].tolist())
            ax.locator_params(axis="x", nbins=5)
            if tensor != tensors[-1]:
                ax.set_xlabel("")
            if tensor == tensors[0]:
                ax.set_title(family).set_parse_math(False)
        row[0].set_ylabel(f"${write_symbol(tensor)}$")
    figure.supylabel(
        f"{ARROWS['target']}: correlation of mean {name_measure(measure)} with target-{unit} frequency"
        f" ({STATISTICS[statistic]})",
        fontsize=style.font_size,
    )
    if "sd" in table and table["sd"].notna().any():
        handles[f"mean ± 1 s.d. of {write_seeds(table)} seeds (solid lines)"] = make_band_handle()
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=2 if few else 4)
    return figure


def write_seeds(table: pd.DataFrame) -> str:
    """How many seeds the models have: a number, or the fewest and the most."""
    by_model = [count_seeds(part) for _, part in table.groupby("model")]
    return str(max(by_model)) if min(by_model) == max(by_model) else f"{min(by_model)} to {max(by_model)}"


def choose_looks(table: pd.DataFrame, style: Style) -> dict[tuple[str, int], tuple[Any, Any]]:
    """Colour and line of each role at each level: levels by colour, controls dashed."""
    levels = sorted(level for level in table["level"].unique() if level)
    ramp = mpl.colormaps[style.colormap]
    colors = {level: ramp(0.1 + 0.65 * i / max(1, len(levels) - 1)) for i, level in enumerate(levels)}
    looks: dict[tuple[str, int], tuple[Any, Any]] = {}
    for role, level in table[["role", "level"]].drop_duplicates().itertuples(index=False):
        color = GREY if role == "dense" else colors.get(level, style.colors()[1])
        looks[role, level] = (color, DASHED if role in ROLES else "-")
    return looks


def label_model(role: str, level: int) -> str:
    """What the legend calls a model within its family."""
    if role == "dense":
        return "dense"
    name = f"level {level}" if level else "sparsified"
    return f"{name}, {ROLES[role]}" if role in ROLES else name
