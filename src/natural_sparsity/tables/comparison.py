"""Runs side by side: data, models, seeds, conditions and measures, a row for each."""

import argparse
import math
from pathlib import Path

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.claims import VERDICTS
from natural_sparsity.analysis.products import NORMS, Origin, check_chain, find_origin, read_origin
from natural_sparsity.analysis.statistics import exponentiate
from natural_sparsity.analysis.tensors import GRADIENT, find_top, list_layers, write_tensor
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from
from natural_sparsity.tables.writer import Grid, Table

NAMES = [*Origin._fields, "condition", "measure"]
SIZES = ["layers", "types", "train_tokens", "epochs", "train_perplexity", "dev_perplexity"]
# ρ← over all words; L is the top layer. Its gradient is shown for the first and the last epoch, so that a change is
# visible.
SHOWN = ["grad_h_L_first", "grad_h_L_last", "h_L_last", "grad_x_last"]
NOTE = (
    "ρ←: Pearson's correlation over all target words of their mean measure with their training frequency, after the"
    " first epoch or the last, with its bootstrap interval. Claims are about χ."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    one_each = "one for each of --correlations, in their order"
    parser.add_argument("--correlations", type=Path, nargs="+", required=True, help="Parquet, per run and condition")
    parser.add_argument("--claims", type=Path, nargs="+", required=True, help=f"Parquet, {one_each}")
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help=f"last state.json, {one_each}")
    parser.add_argument("--summaries", type=Path, nargs="+", required=True, help=f"the data's summary.json, {one_each}")


def tabulate(args: argparse.Namespace) -> Table:
    """The table of all runs, and its grid.

    Raises:
        UserError: not as many files of one kind as of another, or a run is given twice.
    """
    given = [args.correlations, args.claims, args.checkpoints, args.summaries]
    if len(set(map(len, given))) > 1:
        raise UserError(f"{', '.join(str(len(paths)) for paths in given)} files; give as many of each kind")
    rows = pd.concat([describe(*paths) for paths in zip(*given, strict=True)], ignore_index=True)
    if rows.duplicated(NAMES).any():
        raise UserError(f"{'/'.join(map(str, rows.loc[rows.duplicated(NAMES), NAMES].iloc[0]))} is given twice")
    return Table(rows, [lay_out(rows)], note=NOTE, groups=NAMES[:-1])


def describe(correlations: Path, claims: Path, checkpoint: Path, summary: Path) -> pd.DataFrame:
    """The rows of one run under one condition, one per measure.

    Columns: :data:`NAMES`, :data:`SIZES`, for each of :data:`SHOWN` Pearson's ρ← with the ends of its bootstrap
    interval (``_low``, ``_high``), and how many claims have each of the verdicts: claims are about χ, so that these
    are empty for other measures.

    Raises:
        UserError: a file is invalid, the claims or the checkpoint belong to other correlations, or the checkpoint is
            not that of their last epoch.
    """
    origin, metadata = read_origin(correlations, ["condition"], "correlate")
    columns = ["epoch", "role", "tensor", "measure", "words", "statistic", "value", "low", "high"]
    frame = files.read_parquet(correlations, columns)
    state = files.read_json(checkpoint, [*Origin._fields, "epoch", "train_loss", "dev_loss"])
    sizes = files.read_json(summary, ["vocabulary", "train_tokens", "made_from", "streams"])
    last = int(frame["epoch"].max())
    if (find_origin(state), state["epoch"]) != (origin, last):
        raise UserError(f"{checkpoint}: is not of {origin} and epoch {last}, as {correlations} is")
    chosen = frame.query("role == 'target' and words == 'all' and statistic == 'pearson'").set_index(
        ["measure", "tensor", "epoch"]
    )
    top = find_top(frame["tensor"])
    check_chain([correlations], [checkpoint])
    check_made_from(correlations, metadata, "vocabulary", summary, sizes["made_from"]["vocabulary"])
    if metadata["tokens"] not in sizes["streams"].values():
        raise UserError(f"{summary}: describes other tokens than {correlations} was measured on; delete the older one")
    verdicts = count_verdicts(claims, correlations)
    losses = [float(exponentiate(state[f"{split}_loss"])) for split in ("train", "dev")]
    numbers = [len(list_layers(frame["tensor"])), sizes["vocabulary"], sizes["train_tokens"], last, *losses]
    places = [(GRADIENT + top, frame["epoch"].min()), (GRADIENT + top, last), (top, last), ("grad_x", last)]
    rows = []
    for measure in dict.fromkeys(frame["measure"]):
        if measure in NORMS:
            continue
        row = dict(zip([*NAMES, *SIZES], [*origin, metadata["condition"], measure, *numbers], strict=True))
        for name, place in zip(SHOWN, places, strict=True):
            key = (measure, *place)
            for suffix, column in (("", "value"), ("_low", "low"), ("_high", "high")):
                row[name + suffix] = chosen.loc[key, column].item() if key in chosen.index else math.nan
        rows.append(row | {verdict: verdicts[verdict] if measure == "chi" else None for verdict in VERDICTS})
    return pd.DataFrame(rows).astype(dict.fromkeys(VERDICTS, "Int64"))


def count_verdicts(path: Path, correlations: Path) -> dict[str, int]:
    """How many claims have each verdict in a claims table.

    Raises:
        UserError: the file is no claims table, or was not made from these ``correlations``.
    """
    rows = files.read_parquet(path, ["claim", "verdict"])
    check_made_from(path, files.read_metadata(path), "correlations", correlations, files.read_digest(correlations))
    counts = rows.drop_duplicates("claim")["verdict"].value_counts()
    return {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS}


def lay_out(rows: pd.DataFrame) -> Grid:
    """The table for readers."""
    depths = set(rows["layers"])
    top = write_tensor(f"h_{depths.pop()}") if len(depths) == 1 else "hᴸ"
    heads = ["run", "condition", "measure", "types", "training tokens", "epochs", "perplexity train / dev"]
    heads += [f"ρ←(∇{top}) first", f"ρ←(∇{top}) last", f"ρ←({top}) last", "ρ←(∇x) last"]
    lines = []
    for row in rows.to_dict("records"):
        cells = [f"{row['data']}/{row['model']}, seed {row['seed']}", row["condition"], row["measure"]]
        cells += [f"{row['types']:,}", f"{row['train_tokens']:,}", str(row["epochs"])]
        cells += [f"{row['train_perplexity']:.1f} / {row['dev_perplexity']:.1f}"]
        for name in SHOWN:
            value, low, high = (f"{row[name + end]:z.2f}".replace("-", "−") for end in ("", "_low", "_high"))
            cells.append("none" if math.isnan(row[name]) else f"{value} [{low}, {high}]")
        cells.append("" if pd.isna(row[VERDICTS[0]]) else " / ".join(str(row[verdict]) for verdict in VERDICTS))
        lines.append(cells)
    return Grid([*heads, "claims: reproduced / not / not testable"], lines)
