"""Runs side by side: data, models, seeds, conditions and measures, a row for each; and their claims over seeds."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import GROUP, NORMS, Origin, check_chain, find_origin, read_origin
from natural_sparsity.analysis.rules import (
    ALSO,
    CONDITION,
    PREMISE,
    STATES,
    VERDICTS,
    YES,
    format_interval,
    name_verdict,
)
from natural_sparsity.analysis.statistics import exponentiate
from natural_sparsity.analysis.tensors import GRADIENT, find_top, list_layers, write_tensor
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from, check_run
from natural_sparsity.tables.writer import Grid, Table

NAMES = [*Origin._fields, "condition", "measure"]
SIZES = ["layers", "types", "train_tokens", "epochs", "train_perplexity", "dev_perplexity"]
# ρ← over all words; L is the top layer. Its gradient is shown for the first and the last epoch, so that a change is
# visible.
SHOWN = ["grad_h_L_first", "grad_h_L_last", "h_L_last", "grad_x_last"]
NOTE = (
    "ρ←: Pearson's correlation over all target words of their mean measure with their training frequency, after the"
    " first epoch or the last, with its bootstrap interval. Claims are about χ; the numbers are those reproduced / not"
    " reproduced / undecided / not testable; and of the reproduced, those also untrained / also without language /"
    " undecided without language."
)
CAPTION = (
    "**Claims over seeds.** How many seeds have which verdict; then the verdict on the intervals over seeds, with the"
    " value that decides it; the table of verdicts has the others. A run with one seed is one draw."
)
INTERVAL = ["value", "low", "high", "above", "below"]
# What claims and correlations of the same probes have in common.
SOURCES = ("checkpoints", "words", "vocabulary", "tokens", "probe")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    one_each = "one for each of --correlations, in their order"
    parser.add_argument("--correlations", type=Path, nargs="+", required=True, help="Parquet, per run and condition")
    parser.add_argument("--claims", type=Path, nargs="+", required=True, help=f"Parquet, {one_each}")
    help_text = "Parquet, one for each data, model and condition of --claims"
    parser.add_argument("--verdicts", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help=f"last state.json, {one_each}")
    parser.add_argument("--summaries", type=Path, nargs="+", required=True, help=f"the data's summary.json, {one_each}")


def tabulate(args: argparse.Namespace) -> Table:
    """The table of all runs, its grid, and one with a row per claim and a column per run.

    Raises:
        UserError: not as many files of one kind as of another, a run is given twice, or files do not belong together.
    """
    given = [args.correlations, args.claims, args.checkpoints, args.summaries]
    if len(set(map(len, given))) > 1:
        raise UserError(f"{', '.join(str(len(paths)) for paths in given)} files; give as many of each kind")
    rows = pd.concat([describe(*paths) for paths in zip(*given, strict=True)], ignore_index=True)
    if rows.duplicated(NAMES).any():
        raise UserError(f"{'/'.join(map(str, rows.loc[rows.duplicated(NAMES), NAMES].iloc[0]))} is given twice")
    return Table(rows, [lay_out(rows), compare_claims(read_verdicts(args))], note=NOTE)


def describe(correlations: Path, claims: Path, checkpoint: Path, summary: Path) -> pd.DataFrame:
    """The rows of one run under one condition, one per measure.

    Columns: :data:`NAMES`, :data:`SIZES`, for each of :data:`SHOWN` Pearson's ρ← with the ends of its bootstrap
    interval (``_low``, ``_high``), how many claims have each of the verdicts, and how many of those reproduced are each
    of :data:`ALSO`: claims are about χ, so that these are empty for other measures.

    Raises:
        UserError: a file is invalid, the claims or the checkpoint belong to other correlations, or the checkpoint is
            not that of their last epoch.
    """
    origin, metadata = read_origin(correlations, ["condition", *SOURCES], "correlate")
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
    verdicts = count_verdicts(claims, correlations, metadata)
    losses = [float(exponentiate(state[f"{split}_loss"])) for split in ("train", "dev")]
    numbers = [len(list_layers(frame["tensor"])), sizes["vocabulary"], sizes["train_tokens"], last, *losses]
    first = frame.loc[frame["epoch"] > 0, "epoch"].min()  # epoch 0 is the untrained model
    places = [(GRADIENT + top, first), (GRADIENT + top, last), (top, last), ("grad_x", last)]
    rows = []
    for measure in dict.fromkeys(frame["measure"]):
        if measure in NORMS:
            continue
        row = dict(zip([*NAMES, *SIZES], [*origin, metadata["condition"], measure, *numbers], strict=True))
        for name, place in zip(SHOWN, places, strict=True):
            key = (measure, *place)
            for suffix, column in (("", "value"), ("_low", "low"), ("_high", "high")):
                row[name + suffix] = chosen.loc[key, column].item() if key in chosen.index else math.nan
        rows.append(row | (verdicts if measure == "chi" else dict.fromkeys(verdicts)))
    return pd.DataFrame(rows).astype(dict.fromkeys(verdicts, "Int64"))


def count_verdicts(path: Path, correlations: Path, metadata: Mapping[str, Any]) -> dict[str, int]:
    """How many claims of a claims table have each verdict, and how many are reproduced with each of :data:`ALSO`.

    Raises:
        UserError: the file is no claims table, or is of other probes than the ``correlations`` with ``metadata``.
    """
    rows = files.read_parquet(path, ["claim", "verdict", "also"]).drop_duplicates("claim")
    _, about = read_origin(path, ["condition", *SOURCES], "tabulate claims")
    check_run(path, about, {key: metadata[key] for key in (*Origin._fields, "condition")})
    for key in SOURCES:
        check_made_from(path, about, key, correlations, metadata[key])
    counts = rows["verdict"].value_counts(), rows["also"].value_counts()
    return {name: int(counts[i].get(name, 0)) for i, names in enumerate((VERDICTS, ALSO)) for name in names}


def read_verdicts(args: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """The claims over seeds of each run and condition, by its name, in the order of ``--verdicts``.

    Raises:
        UserError: two files are of the same, or they are not made of the ``--claims``.
    """
    digests: dict[str, set[str]] = {}
    for path in args.claims:
        origin, metadata = read_origin(path, ["condition"], "tabulate claims")
        run = f"{origin.data}/{origin.model}, {metadata['condition']}"
        digests.setdefault(run, set()).add(files.read_digest(path))
    frames: dict[str, pd.DataFrame] = {}
    columns = ["claim", "verdict", "also", "seeds", *VERDICTS, "seeds_also"]
    columns += ["shown", "quantifier", "holds", "evidence", *INTERVAL]
    for path in args.verdicts:
        metadata = files.read_metadata(path)
        if missing := [key for key in (*GROUP, "claims") if key not in metadata]:
            raise UserError(f"{path}: its metadata has no {missing[0]!r}; give a file that 'tabulate verdicts' wrote")
        run = f"{metadata['data']}/{metadata['model']}, {metadata['condition']}"
        if run in frames:
            raise UserError(f"{path}: a second file of {run}; give one for each data, model and condition")
        if set(metadata["claims"].values()) != digests.get(run):
            raise UserError(f"{path}: not made of the --claims of {run}; give just those that it was made of")
        frames[run] = files.read_parquet(path, columns)
    if missing := [run for run in digests if run not in frames]:
        raise UserError(f"--verdicts: none of {missing[0]}; give one for each data, model and condition of --claims")
    return frames


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
        for names in (VERDICTS, ALSO):
            cells.append("" if pd.isna(row[names[0]]) else " / ".join(str(row[name]) for name in names))
        lines.append(cells)
    return Grid([*heads, "claims", "of the reproduced"], lines)


def compare_claims(verdicts: Mapping[str, pd.DataFrame]) -> Grid:
    """A row per claim, a column per run and condition."""
    claims = dict.fromkeys(claim for frame in verdicts.values() for claim in frame["claim"])
    by_claim = [dict(list(frame.groupby("claim", sort=False))) for frame in verdicts.values()]
    lines = [[claim, *(write_verdict(of.get(claim)) for of in by_claim)] for claim in claims]
    return Grid(["claim", *verdicts], lines, CAPTION)


def write_verdict(rows: pd.DataFrame | None) -> str:
    """What became of a claim in the seeds of a run, and over them; nothing for a claim that was not judged."""
    if rows is None:
        return ""
    first = rows.iloc[0]
    counts = [f"{first[verdict]} {verdict}" for verdict in VERDICTS if first[verdict]]
    text = ", ".join(counts).removesuffix(" here") + (f" ({first['seeds_also']})" if first["seeds_also"] else "")
    if first["seeds"] == 1:
        return text.removeprefix("1 ")
    if not first["verdict"]:
        return text
    value = choose_value(rows[rows["shown"].fillna(False).astype(bool)])
    over = f"{text}; over {first['seeds']} seeds **{name_verdict(first['verdict'], first['also'])}**"
    return f"{over}, {value['evidence']} = {format_interval(*value[INTERVAL])}"


def choose_value(rows: pd.DataFrame) -> pd.Series:
    """The value that decides a verdict: a premise that does not hold, else one that fails, is open, or holds.

    Of several, it is an effect that is claimed, rather than a condition.
    """
    missing = rows[(rows["quantifier"] == PREMISE) & (rows["holds"] != YES)]
    rows = rows[rows["quantifier"] != PREMISE] if missing.empty else missing
    states = rows["holds"].map(STATES.index)
    worst = rows[states == states.min()]
    effects = worst[worst["quantifier"] != CONDITION]
    return (worst if effects.empty else effects).iloc[0]
