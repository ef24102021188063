"""Figure 2: the sparsity of the gradient at the top layer, by epoch and target word."""

import argparse

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from natural_sparsity.analysis.products import (
    average_over_seeds,
    check_chain,
    read_probes,
    read_tensors,
    read_words,
    select_frequent,
)
from natural_sparsity.analysis.tensors import GRADIENT, find_top
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import add_measure, add_probes, add_threshold, add_unit
from natural_sparsity.figures.style import GREY, Style, label_epochs, label_seeds, shorten, spread_out, write_measure

SUMMARY = "heat map of the mean sparsity of the top layer's gradient, by epoch and target word"
SIZE = (3.5, 4.4)
LINE = 1.15  # height of a name, in font sizes
BRIGHT = "bright"  # the names of the brightest rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_probes(parser)
    add_measure(parser)
    add_threshold(parser, 100_000)
    add_unit(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The cells drawn, and the figure."""
    tensor = GRADIENT + find_top(read_tensors(args.probes[0]))
    check_chain(args.probes, words=args.words)
    probes = average_over_seeds(read_probes(args.probes, "target", tensor, args.measure), ["epoch", "id"])
    table = select_cells(probes, read_words(args.words), args.threshold, args.measure)
    return table, plot(table, style, args.measure, tensor, args.unit)


def select_cells(probes: pd.DataFrame, words: pd.DataFrame, threshold: int, measure: str = "chi") -> pd.DataFrame:
    """A row per cell: ``rank`` (1 the most frequent), ``id, word, count, epoch``, and the measure by its name.

    The measure is the mean over positions and then over seeds; several seeds add ``sd`` and ``seeds``.

    Args:
        probes: ``epoch, id, value`` of the top gradient, keyed by target word; ``sd, seeds`` of several seeds.
        words: ``id, word, count``.
        threshold: words with more training occurrences than this are drawn.
        measure: its name.

    Raises:
        UserError: no word is that frequent, or the probes have none of them.
    """
    chosen = select_frequent(words, threshold, "thresholds.fig2")[["id", "word", "count"]]
    chosen.insert(0, "rank", range(1, len(chosen) + 1))
    epochs = pd.DataFrame({"epoch": sorted(probes["epoch"].unique())})
    cells = chosen.merge(epochs, how="cross").merge(probes, how="left", on=["epoch", "id"])
    if cells["value"].isna().all():
        raise UserError("the probes have no value for any word drawn; are they of another vocabulary?")
    return cells.drop(columns=["low", "high"], errors="ignore").rename(columns={"value": measure})


def plot(
    table: pd.DataFrame, style: Style, measure: str = "chi", tensor: str = "grad_h_2", unit: str = "word"
) -> Figure:
    """A column per epoch, a row per word, the most frequent at the bottom; the brightest are named at the right."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    cells = table.pivot(index="rank", columns="epoch", values=measure)
    words = table.drop_duplicates("rank").set_index("rank")["word"].map(shorten)
    # Neither a few extreme words nor the untrained model may take the contrast from the rest; the colour bar's arrows
    # say that they are there.
    trained = cells.drop(columns=0, errors="ignore")
    low, high = np.nanpercentile(cells if trained.isna().to_numpy().all() else trained, [1, 99])
    least, greatest = np.nanmin(cells), np.nanmax(cells)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    # Rasterised: as vectors, a mesh of words by epochs makes a file of megabytes.
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(cells.to_numpy()),
        cmap=style.colormap,
        vmin=low,
        vmax=high,
        rasterized=True,
        linewidth=0,
    )
    ax.set_facecolor("0.85")  # shows where there is no value
    ends = extend[least < low, greatest > high]
    bar = figure.colorbar(mesh, ax=ax, location="top", extend=ends, pad=0.02, aspect=30)
    bar.set_label(f"mean {write_measure(measure, tensor)}{label_seeds(table)}")
    bar.locator = MaxNLocator(4, steps=[1, 2, 5, 10])
    bar.outline.set_linewidth(0.6)

    room = 0.75 * figure.get_figheight() * 72 / (LINE * style.font_size)  # in names
    every = int(np.ceil(len(words) / room))
    ax.set_yticks(np.arange(0, len(words), every) + 0.5, words.iloc[::every])
    for label in ax.get_yticklabels():
        label.set_parse_math(False)  # a word may hold a dollar sign
    named = "" if every == 1 else f" (one in {every} named)"
    ax.set_ylabel(f"{len(words):,} target {unit}s{named},\nmost frequent at the bottom")
    epochs = cells.columns.to_numpy()
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, len(epochs)) if len(epochs) <= 9 * step)
    shown = epochs % step == 0
    ax.set_xticks(np.flatnonzero(shown) + 0.5, epochs[shown])
    ax.set_xlabel(label_epochs(epochs.tolist()))
    if epochs[0] == 0:
        ax.axvline(1, color="white", linewidth=2)  # between the untrained model and the trained ones
    ax.tick_params(length=2)
    name_brightest(figure, ax, words[select_brightest(cells, int(room / 2))], style)
    return figure


def select_brightest(cells: pd.DataFrame, most: int) -> pd.Index:
    """The rows whose greatest value lies above those of the others, by the fence of a box plot; ``most`` at most."""
    greatest = cells.max(axis=1)
    low, high = greatest.quantile([0.25, 0.75])
    return greatest[greatest > high + 1.5 * (high - low)].nlargest(most).sort_index().index


def name_brightest(figure: Figure, ax: Axes, words: pd.Series, style: Style) -> None:
    """Name rows at the right, by rank, moved apart where names would overlap and then tied to their row."""
    figure.draw_without_rendering()
    top = ax.get_ylim()[1]
    gap = LINE * style.font_size / (ax.get_position().height * figure.get_figheight() * 72)
    heights = (words.index.to_numpy() - 0.5) / top
    for word, height, place in zip(words, heights, spread_out(heights.tolist(), gap, 0, 1), strict=True):
        ax.plot([1.01, 1.07], [height, place], transform=ax.transAxes, color=GREY, linewidth=0.5, clip_on=False)
        ax.text(
            1.08,
            place,
            word,
            transform=ax.transAxes,
            va="center",
            fontsize=0.875 * style.font_size,
            parse_math=False,
            gid=BRIGHT,
        )
