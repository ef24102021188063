"""When words are acquired, whether sparsity leads or lags, and what of ρ←(∇h_L) surprisal and norms account for."""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MultipleLocator, NullLocator

from natural_sparsity.analysis.acquisition import CURVES, GIVEN, Products, read_products
from natural_sparsity.analysis.products import SEEN, average_over_seeds
from natural_sparsity.analysis.statistics import percentile_interval, resampling_weights
from natural_sparsity.figures.arguments import STATISTICS, add_unit
from natural_sparsity.figures.style import (
    ARROWS,
    BAND,
    DASHED,
    GREY,
    MARKERS,
    Style,
    make_band_handle,
    name_band,
    spread_out,
    write_measure,
    write_symbol,
)
from natural_sparsity.figures.tokens import choose_ticks, place_tokens, set_token_axis, write_count

SUMMARY = "age of acquisition by frequency, lead or lag of sparsity, and partial correlations, against tokens seen"
SIZE = (6.9, 5.2)
CLASSES = ("open", "closed")
# The least training count of each band of words, and the fewest words of a band that is drawn.
BANDS = (1, 10, 100, 1000, 10_000)
FEWEST = 5
# How the lines of partial correlations are named.
NAMES = {"": "alone", "surprisal": "given surprisal", "log l2": "given norm", "surprisal, log l2": "given both"}
# The kinds of rows in the table; of the words without an age there is only their number.
SURPRISAL, WORD, UNDATED, PARTIAL = "surprisal", "word", "undated", "partial"
STATISTIC = "pearson_log"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    for name in ("acquisition", "partials"):
        parser.add_argument(f"--{name}", type=Path, metavar="A", nargs="+", required=True, help="one file per seed")
    add_unit(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """What is drawn, and the figure."""
    products = read_products(args.acquisition, args.partials)
    table = pd.concat([average_bands(products), average_words(products), select_partials(products)], ignore_index=True)
    interval = f"{100 * products.about['statistics']['level']:g} % bootstrap interval"
    return table, plot(table, style, products.about, args.unit, interval)


def average_bands(products: Products) -> pd.DataFrame:
    """The mean surprisal of the words in each band of frequency, by checkpoint, with interval or spread over seeds."""
    statistics = products.about["statistics"]
    frames = []
    for seed, words in products.words.items():
        curves = np.array(words["surprisal_curve"].tolist())
        band = np.searchsorted(BANDS, words["count"], side="right") - 1
        whole = ~np.isnan(curves).any(1)
        for i, least in enumerate(BANDS):
            mine = curves[whole & (band == i)]
            if len(mine) < FEWEST:
                continue
            weights = resampling_weights(len(mine), statistics["resamples"], (statistics["seed"], i))
            means = weights @ mine / len(mine)
            low, high = percentile_interval(means[1:], statistics["level"])
            time = pd.DataFrame(products.about["course"])
            frames.append(time.assign(seed=seed, band=least, value=means[0], low=low, high=high, n=len(mine)))
    if not frames:
        return pd.DataFrame()
    return average_over_seeds(pd.concat(frames), ["band", *SEEN.values()]).assign(kind=SURPRISAL)


def average_words(products: Products) -> pd.DataFrame:
    """A row per word: ``id, word, count, pos_class, age`` and the lag of each curve; NaN where a seed has none.

    Several seeds: the geometric mean of ages, the mean of lags. The last row: ``n``, how many words have no age.
    """
    lags = [f"{curve}_lag" for curve in CURVES]
    frames = [words[["age", *lags]].assign(age=np.log2(words["age"])) for words in products.words.values()]
    mean = sum(frames[1:], frames[0]) / len(frames)
    first = next(iter(products.words.values()))
    about = first[["id", "word", "count", "pos_class"]].assign(**mean)
    undated = pd.DataFrame({"kind": [UNDATED], "n": [int(about["age"].isna().sum())]})
    return pd.concat([about.assign(age=np.exp2(about["age"]), kind=WORD).dropna(subset="age"), undated])


def select_partials(products: Products) -> pd.DataFrame:
    """ρ←(∇h_L) with log frequency, alone and given surprisal, the norm, or both, by checkpoint."""
    seeds = pd.concat([frame.assign(seed=seed) for seed, frame in products.partials.items()])
    chosen = (seeds["tensor"] == products.about["tensor"]) & (seeds["role"] == "target")
    chosen &= (seeds["statistic"] == STATISTIC) & seeds["value"].notna()
    return average_over_seeds(seeds[chosen], ["given", "tensor", *SEEN.values()]).assign(kind=PARTIAL)


def plot(table: pd.DataFrame, style: Style, about: dict[str, Any], unit: str, interval: str) -> Figure:
    """Four panels: surprisal by frequency, age by frequency, lead or lag, partial correlations."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    surprisal, age, lag, partial = figure.subplots(2, 2).ravel()
    parts = {kind: table[table["kind"] == kind] for kind in (SURPRISAL, WORD, PARTIAL)}
    course = [time["tokens"] for time in about["course"]]
    measure = write_measure(about["measure"], about["tensor"])
    several = "sd" in table
    draw_surprisal(surprisal, parts[SURPRISAL], style, course, unit)
    draw_ages(age, parts[WORD], int(table.loc[table["kind"] == UNDATED, "n"].iloc[0]), style, unit)
    draw_lags(lag, parts[WORD], style, measure, unit)
    draw_partials(partial, parts[PARTIAL], style, course, about)
    for letter, ax in zip("abcd", (surprisal, age, lag, partial), strict=True):
        ax.set_title(f"({letter})", loc="left", fontweight="bold", pad=3, x=-0.16)
    name = name_band(table, interval)
    if several:
        name += "; ages and lags: mean over seeds"
    figure.legend([make_band_handle()], [f"bands: {name}"], loc="outside lower right")
    return figure


def draw_lines(ax: Axes, part: pd.DataFrame, course: list[int], color: Any, **look: Any) -> None:
    """A line over tokens seen, with its band."""
    x = place_tokens(part["tokens"].astype(int).tolist(), course)
    ax.fill_between(x, part["low"], part["high"], color=color, alpha=0.18, linewidth=0, gid=BAND)
    ax.plot(x, part["value"], color=color, **look)


def say(ax: Axes, text: str) -> None:
    """Write in a panel why it is empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", style="italic", color="0.2")
    ax.set(xticks=[], yticks=[])


def draw_surprisal(ax: Axes, points: pd.DataFrame, style: Style, course: list[int], unit: str) -> None:
    """The mean surprisal of each band of frequency."""
    if points.empty:
        say(ax, f"no band has {FEWEST} {unit}s")
        return
    bands = sorted(points["band"].astype(int).unique())
    ramp = mpl.colormaps[style.colormap]
    ends = []
    for i, band in enumerate(bands):
        color = ramp(0.85 - 0.8 * i / max(1, len(bands) - 1))
        part = points[points["band"] == band]
        above = [other for other in BANDS if other > band]
        size = f"{band:,} to {above[0] - 1:,} ×" if above else f"{band:,} × or more"
        draw_lines(ax, part, course, color, marker=MARKERS[i % len(MARKERS)], markersize=0.7 * style.marker_size)
        last = part.sort_values("tokens")["value"].iloc[-1]
        ends.append((f"{size}\n(n = {int(part['n'].iloc[0]):,})", color, last))
    set_token_axis(ax, course, 5)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("mean surprisal (nats)")
    # Each band at the end of its line, moved apart where they would overlap.
    note: dict[str, Any] = {"transform": ax.transAxes, "fontsize": 0.8 * style.font_size}
    ax.text(1.01, 1.01, f"{unit}s that occur", color="0.3", va="bottom", **note)
    top = ax.get_ylim()[1]
    for (name, color, _), place in zip(
        ends, spread_out([last / top for *_, last in ends], 0.17, 0.05, 0.9), strict=True
    ):
        ax.text(1.01, place, name, va="center", color=color, **note)


def draw_ages(ax: Axes, known: pd.DataFrame, undated: int, style: Style, unit: str) -> None:
    """Age of acquisition against frequency; words of neither class in grey, below the others.

    The legend also says how many words are ``undated``, and so not drawn.
    """
    if known.empty:
        say(ax, f"no {unit} was acquired")
        return
    size = style.marker_size / np.clip(len(known) / 300, 1, 20) ** 0.3
    groups = [(name, known["pos_class"] == name) for name in CLASSES]
    others = ~known["pos_class"].isin(CLASSES)
    for name, mask, color, marker in [
        ("no class", others, GREY, "."),
        *((f"{name} class", mask, style.colors()[i], "os"[i]) for i, (name, mask) in enumerate(groups)),
    ]:
        part = known[mask]
        if part.empty:
            continue
        ax.plot(
            part["count"], part["age"], linestyle="none", marker=marker, markersize=size, markerfacecolor=color,
            markeredgecolor="none", alpha=0.6, label=f"{name} (n = {len(part):,})", rasterized=len(part) > 2000,
            gid=f"age {name}",
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis, values in ((ax.xaxis, known["count"]), (ax.yaxis, known["age"])):
        axis.set_major_locator(FixedLocator(choose_ticks(float(values.min()), float(values.max()), 6)))
        axis.set_major_formatter(lambda value, _: write_count(value))
        axis.set_minor_locator(NullLocator())
    ax.set_xlabel(f"training occurrences of the {unit}")
    ax.set_ylabel("age of acquisition (tokens)")
    ax.plot([], [], linestyle="none", label=f"no age (n = {undated:,})")
    look = {"fontsize": 0.8 * style.font_size, "handlelength": 1, "columnspacing": 1}
    legend = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, **look)
    for entry in legend.legend_handles:
        entry.set(alpha=1, markersize=style.marker_size)  # type: ignore[union-attr]


def draw_lags(ax: Axes, words: pd.DataFrame, style: Style, measure: str, unit: str) -> None:
    """How many words' measure leads or lags surprisal, and by how much, as it is and minus its mean over words."""
    names = dict(zip(CURVES, (measure, f"{measure} minus its\nmean over {unit}s"), strict=True))
    lags = {name: words[f"{curve}_lag"].dropna() for curve, name in names.items()}
    everything = pd.concat(lags.values())
    if everything.empty:
        say(ax, f"no {unit} has both dates")
        return
    edges = np.arange(np.floor(2 * everything.min()), np.ceil(2 * everything.max()) + 1) / 2
    for i, (name, lag) in enumerate(lags.items()):
        color = style.colors()[i]
        look: dict[str, Any] = {"edgecolor": color, "facecolor": (*color[:3], 0.15 + 0.35 * i)}
        ax.hist(
            lag,
            edges.tolist(),
            histtype="stepfilled",
            linewidth=0.8,
            **look,
            label=f"{name}\n(n = {len(lag):,}; line: median)",
        )
        if len(lag):
            ax.axvline(float(lag.median()), color=color, linewidth=1, linestyle=[DASHED, "-"][i], gid=f"median {i}")
    ax.axvline(0, color="0.3", linewidth=0.6, zorder=0.5)
    ax.xaxis.set_major_locator(MultipleLocator(max(1, round(np.ptp(edges) / 6))))
    ax.xaxis.set_major_formatter(lambda value, _: f"{2**value:g}" if value >= 0 else f"1/{2**-value:g}")
    ax.set_xlabel("age of half the change ÷ age of acquisition\n(left: the change leads; right: it lags)")
    ax.set_ylabel(f"{unit}s")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=0.8 * style.font_size)


def draw_partials(ax: Axes, points: pd.DataFrame, style: Style, course: list[int], about: dict[str, Any]) -> None:
    """ρ←(∇h_L) alone, and what is left of it given surprisal, the norm, or both."""
    if points.empty:
        say(ax, "no correlation at any checkpoint")
        return
    ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
    for i, given in enumerate(GIVEN):
        part = points[points["given"] == given]
        look = {"linestyle": DASHED if given else "-", "marker": MARKERS[i], "markersize": 0.7 * style.marker_size}
        draw_lines(ax, part, course, style.colors()[i], label=NAMES[given], gid=f"partial {given}", **look)
    set_token_axis(ax, course, 5)
    symbol = f"{ARROWS['target']}$({write_symbol(about['tensor'])})$"
    ax.set_ylabel(f"{symbol}\n({STATISTICS[STATISTIC]})")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
