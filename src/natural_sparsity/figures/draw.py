"""``natural-sparsity draw FIGURE``: from the workflow's products to STEM.csv, STEM.pdf and STEM.png."""

import argparse
import json
from dataclasses import asdict

from natural_sparsity.figures import chi, claims, comparison, fig2, fig3, fig4, fig5, lottery, training
from natural_sparsity.figures.inputs import (
    drops,
    over_seeds,
    read_checkpoints,
    read_correlations,
    read_probes,
    read_words,
)
from natural_sparsity.figures.style import Style, save

FIGURES = {
    "chi": "what chi measures, in two dimensions (no data)",
    "fig2": "heat map of mean chi(grad_h_2) by epoch and target word",
    "fig3a": "correlation of chi with target-word frequency by epoch, all tensors",
    "fig3b": "correlation of chi with input-word frequency by epoch, all tensors",
    "fig4": "correlation of chi(grad_h_2) with frequency by epoch, open and closed classes",
    "fig5": "mean chi(grad_h_2) after the last epoch against frequency, by class",
    "training": "losses, perplexity and learning rate by epoch",
    "claims": "the paper's statements: values, intervals and verdicts",
    "lottery": "held-out perplexity of pruned models by density, with controls",
    "comparison": "correlation at the top layer with target-word frequency by epoch, a panel a run",
}
ROLES = {"fig3a": "target", "fig3b": "input"}
INPUTS = {
    "probes": ("P", "+", "probe Parquet, one file a seed and epoch"),
    "words": ("W", None, "words Parquet"),
    "correlations": ("C", "+", "correlations Parquet, one file a seed"),
    "checkpoints": ("J", "+", "checkpoint JSON, one file a seed and epoch"),
    "claims": ("T", "+", "claims CSV, one file a seed"),
    "lottery": ("L", None, "CSV of the lottery-ticket table"),
}
REQUIRED = {
    "chi": (),
    "fig2": ("probes", "words"),
    "fig3a": ("correlations", "checkpoints"),
    "fig3b": ("correlations", "checkpoints"),
    "fig4": ("correlations",),
    "fig5": ("probes", "words"),
    "training": ("checkpoints",),
    "claims": ("claims",),
    "lottery": ("lottery",),
    "comparison": ("correlations",),
}
OPTIONAL = {"fig4": ("checkpoints", "words")}
MIN_COUNT = {"fig2": 100_000, "fig5": 1_000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A subcommand for each figure, with that figure's inputs and parameters."""
    subparsers = parser.add_subparsers(dest="figure", metavar="FIGURE", required=True)
    for figure, summary in FIGURES.items():
        sub = subparsers.add_parser(figure, help=summary, description=summary)
        for name, (metavar, nargs, text) in INPUTS.items():
            if name in REQUIRED[figure] + OPTIONAL.get(figure, ()):
                sub.add_argument(
                    f"--{name}", metavar=metavar, nargs=nargs, required=name in REQUIRED[figure], help=text
                )
        if figure in MIN_COUNT:
            sub.add_argument(
                "--min-count",
                type=int,
                metavar="N",
                default=MIN_COUNT[figure],
                help="draw words with more than N training occurrences (default %(default)s, the paper's)",
            )
        if {"correlations", "probes"} & set(REQUIRED[figure]):
            sub.add_argument("--measure", default="chi", help="sparsity measure (default %(default)s)")
        if "correlations" in REQUIRED[figure]:
            sub.add_argument(
                "--statistic", choices=list(fig3.STATISTICS), default="pearson", help="default %(default)s"
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
    figure = args.figure
    with style.applied():
        if figure == "chi":
            table = chi.table()
            drawn = chi.draw(table, style)
        elif figure == "training":
            table = training.table(read_checkpoints(args.checkpoints))
            drawn = training.draw(table, style)
        elif figure == "claims":
            table = claims.table(args.claims)
            drawn = claims.draw(table, style)
        elif figure == "lottery":
            table = lottery.table(args.lottery)
            drawn = lottery.draw(table, style)
        elif figure == "comparison":
            table = comparison.table(args.correlations, args.measure, args.statistic)
            drawn = comparison.draw(table, style, args.measure, fig3.STATISTICS[args.statistic])
        elif figure in MIN_COUNT:
            module = fig2 if figure == "fig2" else fig5
            probes = over_seeds(read_probes(args.probes, "target", "grad_h_2", args.measure), ["epoch", "id"])
            table = module.table(probes, read_words(args.words), args.min_count, args.measure)
            drawn = module.draw(table, style, args.measure)
        else:
            correlations = read_correlations(args.correlations, args.measure, args.statistic)
            dropped = drops(read_checkpoints(args.checkpoints or []), correlations["epoch"])
            correlations = over_seeds(correlations, ["epoch", "role", "tensor", "words"])
            intervals = figure == "fig4" if style.intervals is None else style.intervals
            if "sd" not in correlations and not intervals:
                correlations = correlations.drop(columns=["low", "high"])  # eight bands would hide each other
            if figure in ROLES:
                table = fig3.table(correlations, dropped, ROLES[figure])
                drawn = fig3.draw(table, style, args.measure, args.statistic)
            else:
                table = fig4.table(correlations, dropped, read_words(args.words) if args.words else None)
                drawn = fig4.draw(table, style, args.measure, args.statistic)
        save(drawn, table, args.output)
