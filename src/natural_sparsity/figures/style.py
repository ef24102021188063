"""What the figures share: the style and its keys, the names of tensors, axes by epoch, and saving."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.optimize import isotonic_regression

from natural_sparsity.errors import UserError
from natural_sparsity.files import atomic
from natural_sparsity.probing.measures import MEASURES

TENSORS = ("h_e", "h_1", "h_2", "x", "grad_h_e", "grad_h_1", "grad_h_2", "grad_x")
SYMBOLS = {"h_e": "h^e", "h_1": "h^1", "h_2": "h^2", "x": r"\hat{x}"} | {
    "grad_h_e": r"\nabla h^e",
    "grad_h_1": r"\nabla h^1",
    "grad_h_2": r"\nabla h^2",
    "grad_x": r"\nabla x",
}
ARROWS = {"target": "ρ←", "input": "ρ→"}
GREY = "0.55"
# Dash patterns and markers, in points or multiples of the line width, that stay apart in black and white.
DASHED = (0, (3.5, 1.5))
DROP = "learning_rate_drop"
BAND = "interval"


@dataclass(frozen=True)
class Style:
    """The look of a figure: every key of ``--style`` and its default.

    ``width`` and ``height`` are in inches (``None``: the figure's own default), ``dpi`` is that of the PNG and of the
    rasterised parts of the PDF, ``font_size``, ``line_width`` and ``marker_size`` are in points, ``palette`` is a
    seaborn palette name or a list of colours, ``colormap`` the matplotlib colour map of the heat map, ``intervals``
    whether figures 3 and 4 show bootstrap intervals (``None``: the figure's own default); over several seeds, bands are
    always the seeds' spread.
    """

    width: float | None = None
    height: float | None = None
    dpi: float = 300
    font_size: float = 8
    line_width: float = 1.2
    marker_size: float = 3.5
    palette: str | Sequence[str] = "colorblind"
    colormap: str = "viridis"
    intervals: bool | None = None

    @classmethod
    def parse(cls, text: str | None) -> "Style":
        """Read the JSON object of ``--style``.

        Raises:
            UserError: no JSON object, an unknown key, or a value that the key cannot have.
        """
        try:
            given = json.loads(text or "{}")
        except ValueError as error:
            raise UserError(f"--style: not JSON ({error}); write for example '{{\"width\": 3.3}}'") from error
        if not isinstance(given, dict):
            raise UserError("--style: not a JSON object; write for example '{\"width\": 3.3}'")
        known = [field.name for field in fields(cls)]
        for key, value in given.items():
            if key not in known:
                raise UserError(f"--style: unknown key {key!r}; the keys are {', '.join(known)}")
            if key == "intervals":
                if value is not None and not isinstance(value, bool):
                    raise UserError(f"--style: intervals is {value!r}; give true or false")
            elif key not in ("palette", "colormap"):
                if value is None and key in ("width", "height"):
                    continue
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10_000:
                    raise UserError(f"--style: {key} is {value!r}; give a positive number")
        style = cls(**given)
        if style.colormap not in mpl.colormaps:
            raise UserError(f"--style: colormap {style.colormap!r} is unknown to matplotlib; 'cividis' is one")
        style.colors()
        return style

    def colors(self) -> list[Any]:
        """Four colours of the palette: the first three and, of a named one, the fifth.

        The fourth of seaborn's ``colorblind`` is too near to its second.
        """
        if not isinstance(self.palette, str):
            well_formed = isinstance(self.palette, list) and all(is_color_like(color) for color in self.palette)
            if not well_formed or len(self.palette) < 4:
                raise UserError(f"--style: palette is {self.palette!r}; give a name or a list of 4 colours or more")
        try:
            colors = list(sns.color_palette(self.palette, 5 if isinstance(self.palette, str) else 4))
        except ValueError as error:
            raise UserError(f"--style: palette {self.palette!r} is unknown to seaborn; 'colorblind' is one") from error
        return [*colors[:3], colors[-1]]

    def sized(self, width: float, height: float) -> "Style":
        """This style with a figure's own size, in inches, where none was asked for."""
        return replace(self, width=self.width or width, height=self.height or height)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set matplotlib's parameters, from its own defaults and not from the user's ``matplotlibrc``."""
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(
                {
                    "pdf.fonttype": 42,
                    "font.size": self.font_size,
                    "axes.titlesize": self.font_size,
                    "axes.labelsize": self.font_size,
                    "xtick.labelsize": 0.875 * self.font_size,
                    "ytick.labelsize": 0.875 * self.font_size,
                    "legend.fontsize": 0.875 * self.font_size,
                    "legend.frameon": False,
                    "legend.handlelength": 2.4,
                    "lines.linewidth": self.line_width,
                    "lines.markersize": self.marker_size,
                    "axes.linewidth": 0.6,
                    "xtick.major.width": 0.6,
                    "ytick.major.width": 0.6,
                    "axes.spines.top": False,
                    "axes.spines.right": False,
                    "savefig.dpi": self.dpi,
                }
            )
            yield

    def figure(self) -> Figure:
        """An empty figure of this style's size; no global state of pyplot."""
        assert self.width and self.height, "size the style first"
        return Figure(figsize=(self.width, self.height), layout="constrained")


def save(figure: Figure, table: pd.DataFrame, stem: Path | str) -> None:
    """Write ``stem``.csv, .pdf and .png; no date and no version goes in, so that equal input gives equal bytes."""
    with atomic(f"{stem}.csv") as path:
        table.to_csv(path, index=False, lineterminator="\n")
    with atomic(f"{stem}.pdf") as path:
        figure.savefig(path, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    with atomic(f"{stem}.png") as path:
        figure.savefig(path, format="png", metadata={"Software": None})


def name_of(measure: str) -> str:
    """The measure's name in a figure."""
    return {"chi": r"$\chi$", "l1": "ℓ1 norm", "l2": "ℓ2 norm"}.get(measure) or MEASURES[measure].label


def at(measure: str, tensor: str) -> str:
    """The mathtext of a measure of a tensor."""
    symbol = SYMBOLS[tensor]
    return rf"$\chi({symbol})$" if measure == "chi" else f"{name_of(measure)} of ${symbol}$"


def seeds_in(table: pd.DataFrame) -> int:
    """How many seeds a figure's table is the mean of."""
    return int(table["seeds"].fillna(1).max()) if "seeds" in table else 1


def mean_of_seeds(table: pd.DataFrame) -> str:
    """What a label adds where values are means over seeds."""
    return f"\n(mean of {seeds_in(table)} seeds)" if seeds_in(table) > 1 else ""


def epoch_axis(ax: Axes, epochs: Sequence[int]) -> None:
    """Integer ticks, and a little room at either end."""
    first, last = min(epochs), max(epochs)
    room = min(0.5, 0.1 * (last - first)) or 0.5
    ax.set_xlim(first - room, last + room)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=11, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    ax.set_xlabel("epoch")


def marked(epochs: int) -> int:
    """Every how many epochs a marker is drawn, for a line over that many epochs."""
    return max(1, round(epochs / 10))


def band(ax: Axes, part: pd.DataFrame, color: Any, edged: bool = False) -> None:
    """The interval around a line, light and behind it, if the table has its ends; ``edged``: lighter and outlined."""
    if "low" in part:
        epochs = part["epoch"].astype(int)
        alpha = 0.07 if edged else 0.18
        ax.fill_between(epochs, part["low"], part["high"], color=color, alpha=alpha, linewidth=0, gid=BAND)
        for end in ("low", "high") if edged else ():
            ax.plot(epochs, part[end], color=color, linewidth=0.5, linestyle=DASHED, alpha=0.6)


def band_handle() -> Patch:
    """What stands for a band in a legend."""
    return Patch(facecolor="0.5", alpha=0.25, linewidth=0)


def band_name(points: pd.DataFrame, interval: str) -> str:
    """What a band is: over seeds their spread, else the bootstrap's ``interval``."""
    return f"mean ± 1 s.d. of {seeds_in(points)} seeds" if "sd" in points else interval


def mark_drops(ax: Axes, epochs: Sequence[int], seeds: int = 1) -> Line2D | None:
    """Dashed verticals at the end of the epochs after which the learning rate dropped; the handle for a legend.

    Of several seeds each has its own, fainter: where they agree, they add up.
    """
    alpha = 1 if seeds == 1 else max(0.3, 1 / seeds)
    look: dict[str, Any] = {"color": GREY, "linewidth": 0.6, "linestyle": (0, (4, 3))}
    for epoch in epochs:
        ax.axvline(epoch, zorder=0, alpha=alpha, **look).set_gid(DROP)
    return Line2D([], [], **look) if len(epochs) else None


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Positions at least ``gap`` apart in [low, high] and, by least squares, nearest to those given.

    Where the interval cannot hold them, they share it evenly.
    """
    given = np.asarray(positions, dtype=float)
    if len(given) > 1:
        gap = min(gap, (high - low) / (len(given) - 1))
    order = np.argsort(given, kind="stable")
    steps = gap * np.arange(len(given))
    moved = np.clip(isotonic_regression(given[order] - steps).x, low, high - (steps[-1] if len(steps) else 0)) + steps
    result = np.empty_like(given)
    result[order] = moved
    return result
