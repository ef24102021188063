"""How the correlation of sparsity with frequency develops in sparsified models, beside the dense one's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.errors import UserError
from natural_sparsity.figures.inputs import over_seeds, read_correlations
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    GREY,
    SYMBOLS,
    Style,
    band,
    band_handle,
    epoch_axis,
    marked,
    name_of,
    seeds_in,
)
from natural_sparsity.files import read_json, read_parquet

WIDTH, PANEL = 6.9, 1.35
SHOWN = ("h_1", "h_2", "grad_h_1", "grad_h_2")
ROLES = {
    "random_mask": "random mask",
    "random_init": "random weights",
    "no_teacher": "without teacher",
    "retrained": "retrained",
}


def table(
    correlations: Sequence[Path | str], checkpoints: Sequence[Path | str], measure: str, statistic: str
) -> pd.DataFrame:
    """The points: ``family, role, level, model, tensor, epoch, rho, n``, and of several seeds ``low, high, sd, seeds``.

    The dense model's family is ``""``; the others stand in the order of the files.

    Args:
        correlations: a file a model and seed.
        checkpoints: JSON of a checkpoint of each, in the same order, which says what the model is.
        measure, statistic: which correlations.

    Raises:
        UserError: not as many of the one as of the other, or no dense model, or no other.
    """
    if len(correlations) != len(checkpoints):
        raise UserError(f"{len(correlations)} --correlations and {len(checkpoints)} --checkpoints; give as many")
    groups: dict[str, list[Path | str]] = {}
    kinds: dict[str, dict[str, Any]] = {}
    for path, state in zip(correlations, checkpoints, strict=True):
        model = str(read_parquet(path, ["run"])["run"].iloc[0]).rpartition("/seed")[0].partition("/")[2]
        groups.setdefault(model, []).append(path)
        of = {"family": "", "role": "dense", "level": 0, **read_json(state, ["epoch", "seed"]).get("sparsify", {})}
        kinds[model] = {key: of[key] for key in ("family", "role", "level")}
    parts = []
    for model, files in groups.items():
        frame = over_seeds(read_correlations(files, measure, statistic), ["epoch", "role", "tensor", "words"])
        if "sd" not in frame:
            frame = frame.drop(columns=["low", "high"])
        mine = frame[(frame["role"] == "target") & (frame["words"] == "all") & frame["tensor"].isin(SHOWN)]
        mine = mine.drop(columns="role").assign(**kinds[model], model=model)
        parts.append(mine.sort_values(["tensor", "epoch"]).rename(columns={"value": "rho"}))
    result = pd.concat(parts, ignore_index=True)
    if not (result["family"] == "").any() or (result["family"] == "").all():
        raise UserError("a dense model and one that was made from it are needed to draw them together")
    spread = [name for name in ("low", "high", "sd", "seeds") if name in result]
    return result[["family", "role", "level", "model", "tensor", "epoch", "rho", *spread, "n"]]


def draw(
    table: pd.DataFrame, style: Style, measure: str = "chi", statistic: str = "Pearson", unit: str = "word"
) -> Figure:
    """Draw the rows of :func:`table`: a column a family, a row a tensor; the dense model in grey in every panel."""
    families = [family for family in table["family"].unique() if family]
    tensors = [tensor for tensor in SHOWN if (table["tensor"] == tensor).any()]
    few = len(families) < 3
    style = style.sized(4.4 if few else WIDTH, 1.1 + PANEL * len(tensors))
    figure = style.figure()
    panels = figure.subplots(len(tensors), len(families), sharex=True, sharey="row", squeeze=False)
    looks = looks_of(table, style)
    handles: dict[str, Any] = {}
    for row, tensor in zip(panels, tensors, strict=True):
        at = table[table["tensor"] == tensor]
        for ax, family in zip(row, families, strict=True):
            ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
            for _, points in at[at["family"].isin(["", family])].groupby(["family", "role", "level"], sort=False):
                role, level = points["role"].iloc[0], int(points["level"].iloc[0])
                color, line = looks[role, level]
                if "sd" in points and points["sd"].notna().any() and line == "-":
                    band(ax, points, color)
                [handle] = ax.plot(
                    points["epoch"], points["rho"], color=color, linestyle=line, marker="o",
                    markersize=0.7 * style.marker_size, markerfacecolor=color if line == "-" else "white",
                    markevery=marked(len(points)), markeredgewidth=0.7, gid=f"{family} {role} {level} {tensor}",
                )  # fmt: skip
                handles.setdefault(label_of(role, level), handle)
            epoch_axis(ax, at["epoch"].tolist())
            ax.locator_params(axis="x", nbins=5)
            if tensor != tensors[-1]:
                ax.set_xlabel("")
            if tensor == tensors[0]:
                ax.set_title(family).set_parse_math(False)
        row[0].set_ylabel(f"${SYMBOLS[tensor]}$")
    figure.supylabel(
        f"{ARROWS['target']}: correlation of mean {name_of(measure)} with target-{unit} frequency ({statistic})",
        fontsize=style.font_size,
    )
    names = list(handles)
    if "sd" in table and table["sd"].notna().any():
        handles[f"mean ± 1 s.d. of {seeds_range(table)} seeds (solid lines)"] = band_handle()
        names = list(handles)
    figure.legend(list(handles.values()), names, loc="outside upper center", ncols=2 if few else 4)
    return figure


def seeds_range(table: pd.DataFrame) -> str:
    """How many seeds: of the model with the least and of that with the most."""
    by_model = [seeds_in(part) for _, part in table.groupby("model")]
    return str(max(by_model)) if min(by_model) == max(by_model) else f"{min(by_model)} to {max(by_model)}"


def looks_of(table: pd.DataFrame, style: Style) -> dict[tuple[str, int], tuple[Any, Any]]:
    """Colour and line of each role at each level: levels by colour, controls dashed."""
    levels = sorted(level for level in table["level"].unique() if level)
    ramp = mpl.colormaps[style.colormap]
    colors = {level: ramp(0.1 + 0.65 * i / max(1, len(levels) - 1)) for i, level in enumerate(levels)}
    looks: dict[tuple[str, int], tuple[Any, Any]] = {}
    for role, level in table[["role", "level"]].drop_duplicates().itertuples(index=False):
        color = GREY if role == "dense" else colors.get(level, style.colors()[1])
        looks[role, level] = (color, DASHED if role in ROLES else "-")
    return looks


def label_of(role: str, level: int) -> str:
    """What the legend calls a model within its family."""
    if role == "dense":
        return "dense"
    name = f"level {level}" if level else "sparsified"
    return f"{name}, {ROLES[role]}" if role in ROLES else name
