"""Runs side by side: how ρ← of the top layer develops in each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.figures.inputs import over_seeds, read_correlations
from natural_sparsity.figures.style import (
    ARROWS,
    DASHED,
    SYMBOLS,
    Style,
    band,
    band_handle,
    epoch_axis,
    marked,
    name_of,
    seeds_in,
)
from natural_sparsity.files import read_metadata, read_parquet

WIDTH, PANEL = 6.9, 1.55
TENSORS = ("grad_h_2", "h_2", "grad_x")


def table(paths: Sequence[Path | str], measure: str, statistic: str) -> pd.DataFrame:
    """The points drawn: ``run, tensor, epoch, rho, n``, and of several seeds ``low, high, sd, seeds``.

    ``run`` is CORPUS/MODEL, CONDITION; runs stand in the order of ``paths``, which have a file a seed and condition.
    """
    groups: dict[str, list[Path | str]] = {}
    for path in paths:
        run = str(read_parquet(path, ["run"])["run"].iloc[0])
        groups.setdefault(f"{run.rpartition('/seed')[0]}, {read_metadata(path)['condition']}", []).append(path)
    parts = []
    for run, files in groups.items():
        frame = over_seeds(read_correlations(files, measure, statistic), ["epoch", "role", "tensor", "words"])
        if "sd" not in frame:
            frame = frame.drop(columns=["low", "high"])
        mine = frame[(frame["role"] == "target") & (frame["words"] == "all") & frame["tensor"].isin(TENSORS)]
        parts.append(mine.assign(run=run).sort_values(["tensor", "epoch"]).rename(columns={"value": "rho"}))
    result = pd.concat(parts, ignore_index=True)
    spread = [name for name in ("low", "high", "sd", "seeds") if name in result]
    return result[["run", "tensor", "epoch", "rho", *spread, "n"]]


def draw(
    table: pd.DataFrame, style: Style, measure: str = "chi", statistic: str = "Pearson", unit: str = "word"
) -> Figure:
    """Draw the rows of :func:`table`: a panel a run, all to one scale."""
    runs = list(dict.fromkeys(table["run"]))
    columns = min(4, len(runs)) if len(runs) != 5 else 3
    rows = -(-len(runs) // columns)
    style = style.sized(min(WIDTH, 0.9 + 1.9 * columns) if len(runs) < 4 else WIDTH, 0.9 + PANEL * rows)
    figure = style.figure()
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    looks = dict(zip(TENSORS, zip(style.colors(), "so^", (DASHED, "-", DASHED), strict=False), strict=True))
    for ax, run in zip(panels.flat, runs, strict=False):
        part = table[table["run"] == run]
        ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
        for tensor, (color, marker, line) in looks.items():
            points = part[part["tensor"] == tensor]
            if "sd" in points and points["sd"].notna().any():
                band(ax, points, color)
            face = "white" if line == DASHED else color
            ax.plot(
                points["epoch"], points["rho"], color=color, linestyle=line, marker=marker, markerfacecolor=face,
                markevery=marked(len(points)), markeredgewidth=0.8, label=f"${SYMBOLS[tensor]}$", gid=f"{run} {tensor}",
            )  # fmt: skip
        epoch_axis(ax, part["epoch"].tolist())
        ax.locator_params(axis="x", nbins=5)
        corpus, _, rest = run.partition("/")
        seeds = f", {seeds_in(part)} seeds" if seeds_in(part) > 1 else ""
        title = ax.set_title(f"{corpus}\n{rest}{seeds}", fontsize=0.875 * style.font_size)
        title.set_parse_math(False)
    for ax in panels.flat[len(runs) :]:
        ax.set_visible(False)
    figure.supylabel(
        f"{ARROWS['target']}: correlation of mean {name_of(measure)}\nwith target-{unit} frequency ({statistic})",
        fontsize=style.font_size,
        multialignment="center",
    )
    handles, names = panels.flat[0].get_legend_handles_labels()
    if "sd" in table and np.any(table["sd"].notna()):
        handles, names = [*handles, band_handle()], [*names, "mean ± 1 s.d. of seeds"]
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure
