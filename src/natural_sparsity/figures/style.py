"""What the figures share: the style, the names of tensors and measures, axes by epoch, bands, and saving."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from natural_sparsity import registry
from natural_sparsity.analysis.tensors import GRADIENT, STATIC
from natural_sparsity.config import style as block
from natural_sparsity.config.base import read_block
from natural_sparsity.errors import UserError
from natural_sparsity.files import atomic

ARROWS = {"target": "ρ←", "input": "ρ→"}
NORMS = {"l1": "ℓ1 norm", "l2": "ℓ2 norm"}
GREY = "0.55"
# Dash patterns and markers, in points or multiples of the line width, that stay apart in black and white.
DASHED = (0, (3.5, 1.5))
MARKERS = "os^Dvp"
DROP = "learning_rate_drop"
BAND = "interval"
# What legends call the companions of lines: the same model, trained on the same text in random order.
SHUFFLED = "same, tokens shuffled"
# The width of a companion, and the size of its markers, in those of the line.
THIN = 0.6


# Seaborn's palette of this name: importing seaborn takes longer than drawing the figure.
COLORBLIND = (
    "#0173B2",
    "#DE8F05",
    "#029E73",
    "#D55E00",
    "#CC78BC",
    "#CA9161",
    "#FBAFE4",
    "#949494",
    "#ECE133",
    "#56B4E9",
)


def repeat(colors: Sequence[str], count: int) -> list[Any]:
    """Return the first ``count`` of ``colors``, starting again after the last."""
    return list(islice(cycle(map(to_rgb, colors)), count))


def fade(color: Any) -> Any:
    """The colour of a companion line: half way from ``color`` to a light grey."""
    return tuple(np.mean([to_rgb(color), to_rgb("0.75")], axis=0))


class Style(block.Style):
    """The look of a figure: the configuration's block, and what is drawn by it.

    A figure's own size applies where ``width`` or ``height`` is None, its own default where ``intervals`` is.
    """

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
        style = read_block(cls, given, "--style")
        block.check_colors(style, "--style")
        return style

    def colors(self, count: int = 4) -> list[Any]:
        """``count`` colours of the palette; a shorter list repeats.

        The fourth of a named palette is left out: in seaborn's ``colorblind`` it is too close to the second.
        """
        if not isinstance(self.palette, str):
            return repeat(self.palette, count)
        named = max(count, 4) + 1
        if self.palette == "colorblind":
            colors = repeat(COLORBLIND, named)
        else:
            import seaborn as sns  # here, since the import takes longer than the figure

            colors = list(sns.color_palette(self.palette, named))
        return [*colors[:3], *colors[4:]][:count]

    def with_size(self, width: float, height: float) -> "Style":
        """This style with a figure's own size, in inches, where none was asked for."""
        return self.model_copy(update={"width": self.width or width, "height": self.height or height})

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Set matplotlib's parameters, starting from its own defaults and not from the user's ``matplotlibrc``."""
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
        return StyledFigure(self, figsize=(self.width, self.height), layout="constrained")


class StyledFigure(Figure):
    """A figure that is drawn in its style wherever it is drawn: Matplotlib reads some parameters only then."""

    def __init__(self, style: Style, **options: Any):
        super().__init__(**options)
        self.style = style

    def draw(self, renderer: RendererBase) -> None:
        """Draw it with the style's parameters."""
        with self.style.apply():
            super().draw(renderer)


# By format: what matplotlib is not to write down.
UNDATED: dict[str, dict[str, None]] = {
    "pdf": dict.fromkeys(["CreationDate", "Creator", "Producer"]),
    "png": {"Software": None},
}


def save(figure: Figure, table: pd.DataFrame, stem: Path | str) -> None:
    """Write ``stem``.csv, .pdf and .png; no date and no version goes in, so that equal input gives equal bytes."""
    with atomic(f"{stem}.csv") as path:
        table.to_csv(path, index=False, lineterminator="\n")
    for suffix, metadata in UNDATED.items():
        # In memory first: on a full disk, matplotlib would fail with an error of its own.
        drawn = io.BytesIO()
        figure.savefig(drawn, format=suffix, metadata=metadata)
        with atomic(f"{stem}.{suffix}") as path:
            path.write_bytes(drawn.getvalue())


def name_measure(measure: str) -> str:
    """The measure's name in a figure."""
    if measure == "chi":
        return r"$\chi$"
    if measure in NORMS:
        return NORMS[measure]
    module, _, name = registry.MEASURES[measure].partition(":")
    return getattr(registry.load(module), name).label


def name_loss(kind: str) -> str:
    """What the loss of a kind of data is called, with its unit, where that is known."""
    settings = registry.load(registry.DATA[kind].settings).Settings
    return f"loss{' (nats per token)' if settings.streams else ' (nats)' if settings.categorical else ''}"


def write_symbol(tensor: str) -> str:
    """The mathtext of a tensor.

    ``grad_h_2`` is ∇h²; the top layer of models of several depths, ``h_L``, is hᴸ; the static gradient is p̄W − W[w].
    """
    if tensor == STATIC:
        return r"\bar{p}W - W[w]"
    name = tensor.removeprefix(GRADIENT)
    nabla = r"\nabla " if tensor != name else ""
    if name == "x":
        return r"\nabla x" if nabla else r"\hat{x}"
    letter, _, index = name.partition("_")
    return f"{nabla}{letter}^{index}" if len(index) == 1 else f"{nabla}{letter}^{{{index}}}"


def write_measure(measure: str, tensor: str) -> str:
    """The mathtext of a measure of a tensor."""
    symbol = write_symbol(tensor)
    return rf"$\chi({symbol})$" if measure == "chi" else f"{name_measure(measure)} of ${symbol}$"


def count_seeds(table: pd.DataFrame) -> int:
    """How many seeds a figure's values are means over."""
    return int(table["seeds"].fillna(1).max()) if "seeds" in table else 1


def label_seeds(table: pd.DataFrame) -> str:
    """What a label adds when values are means over seeds."""
    return f"\n(mean of {count_seeds(table)} seeds)" if count_seeds(table) > 1 else ""


def set_epoch_axis(ax: Axes, epochs: Sequence[int]) -> None:
    """Integer ticks, and a little room at either end; the label says what epoch 0 is, if it is there."""
    first, last = min(epochs), max(epochs)
    room = min(0.5, 0.1 * (last - first)) or 0.5
    ax.set_xlim(first - room, last + room)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=11, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    ax.set_xlabel(label_epochs(epochs))


def label_epochs(epochs: Sequence[int]) -> str:
    """The label of an axis of epochs, which says what epoch 0 is, if it is there."""
    return "epoch (0: untrained)" if 0 in epochs else "epoch"


def shorten(word: str, most: int = 14) -> str:
    """The word, cut to ``most`` characters."""
    return word if len(word) <= most else word[: most - 1] + "…"


def space_markers(epochs: int) -> int:
    """The spacing of markers, in epochs, on a line over ``epochs``."""
    return max(1, round(epochs / 10))


def draw_band(ax: Axes, part: pd.DataFrame, color: Any) -> None:
    """Draw the interval around a line, if the table has its ends."""
    if "low" in part:
        ax.fill_between(
            part["epoch"].astype(int), part["low"], part["high"], color=color, alpha=0.18, linewidth=0, gid=BAND
        )


def make_band_handle() -> Patch:
    """The handle of a band in a legend."""
    return Patch(facecolor="0.5", alpha=0.25, linewidth=0)


def name_band(points: pd.DataFrame, interval: str) -> str:
    """A band's name in a legend: the spread of several seeds, else ``interval``, the bootstrap's."""
    return f"mean ± 1 s.d. of {count_seeds(points)} seeds" if "sd" in points else interval


def mark_drops(ax: Axes, epochs: Sequence[int], seeds: int = 1) -> Line2D | None:
    """Draw dashed verticals at the epochs after which the learning rate dropped; return the handle for a legend.

    Each of several seeds has its own, fainter: where they agree, they add up.
    """
    alpha = 1 if seeds == 1 else max(0.3, 1 / seeds)
    look: dict[str, Any] = {"color": GREY, "linewidth": 0.6, "linestyle": (0, (4, 3))}
    for epoch in epochs:
        ax.axvline(epoch, zorder=0, alpha=alpha, **look).set_gid(DROP)
    return Line2D([], [], **look) if len(epochs) else None


def spread_out(positions: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Positions at least ``gap`` apart in [low, high] and, by least squares, nearest to those given.

    If the interval cannot hold them, they share it evenly.
    """
    from scipy.optimize import isotonic_regression  # here, since only figure 3 needs it

    given = np.asarray(positions, dtype=float)
    if len(given) > 1:
        gap = min(gap, (high - low) / (len(given) - 1))
    order = np.argsort(given, kind="stable")
    steps = gap * np.arange(len(given))
    moved = np.clip(isotonic_regression(given[order] - steps).x, low, high - (steps[-1] if len(steps) else 0)) + steps
    result = np.empty_like(given)
    result[order] = moved
    return result
