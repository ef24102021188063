"""Runs side by side: corpora, models, seeds, conditions and measures, a row each."""

import argparse
import math
from pathlib import Path

import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError

# ρ← over all words: of the first epoch and of the last, so that a rise or a fall shows.
SHOWN = {
    "grad_h_2_first": ("grad_h_2", min),
    "grad_h_2_last": ("grad_h_2", max),
    "h_2_last": ("h_2", max),
    "grad_x_last": ("grad_x", max),
}
VERDICTS = ["reproduced", "not reproduced", "not testable here"]
NAMES = ["corpus", "model", "seed", "condition", "measure"]
SIZES = ["types", "train_tokens", "epochs", "train_perplexity", "dev_perplexity"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    one_each = "one for each of --correlations, in their order"
    parser.add_argument("--correlations", type=Path, nargs="+", required=True, help="Parquet, one a run and condition")
    parser.add_argument("--claims", type=Path, nargs="+", required=True, help=f"CSV, {one_each}")
    parser.add_argument(
        "--checkpoints", type=Path, nargs="+", required=True, help=f"JSON of the last epoch, {one_each}"
    )
    parser.add_argument("--summaries", type=Path, nargs="+", required=True, help=f"the corpus's JSON, {one_each}")
    parser.add_argument("--csv", type=Path, required=True, help="out: a row a run, condition and measure")
    parser.add_argument("--markdown", type=Path, required=True, help="out: the same, to be read")


def compared(correlations: Path, claims: Path, checkpoint: Path, summary: Path) -> pd.DataFrame:
    """The rows of one run under one condition, one a measure.

    Columns: :data:`NAMES`, :data:`SIZES`, for each of :data:`SHOWN` Pearson's ρ← with the ends of its bootstrap
    interval (``_low``, ``_high``), and how many claims have each of the verdicts; these are about χ, and
    empty for other measures.

    Raises:
        UserError: a file is not what it should be, or the checkpoint is not of the correlations' seed and last epoch.
    """
    columns = ["run", "epoch", "role", "tensor", "measure", "words", "statistic", "value", "low", "high"]
    frame = files.read_parquet(correlations, columns)
    condition = files.read_metadata(correlations)["condition"]
    corpus, model, seed = str(frame["run"].iloc[0]).split("/")
    state = files.read_json(checkpoint, ["epoch", "seed", "train_loss", "dev_loss"])
    sizes = files.read_json(summary, ["vocabulary", "train_tokens"])
    if (f"seed{state['seed']}", state["epoch"]) != (seed, frame["epoch"].max()):
        raise UserError(f"{checkpoint}: is not of {seed} and epoch {frame['epoch'].max()}, as {correlations} is")
    try:
        verdicts = pd.read_csv(claims).drop_duplicates("claim")["verdict"].value_counts()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{claims}: no claims table ({error}); delete it and run again") from error
    chosen = frame.query("role == 'target' and words == 'all' and statistic == 'pearson'")
    rows = []
    for measure in dict.fromkeys(frame["measure"]):
        if measure in ("l1", "l2"):
            continue
        row = dict(zip(NAMES, [corpus, model, int(seed.removeprefix("seed")), condition, measure], strict=True))
        perplexities = [math.exp(state[f"{split}_loss"]) for split in ("train", "dev")]
        row |= dict(
            zip(SIZES, [sizes["vocabulary"], sizes["train_tokens"], state["epoch"], *perplexities], strict=True)
        )
        for name, (tensor, end) in SHOWN.items():
            of_tensor = chosen[(chosen["tensor"] == tensor) & (chosen["measure"] == measure)]
            at_end = of_tensor[of_tensor["epoch"] == end(frame["epoch"])]
            for suffix, column in (("", "value"), ("_low", "low"), ("_high", "high")):
                row[name + suffix] = at_end[column].item() if len(at_end) else math.nan
        row |= {verdict: int(verdicts.get(verdict, 0)) if measure == "chi" else None for verdict in VERDICTS}
        rows.append(row)
    return pd.DataFrame(rows).astype(dict.fromkeys(VERDICTS, "Int64"))


def markdown(table: pd.DataFrame) -> str:
    """The table for readers."""
    heads = ["run", "condition", "measure", "types", "training tokens", "epochs", "perplexity train / dev"]
    heads += ["ρ←(∇h²) first", "ρ←(∇h²) last", "ρ←(h²) last", "ρ←(∇x) last", "claims: reproduced / not / not testable"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for row in table.to_dict("records"):
        cells = [f"{row['corpus']}/{row['model']}/seed{row['seed']}", row["condition"], row["measure"]]
        cells += [f"{row['types']:,}", f"{row['train_tokens']:,}", str(row["epochs"])]
        cells += [f"{row['train_perplexity']:.1f} / {row['dev_perplexity']:.1f}"]
        for name in SHOWN:
            value, low, high = (f"{row[name + end]:z.2f}".replace("-", "−") for end in ("", "_low", "_high"))
            cells.append("none" if math.isnan(row[name]) else f"{value} [{low}, {high}]")
        cells.append("" if pd.isna(row[VERDICTS[0]]) else " / ".join(str(row[verdict]) for verdict in VERDICTS))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def run(args: argparse.Namespace) -> None:
    """Compare all runs."""
    given = [args.correlations, args.claims, args.checkpoints, args.summaries]
    if len(set(map(len, given))) > 1:
        raise UserError(f"{', '.join(str(len(paths)) for paths in given)} files; give as many of each kind")
    table = pd.concat([compared(*paths) for paths in zip(*given, strict=True)], ignore_index=True)
    if table.duplicated(NAMES).any():
        raise UserError(f"{'/'.join(map(str, table.loc[table.duplicated(NAMES), NAMES].iloc[0]))} is given twice")
    with files.atomic(args.csv) as path:
        table.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(args.markdown) as path:
        path.write_text(markdown(table), encoding="utf-8")
