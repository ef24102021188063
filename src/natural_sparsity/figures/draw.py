"""``natural-sparsity draw FIGURE``: from the workflow's products to STEM.csv, STEM.pdf and STEM.png."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.corpus.vocabulary import UNITS
from natural_sparsity.figures import (
    architecture,
    chi,
    claims,
    comparison,
    fig2,
    fig3,
    fig4,
    fig5,
    lottery,
    natural,
    overlap,
    structure,
    training,
)
from natural_sparsity.figures.inputs import (
    drops,
    over_seeds,
    read_checkpoints,
    read_correlations,
    read_probes,
    read_words,
)
from natural_sparsity.figures.style import Style, save

INPUTS = {
    "probes": ("P", "+", "probe Parquet, one file a seed and epoch"),
    "words": ("W", None, "words Parquet"),
    "correlations": ("C", "+", "correlations Parquet, one file a seed"),
    "checkpoints": ("J", "+", "checkpoint JSON, one file a seed and epoch"),
    "claims": ("T", "+", "claims CSV, one file a seed"),
    "lottery": ("L", None, "CSV of the lottery-ticket table"),
    "overlap": ("L", None, "CSV of the units' table"),
    "structures": ("J", "+", "structure JSON, one file a run"),
    "runs": ("R", "+", "the runs' names"),
    "parameters": ("P", "+", "checkpoint safetensors, one file a run"),
    "states": ("J", "+", "checkpoint JSON, one file a run"),
}
Drawn = tuple[pd.DataFrame, Figure]


def draw_chi(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.chi`."""
    table = chi.table()
    return table, chi.draw(table, style)


