"""Tables for a terminal: read finished ones, with neither Arrow nor pandas, which are slow to start; align cells."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from natural_sparsity.errors import UserError


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def count_verdicts(path: Path, verdicts: Sequence[str]) -> Counter[str]:
    """How many claims of a table of verdicts have each: over seeds, or of the one seed that there is.

    Raises:
        UserError: it is no such table, or was cut.
    """
    counts: Counter[str] = Counter()
    try:
        rows = read_rows(path)
        if not rows or any(None in row.values() for row in rows):
            raise ValueError("cut")
        for row in {row["claim"]: row for row in reversed(rows)}.values():
            alone = [verdict for verdict in verdicts if row["seeds"] == "1" and row[verdict] == "1"]
            counts[row["verdict"] or (alone or verdicts[-1:])[0]] += 1
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise UserError(f"{path}: not a whole table of verdicts; delete it and run again") from error
    return counts


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells as columns of equal width, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
