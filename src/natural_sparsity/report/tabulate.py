"""A table of results as a page that a browser shows, for the report."""

import argparse
from pathlib import Path

import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.report.html import page, table

CLASSES = {"reproduced": "good", "not reproduced": "bad", "not testable here": "soft", "yes": "good", "no": "bad"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--csv", type=Path, required=True, help="the table")
    parser.add_argument("--title", required=True, help="what the page is called")
    parser.add_argument("--output", type=Path, required=True, help="out: HTML")


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    try:
        frame = pd.read_csv(args.csv).dropna(axis="columns", how="all")
    except (OSError, ValueError) as error:
        raise UserError(f"{args.csv}: not a readable CSV ({error}); delete it and run again") from error
    body = table(frame.columns.tolist(), frame.astype(object).to_numpy().tolist(), CLASSES)
    with files.atomic(args.output) as path:
        path.write_text(page(args.title, body), encoding="utf-8")
