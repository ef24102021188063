"""Figure 5: the sparsity of the top layer's gradient after training against word frequency, by class."""

import argparse

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from natural_sparsity.analysis.products import (
    average_over_seeds,
    check_chain,
    read_probes,
    read_tensors,
    read_words,
    select_frequent,
    suggest_min_tagged,
)
from natural_sparsity.analysis.tensors import GRADIENT, find_top
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import add_measure, add_probes, add_threshold
from natural_sparsity.figures.style import GREY, Style, label_seeds, shorten, write_measure

SUMMARY = "mean sparsity of the top layer's gradient after the last epoch against frequency, by word class"
SIZE = (3.3, 2.8)
CLASSES = ("open", "closed")
# What the words of neither class are called: punctuation, numbers, and words that no part of speech has a majority in.
REST = "none"
# A line through fewer words than this would claim too much.
TREND = 10
NAMES = {"open": "open class", "closed": "closed class", REST: "no class"}
NAMED = 4  # of the words without a class, the most frequent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_probes(parser)
    add_measure(parser)
    add_threshold(parser, 1_000)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points and lines drawn, and the figure."""
    tensor = GRADIENT + find_top(read_tensors(args.probes[0]))
    check_chain(args.probes, words=args.words)
    probes = average_over_seeds(read_probes(args.probes, "target", tensor, args.measure), ["epoch", "id"])
    table = select_words(probes, read_words(args.words), args.threshold, args.measure)
    return table, plot(table, style, args.measure, tensor)


def select_words(probes: pd.DataFrame, words: pd.DataFrame, threshold: int, measure: str = "chi") -> pd.DataFrame:
    """The words and trend lines drawn: ``kind, pos_class, id, word, count, epoch``, the measure by its name.

    ``kind`` is ``word``, or ``trend``: the two ends of the least-squares line of the measure on log₁₀ count over the
    words drawn of one class. Of several seeds, values are means, with ``sd`` and ``seeds``. The ``pos_class`` of words
    of neither class is :data:`REST`. The most frequent words come first.

    Args:
        probes: ``epoch, id, value`` of the top gradient, keyed by target word; the last epoch is drawn.
        words: ``id, word, count, pos_class``.
        threshold: words with more training occurrences than this are drawn.
        measure: its name.

    Raises:
        UserError: no word of either class is that frequent, or the probe has none of them.
    """
    classed = words["pos_class"].isin(CLASSES)
    if not classed.any():
        raise UserError(f"no word has an open or closed class; {suggest_min_tagged(words)}")
    # An error about the threshold names one that leaves words of a class.
    select_frequent(words.loc[classed], threshold, "thresholds.fig5")
    last = probes.loc[probes["epoch"] == probes["epoch"].max()]
    words = words.assign(pos_class=words["pos_class"].where(classed, REST))
    chosen = select_frequent(words, threshold, "thresholds.fig5").merge(last, on="id")
    chosen = chosen.rename(columns={"value": measure}).dropna(subset=measure)
    if not chosen["pos_class"].isin(CLASSES).any():
        raise UserError("the probe has no value for any word drawn; is it of another vocabulary?")
    parts = [chosen.assign(kind="word")]
    for name in CLASSES:
        part = chosen.loc[chosen["pos_class"] == name]
        if len(part) >= TREND and part["count"].nunique() > 1:
            x = np.log10(part["count"])
            slope, intercept = np.polyfit(x, part[measure], 1)
            ends = part["count"].agg(["min", "max"]).to_numpy()
            line = {"kind": "trend", "pos_class": name, "count": ends, measure: intercept + slope * np.log10(ends)}
            parts.append(pd.DataFrame(line).assign(epoch=chosen["epoch"].iloc[0]))
    result = pd.concat(parts, ignore_index=True).astype({"id": "Int64"})
    spread = [name for name in ("sd", "seeds") if name in result]
    return result[["kind", "pos_class", "id", "word", "count", "epoch", measure, *spread]]


def plot(table: pd.DataFrame, style: Style, measure: str = "chi", tensor: str = "grad_h_2") -> Figure:
    """A colour and marker per class, closed-class words on top, being fewer; words of neither faint and behind."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    points = table.loc[table["kind"] == "word"]
    trends = table.loc[table["kind"] == "trend"]
    # The more words, the smaller and fainter, so that density shows as shade.
    crowd = np.clip(len(points) / 300, 1, 20)
    looks = {REST: (GREY, "x"), "open": (style.colors()[0], "o"), "closed": (style.colors()[1], "s")}
    for name, (color, marker) in looks.items():
        part = points.loc[points["pos_class"] == name]
        if part.empty:
            continue
        few = len(part) < 300
        ax.plot(
            part["count"],
            part[measure],
            linestyle="none",
            marker=marker,
            markersize=style.marker_size if few else style.marker_size / crowd**0.3,
            markerfacecolor=color,
            markeredgecolor=color if name == REST else "white" if few else "none",
            markeredgewidth=0.6 if name == REST else 0.3,
            alpha=0.9 if few else 0.9 / crowd**0.35,
            label=f"{NAMES[name]} (n = {len(part):,})",
            rasterized=len(part) > 2000,
            gid=name,
        )
    lines = []
    for name, dash in zip(CLASSES, ("-", "--"), strict=True):
        ends = trends.loc[trends["pos_class"] == name]
        if len(ends):
            dark = tuple(0.6 * channel for channel in looks[name][0][:3])
            label = f"{name}: fit on log count"
            lines += ax.plot(ends["count"], ends[measure], color=dark, linestyle=dash, gid=f"trend {name}", label=label)
    ax.set_xscale("log")
    ax.set_xlabel("training occurrences of the target word")
    turn = " " if measure == "chi" else "\n"  # other names are longer
    ax.set_ylabel(
        f"mean {write_measure(measure, tensor)}{turn}after epoch {table['epoch'].iloc[0]}{label_seeds(table)}"
    )
    drawn = {str(line.get_gid()): line for line in ax.get_lines()}
    handles = [drawn[name] for name in (*CLASSES, REST) if name in drawn]
    rest = points.loc[points["pos_class"] == REST, "word"].head(NAMED)
    frequent = [Line2D([], [], linestyle="", label=f"most frequent: {shorten('  '.join(rest), 12)}")]
    legend = figure.legend(
        handles=handles + lines + frequent * bool(len(rest)), loc="outside lower center", ncols=2, columnspacing=0.5
    )
    for entry in legend.legend_handles:
        entry.set(alpha=1, markersize=style.marker_size)  # type: ignore[union-attr]
    legend.get_texts()[-1].set_parse_math(False)  # a word may hold a dollar sign
    return figure
