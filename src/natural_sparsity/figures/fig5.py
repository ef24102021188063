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
from natural_sparsity.figures.style import Style, label_seeds, write_measure

SUMMARY = "mean sparsity of the top layer's gradient after the last epoch against frequency, by word class"
SIZE = (3.3, 2.8)
CLASSES = ("open", "closed")
# A line through fewer words than this would claim too much.
TREND = 10


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
    words drawn of one class. Of several seeds, values are means, with ``sd`` and ``seeds``. Words of neither class
    are left out.

    Args:
        probes: ``epoch, id, value`` of the top gradient, keyed by target word; the last epoch is drawn.
        words: ``id, word, count, pos_class``.
        threshold: words with more training occurrences than this are drawn.
        measure: its name.

    Raises:
        UserError: no word of either class is that frequent, or the probe has none of them.
    """
    classed = words.loc[words["pos_class"].isin(CLASSES)]
    if classed.empty:
        raise UserError(f"no word has an open or closed class; {suggest_min_tagged(words)}")
    last = probes.loc[probes["epoch"] == probes["epoch"].max()]
    chosen = select_frequent(classed, threshold, "thresholds.fig5").merge(last, on="id")
    chosen = chosen.rename(columns={"value": measure}).dropna(subset=measure)
    if chosen.empty:
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
    """A colour and marker per class, closed-class words on top, being fewer."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    points = table.loc[table["kind"] == "word"]
    trends = table.loc[table["kind"] == "trend"]
    # The more words, the smaller and fainter, so that density shows as shade.
    crowd = np.clip(len(points) / 300, 1, 20)
    for index, name in enumerate(CLASSES):
        part = points.loc[points["pos_class"] == name]
        if part.empty:
            continue
        color = style.colors()[index]
        few = len(part) < 300
        ax.plot(
            part["count"],
            part[measure],
            linestyle="none",
            marker="os"[index],
            markersize=style.marker_size if few else style.marker_size / crowd**0.3,
            markerfacecolor=color,
            markeredgecolor="white" if few else "none",
            markeredgewidth=0.3,
            alpha=0.9 if few else 0.9 / crowd**0.35,
            label=f"{name} class (n = {len(part):,})",
            rasterized=len(part) > 2000,
            gid=name,
        )
    for index, name in enumerate(CLASSES):
        line = trends.loc[trends["pos_class"] == name]
        if len(line):
            dark = tuple(0.6 * channel for channel in style.colors()[index][:3])
            ax.plot(line["count"], line[measure], color=dark, linestyle=["-", "--"][index], gid=f"trend {name}")
    ax.set_xscale("log")
    ax.set_xlabel("training occurrences of the target word")
    turn = " " if measure == "chi" else "\n"  # other names are longer
    ax.set_ylabel(
        f"mean {write_measure(measure, tensor)}{turn}after epoch {table['epoch'].iloc[0]}{label_seeds(table)}"
    )
    handles, names = ax.get_legend_handles_labels()
    if len(trends):
        handles, names = [*handles, Line2D([], [], color="0.2")], [*names, "least squares on log count"]
    for entry in figure.legend(handles, names, loc="outside lower center", ncols=2).legend_handles:
        entry.set(alpha=1, markersize=style.marker_size)  # type: ignore[union-attr]
    return figure
