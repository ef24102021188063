"""The claims as a figure: for each, its values with their intervals, the range claimed, and the verdict."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import Style

# Inches; a row's at 8 points.
WIDTH, ROW = 6.9, 0.165
# Of the figure's width.
AXIS, MARGIN = (0.4, 0.7), 0.01
VERDICTS = ["reproduced", "not reproduced", "not testable here"]
# What of a reason has room; the table has it whole.
MOST_OF_REASON = 120
COLUMNS = ["claim", "verdict", "because", "evidence", "value", "low", "high", "n", "above", "below", "holds"]


def table(path: Path | str) -> pd.DataFrame:
    """The rows drawn: those of the claims table, in its order.

    Raises:
        UserError: the file is no claims table.
    """
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
        frame = frame[COLUMNS]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: no claims table ({error}); delete it and run again") from error
    if frame.empty or not frame["verdict"].isin(VERDICTS).all():
        raise UserError(f"{path}: a verdict is none of {', '.join(VERDICTS)}; delete it and run again")
    return frame


def draw(table: pd.DataFrame, style: Style) -> Figure:
    """Draw the rows of :func:`table`: a line with the claim and its verdict, and below it a line a value.

    The range claimed is shaded. Values inside, outside and across its edge differ in colour and marker.
    """
    claims = table.groupby("claim", sort=False)
    evidence = table.dropna(subset="value")
    # A claim without values has a line for the reason.
    lines = len(claims) + len(evidence) + int((claims["value"].count() == 0).sum())
    row = ROW * style.font_size / 8
    style = style.sized(WIDTH, row * (lines + 4))
    figure = style.figure()
    figure.set_layout_engine("none")
    height = figure.get_figheight()
    # Names, axis and numbers have columns of their own, so that every run's figure is laid out alike.
    ax = figure.add_axes((AXIS[0], 3 * row / height, AXIS[1] - AXIS[0], lines * row / height))
    blue, orange = style.colors()[:2]
    looks = dict(
        zip(("yes", "no", "open"), ((blue, "o", blue), (orange, "X", orange), ("0.4", "D", "white")), strict=True)
    )
    colors = dict(zip(VERDICTS, (blue, orange, "0.4"), strict=True))
    ends = evidence[["value", "low", "high"]].to_numpy(float)
    low, high = min(-0.2, np.min(ends, initial=0)), max(0.2, np.max(ends, initial=0))
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    ax.set_xlim(low, high)
    # Beside the axis: x in parts of the figure's width, y in lines.
    beside: dict[str, Any] = {"va": "center", "fontsize": 0.875 * style.font_size}
    beside["transform"] = blended_transform_factory(figure.transFigure, ax.transData)
    y = 0
    for name, rows in claims:
        verdict = rows["verdict"].iloc[0]
        bar = Rectangle((0, y - 0.5), 1, 1, color="0.94", linewidth=0, zorder=0, transform=beside["transform"])
        figure.add_artist(bar)
        ax.text(MARGIN, y, str(name), fontweight="bold", **beside)
        ax.text(1 - MARGIN, y, verdict, color=colors[verdict], fontweight="bold", ha="right", **beside)
        y += 1
        for item in rows.dropna(subset="value").to_dict("records"):
            color, marker, face = looks[item["holds"]]
            start, end = max(item["above"], low), min(item["below"], high)
            ax.fill_betweenx([y - 0.5, y + 0.5], start, end, color="0.85", linewidth=0, zorder=0.5)
            ax.plot([item["low"], item["high"]], [y, y], color=color, solid_capstyle="butt")
            ax.plot(item["value"], y, marker, color=color, markerfacecolor=face, gid=f"{name}: {item['evidence']}")
            ax.text(AXIS[0] - MARGIN, y, item["evidence"], ha="right", **beside)
            digits = 2 if max(abs(item["low"]), abs(item["high"])) >= 0.02 else 4
            value, *ends_of = (f"{item[key]:z.{digits}f}".replace("-", "−") for key in ("value", "low", "high"))
            ax.text(AXIS[1] + MARGIN, y, f"{value} [{', '.join(ends_of)}], n = {item['n']:,.0f}", **beside)
            y += 1
        if rows["value"].isna().all():
            because = rows["because"].iloc[0]
            shown = because if len(because) <= MOST_OF_REASON else because[:MOST_OF_REASON] + " …"
            ax.text(2 * MARGIN, y, shown, style="italic", color="0.3", bbox={"color": "white", "pad": 0}, **beside)
            y += 1
    ax.set_ylim(y - 0.5, -0.5)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.axvline(0, color="0.3", linewidth=0.6, zorder=0.6)
    ax.set_xlabel("correlation, or difference of correlations or of mean χ; interval over words; shaded: range claimed")
    return figure
