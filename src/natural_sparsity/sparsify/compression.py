"""The compression table: what each model costs on disk and on a CPU, and what it loses, in float and in eight bits."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.sparsify.lottery import interval, matches

KEYS = ["family", "role", "level", "precision"]
NOTE = (
    "Perplexity on the test split, with its 95 % t interval over seeds. Weights: those of the matrices that are not 0."
    " Bytes: parameters on disk, a matrix as a bit a weight and its values where that is smaller. Time: a CPU thread,"
    " one word after the other, dense arithmetic whatever the density. Matching: the mean loss is not above the dense"
    " model's by more than the standard deviation of the dense model's over seeds; said of models of as many epochs."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--costs", type=Path, nargs="+", required=True, help="JSON, one a model")
    parser.add_argument("--csv", type=Path, required=True, help="out: CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="out: the same as a Markdown table")


def read_costs(paths: Sequence[Path]) -> pd.DataFrame:
    """A row a model, seed and precision; the dense model's family is ``""`` and its role ``dense``.

    Raises:
        UserError: a file is none of costs, or repeats another's model, or there is no dense model in single precision.
    """
    rows = []
    for path in paths:
        for value in files.read_json(path, ["costs"])["costs"]:
            of = {"family": "", "role": "dense", "level": 0, **value["sparsify"], "precision": value["precision"]}
            numbers = {key: value[key] for key in ("seed", "epoch", "loss", "nonzero", "bytes", "seconds_per_token")}
            rows.append({**{key: of[key] for key in KEYS}, **numbers, "path": path})
    frame = pd.DataFrame(rows)
    repeated = frame.duplicated([*KEYS, "seed"])
    if repeated.any():
        raise UserError(f"{frame.loc[repeated, 'path'].iloc[0]}: a second time the costs of the same model and seed")
    if not ((frame["role"] == "dense") & (frame["precision"] == "float32")).any():
        raise UserError("no costs of the dense model, which the others are compared with")
    return frame


def table(costs: pd.DataFrame) -> pd.DataFrame:
    """A row a model and precision: perplexity with its interval, weights, bytes, milliseconds per token, verdict."""
    of_dense = costs[(costs["role"] == "dense") & (costs["precision"] == "float32")]
    dense, trained = of_dense.set_index("seed")["loss"], of_dense["epoch"].iloc[0]
    spread = float(dense.std(ddof=1)) if len(dense) > 1 else float("nan")
    rows = []
    for key, group in costs.groupby(KEYS):
        losses = group.set_index("seed")["loss"].sort_index()
        perplexities = dict(
            zip(("perplexity", "perplexity_low", "perplexity_high"), np.exp(interval(losses.to_numpy())), strict=True)
        )
        verdict = "" if key == ("", "dense", 0, "float32") else matches(losses, dense, spread)
        if group["epoch"].iloc[0] != trained:
            verdict = f"not comparable: the dense model has {trained} epochs"
        rows.append(
            dict(zip(KEYS, key, strict=True))
            | {"epochs": group["epoch"].iloc[0], "seeds": len(group), **perplexities}
            | {"nonzero": round(group["nonzero"].mean()), "bytes": round(group["bytes"].mean())}
            | {"bytes_of_dense": group["bytes"].mean() / of_dense["bytes"].mean()}
            | {"milliseconds_per_token": 1000 * group["seconds_per_token"].mean()}
            | {"matching": verdict}
        )
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame) -> str:
    """The table as Markdown, with the meaning of its columns."""
    titles = ["Model", "Precision", "Epochs", "Seeds", "Perplexity (95 %)", "Weights", "Bytes", "Bytes, of dense"]
    lines = [[*titles, "Time per token, ms", "Matching"]]
    lines.append(["---"] * len(lines[0]))
    for row in rows.to_dict("records"):
        perplexity = f"{row['perplexity']:.1f}"
        if row["seeds"] > 1:
            perplexity += f" ({row['perplexity_low']:.1f} to {row['perplexity_high']:.1f})"
        cells = [name_of(row), row["precision"], str(row["epochs"]), str(row["seeds"]), perplexity]
        cells += [f"{row['nonzero']:,}", f"{row['bytes']:,}"]
        times = [f"{row['bytes_of_dense']:.3f}", f"{row['milliseconds_per_token']:.3f}"]
        lines.append([*cells, *times, row["matching"]])
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", NOTE, ""])


def name_of(row: Mapping[Any, Any]) -> str:
    """What a row's model is called."""
    level = f", level {row['level']}" if row["level"] else ""
    control = f", {row['role'].replace('_', ' ')}" if row["role"] in ("no_teacher", "retrained") else ""
    return f"{row['family']}{level}{control}" if row["family"] else "dense"


def run(args: argparse.Namespace) -> None:
    """Write the table."""
    rows = table(read_costs(args.costs))
    with files.atomic(args.csv) as path:
        rows.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(args.markdown) as path:
        path.write_text(markdown(rows), encoding="utf-8")
