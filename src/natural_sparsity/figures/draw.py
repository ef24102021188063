"""``natural-sparsity draw FIGURE``: from the workflow's products to STEM.csv, STEM.pdf and STEM.png."""

import argparse

from natural_sparsity import registry
from natural_sparsity.figures.style import Style, save
from natural_sparsity.subcommands import add_subcommands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a subcommand for each figure, with the inputs and options of that figure."""
    for subparser in add_subcommands(parser, "figure", registry.FIGURES):
        subparser.add_argument("--output", required=True, metavar="STEM", help="out: STEM.csv, STEM.pdf, STEM.png")
        defaults = Style().model_dump_json()
        subparser.add_argument(
            "--style", metavar="JSON", help=f"object; inches, points, dots per inch; default {defaults}"
        )


def run(args: argparse.Namespace) -> None:
    """Draw the figure asked for.

    Raises:
        UserError: an input is not what it should be, or nothing is left to draw.
    """
    style = Style.parse(args.style)
    with style.apply():
        table, figure = registry.load(registry.FIGURES[args.figure]).draw(args, style)
        save(figure, table, args.output)
