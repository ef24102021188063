"""``natural-sparsity tabulate TABLE``: from the workflow's products to STEM.parquet, .csv, .md and .html."""

import argparse

from natural_sparsity import registry
from natural_sparsity.subcommands import add_subcommands
from natural_sparsity.tables import writer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a subcommand for each table, with the inputs of that table."""
    for subparser in add_subcommands(parser, "table", registry.TABLES):
        subparser.add_argument("--title", required=True, help="the heading of the table and the title of its page")
        subparser.add_argument("--output", required=True, metavar="STEM", help="out: STEM.parquet, .csv, .md, .html")


def run(args: argparse.Namespace) -> None:
    """Write the table asked for.

    Raises:
        UserError: an input is not what it should be.
    """
    module = registry.load(registry.TABLES[args.table])
    writer.write(module.tabulate(args), args.title, args.output)