def draw_architecture(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.architecture`."""
    table = architecture.table()
    return table, architecture.draw(table, style)


def draw_training(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.training`."""
    table = training.table(read_checkpoints(args.checkpoints))
    return table, training.draw(table, style)


def draw_claims(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.claims`."""
    table = claims.table(args.claims)
    return table, claims.draw(table, style, args.unit)


def draw_lottery(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.lottery`."""
    table = lottery.table(args.lottery)
    return table, lottery.draw(table, style)


def draw_structure(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.structure`."""
    table = structure.table(args.structures, args.runs)
    return table, structure.draw(table, style)


def draw_connectivity(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.connectivity`."""
    from natural_sparsity.figures import connectivity  # which loads torch: no other figure needs it

    table = connectivity.table(
        [Path(path) for path in args.parameters], [Path(path) for path in args.states], args.runs
    )
    return table, connectivity.draw(table, style)


def draw_network(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.network`."""
    from natural_sparsity.figures import network  # which loads torch

    table = network.table([Path(path) for path in args.parameters], [Path(path) for path in args.states], args.runs)
    return table, network.draw(table, style)


def draw_comparison(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.comparison`."""
    table = comparison.table(args.correlations, args.measure, args.statistic)
    return table, comparison.draw(table, style, args.measure, fig3.STATISTICS[args.statistic], args.unit)


def draw_natural(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.natural`."""
    table = natural.table(args.correlations, args.checkpoints, args.measure, args.statistic)
    return table, natural.draw(table, style, args.measure, fig3.STATISTICS[args.statistic], args.unit)


def draw_overlap(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.overlap`."""
    table = overlap.table(args.overlap)
    return table, overlap.draw(table, style)


def draw_fig2(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.fig2`."""
    probes = over_seeds(read_probes(args.probes, "target", "grad_h_2", args.measure), ["epoch", "id"])
    table = fig2.table(probes, read_words(args.words), args.min_count, args.measure)
    return table, fig2.draw(table, style, args.measure, args.unit)


def draw_fig5(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.fig5`."""
    probes = over_seeds(read_probes(args.probes, "target", "grad_h_2", args.measure), ["epoch", "id"])
    table = fig5.table(probes, read_words(args.words), args.min_count, args.measure)
    return table, fig5.draw(table, style, args.measure)


def draw_fig3(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.fig3`."""
    # No intervals unless asked for: eight bands would hide each other.
    correlations, dropped = correlations_and_drops(args, bool(style.intervals))
    table = fig3.table(correlations, dropped, {"fig3a": "target", "fig3b": "input"}[args.figure])
    return table, fig3.draw(table, style, args.measure, args.statistic, args.unit)


def draw_fig4(args: argparse.Namespace, style: Style) -> Drawn:
    """:mod:`natural_sparsity.figures.fig4`."""
    correlations, dropped = correlations_and_drops(args, style.intervals is not False)
    table = fig4.table(correlations, dropped, read_words(args.words) if args.words else None)
    return table, fig4.draw(table, style, args.measure, args.statistic)


def correlations_and_drops(args: argparse.Namespace, intervals: bool) -> tuple[pd.DataFrame, list[int]]:
    """The correlations over seeds, with bootstrap ``intervals`` or without, and after which epochs the rate dropped."""
    correlations = read_correlations(args.correlations, args.measure, args.statistic)
    dropped = drops(read_checkpoints(args.checkpoints or []), correlations["epoch"])
    correlations = over_seeds(correlations, ["epoch", "role", "tensor", "words"])
    if "sd" not in correlations and not intervals:
        correlations = correlations.drop(columns=["low", "high"])
    return correlations, dropped


class Kind(NamedTuple):
    """A figure: what it shows, what draws it, the inputs that it needs and may have, its threshold of the paper's."""

    summary: str
    draw: Callable[[argparse.Namespace, Style], Drawn]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    min_count: int | None = None


BY_EPOCH = ("correlations", "checkpoints")
BY_WORD = ("probes", "words")
FIGURES = {
    "architecture": Kind("the model with its activations and gradients, figure 1 (no data)", draw_architecture),
    "chi": Kind("what chi measures, in two dimensions (no data)", draw_chi),
    "training": Kind("losses, perplexity and learning rate by epoch", draw_training, ("checkpoints",)),
    "fig2": Kind("heat map of mean chi(grad_h_2) by epoch and target word", draw_fig2, BY_WORD, (), 100_000),
    "fig3a": Kind("correlation of chi with target-word frequency by epoch, all tensors", draw_fig3, BY_EPOCH),
    "fig3b": Kind("correlation of chi with input-word frequency by epoch, all tensors", draw_fig3, BY_EPOCH),
    "fig4": Kind(
        "correlation of chi(grad_h_2) with frequency by epoch, open and closed classes",
        draw_fig4,
        ("correlations",),
        ("checkpoints", "words"),
    ),
    "fig5": Kind("mean chi(grad_h_2) after the last epoch against frequency, by class", draw_fig5, BY_WORD, (), 1_000),
    "claims": Kind("the paper's statements: values, intervals and verdicts", draw_claims, ("claims",)),
    "comparison": Kind("correlation at the top layer by epoch, a panel a run", draw_comparison, ("correlations",)),
    "structure": Kind("which gates of which neurons read, a panel a layer", draw_structure, ("structures", "runs")),
    "natural": Kind("correlations by epoch of sparsified models beside the dense one's", draw_natural, BY_EPOCH),
    "overlap": Kind("do the units that carry the concentration keep their weights", draw_overlap, ("overlap",)),
    "connectivity": Kind(
        "distances in the space of the units that kept weights join",
        draw_connectivity,
        ("parameters", "states", "runs"),
    ),
    "network": Kind(
        "the strongest recurrent weights as lines in the space", draw_network, ("parameters", "states", "runs")
    ),
    "lottery": Kind("held-out perplexity of pruned models by density, with controls", draw_lottery, ("lottery",)),
}


# Those that say what the vocabulary's entries are. Classes are of words alone.
OF_UNITS = ("fig2", "fig3a", "fig3b", "claims", "comparison", "natural")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A subcommand for each figure, with that figure's inputs and parameters."""
    subparsers = parser.add_subparsers(dest="figure", metavar="FIGURE", required=True)
    for figure, kind in FIGURES.items():
        sub = subparsers.add_parser(figure, help=kind.summary, description=kind.summary)
        for name, (metavar, nargs, text) in INPUTS.items():
            if name in kind.required + kind.optional:
                sub.add_argument(f"--{name}", metavar=metavar, nargs=nargs, required=name in kind.required, help=text)
        if kind.min_count:
            sub.add_argument(
                "--min-count",
                type=int,
                metavar="N",
                default=kind.min_count,
                help="draw words with more than N training occurrences (default %(default)s, the paper's)",
            )
        if {"correlations", "probes"} & set(kind.required):
            sub.add_argument("--measure", default="chi", help="sparsity measure (default %(default)s)")
        if "correlations" in kind.required:
            sub.add_argument(
                "--statistic", choices=list(fig3.STATISTICS), default="pearson", help="default %(default)s"
            )
        if figure in OF_UNITS:
            sub.add_argument(
                "--unit", choices=UNITS, default="word", help="what the corpus's tokens are (default %(default)s)"
            )
        sub.add_argument("--output", required=True, metavar="STEM", help="STEM.pdf, STEM.png and STEM.csv are written")
        defaults = json.dumps(asdict(Style()))
        sub.add_argument("--style", metavar="JSON", help=f"object; inches, points and dots an inch; default {defaults}")


def run(args: argparse.Namespace) -> None:
    """Draw the figure asked for.

    Raises:
        UserError: an input is not what it should be, or nothing is left to draw.
    """
    style = Style.parse(args.style)
    with style.applied():
        table, figure = FIGURES[args.figure].draw(args, style)
        save(figure, table, args.output)
