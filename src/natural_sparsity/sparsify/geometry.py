"""Where in its space the recurrent weights of a moduli-regularised model lie: their distances, and the table of spaces.

The table has a row a model: its space and control, what is left of it, the held-out error with the 95 % t interval over
seeds, and the mean distance of the units that kept weights join, against that of all pairs of units. The error of
language models is their perplexity: of mean and interval of the loss, as in the other tables.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.sparsify import spaces
from natural_sparsity.sparsify.lottery import interval
from natural_sparsity.sparsify.moduli import INHIBITION, POINTS

KEYS = ["family", "role", "space", "inhibitor", "inverted", "control", "strength"]
PERPLEXITY = "perplexity"
TITLES = (
    "Model, Space, Penalty, Control, Strength, Seeds, Weights pruned, {}, Distance kept / all, Penalty K kept / all"
)
NOTE = (
    "The error is on the test split after the last epoch, the mean over seeds with its 95 % t interval. Weights pruned:"
    " counted from the checkpoints. Distance and K: the mean over the recurrent weights that are left, and over all"
    " pairs of units; of a control, the K that it was trained with. A retrained model has newly drawn weights under the"
    " last masks of the model of its name."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="JSON, one a model")
    parser.add_argument("--models", nargs="+", required=True, help="the models' names, in that order")
    parser.add_argument("--csv", type=Path, required=True, help="out: CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="out: the same as a Markdown table")


def kept_pairs(weights: Tensor, space: str, points: Tensor) -> tuple[Tensor, Tensor]:
    """The distances of the pairs of units that joins a weight (gates · units, units) which is not 0, and of all."""
    distances = spaces.distances(space, points, points).repeat(len(weights) // len(points), 1)
    return distances[weights != 0], distances.flatten()


def geometry(model: torch.nn.Module, beside: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, float]:
    """Means over all layers' recurrent weights, kept and all: distance in the space, and K; empty without points."""
    found: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        if POINTS + name not in beside:
            continue
        kept, every = kept_pairs(weight.detach(), settings["space"], beside[POINTS + name])
        k = beside[INHIBITION + name].repeat(len(weight) // weight.shape[1], 1)
        parts = {"distance_kept": kept, "distance_all": every, "k_kept": k[weight != 0], "k_all": k.flatten()}
        for key, values in parts.items():
            found.setdefault(key, []).append(values)
    means = {key: torch.cat(values).double().mean() for key, values in found.items()}
    return {key: float(mean) for key, mean in means.items() if bool(mean.isfinite())}


def table(paths: Sequence[Path], models: Sequence[str]) -> pd.DataFrame:
    """A row a model of ``models``: ``family … strength, seeds, sparsity, error, low, high`` and the geometry.

    The family of a dense model is its name.

    Raises:
        UserError: the evaluations are of different tasks, repeat one or are not as many as the models.
    """
    if len(paths) != len(models):
        raise UserError(f"--evaluations names {len(paths)} files and --models {len(models)}; give as many")
    rows = []
    for path, model in zip(paths, models, strict=True):
        for value in files.read_json(path, ["evaluations"])["evaluations"]:
            of = {"family": model, "role": "dense", **dict.fromkeys(KEYS[2:], ""), **value["sparsify"]}
            if "perplexity" in value:
                value |= {"error": value["loss"], "measures": PERPLEXITY, "digits": 1}
            numbers = {key: value[key] for key in ("seed", "cell", "error", "measures", "digits", "density")}
            rows.append({key: of[key] for key in KEYS} | numbers | value["geometry"])
    frame = pd.DataFrame(rows)
    if frame["measures"].nunique() > 1:
        raise UserError(f"{paths[0]}: the error is {frame['measures'].iloc[0]}, others' is another; give one task's")
    if frame.duplicated([*KEYS, "cell", "seed"]).any():
        raise UserError(f"{paths[0]}: a model and seed are given twice")
    found = []
    for key, group in frame.groupby([*KEYS, "cell"], sort=False):
        error, low, high = interval(group["error"].to_numpy())
        if group["measures"].iloc[0] == PERPLEXITY:
            error, low, high = (math.exp(loss) for loss in (error, low, high))
        means = {
            name: group[name].mean() for name in ("distance_kept", "distance_all", "k_kept", "k_all") if name in group
        }
        found.append(
            dict(zip([*KEYS, "cell"], key, strict=True))
            | {"seeds": len(group), "sparsity": 1 - group["density"].mean(), "error": error, "low": low, "high": high}
            | {"measures": group["measures"].iloc[0], "digits": group["digits"].iloc[0]}
            | means
        )
    return pd.DataFrame(found)


def markdown(rows: pd.DataFrame) -> str:
    """The table as Markdown, with the meaning of its columns."""
    titles = TITLES.format(rows["measures"].iloc[0][0].upper() + rows["measures"].iloc[0][1:] + " (95 %)").split(", ")
    lines = [titles, ["---"] * len(titles)]
    for row in rows.to_dict("records"):
        digits = row["digits"]
        error = f"{row['error']:.{digits}f}"
        if row["seeds"] > 1:
            error += f" ({row['low']:.{digits}f} to {row['high']:.{digits}f})"
        of_space = row["role"] != "dense"
        penalty = f"{row['inhibitor']}{', inverted' if row['inverted'] else ''}" if of_space else ""
        pairs = [
            f"{row[f'{key}_kept']:.2f} / {row[f'{key}_all']:.2f}"
            if of_space and pd.notna(row.get(f"{key}_kept"))
            else ""
            for key in ("distance", "k")
        ]
        role = f" ({row['role']})" if row["role"] in ("dense", "retrained") else ""
        name = f"{row['family']}{role}, {row['cell']}"
        words = [name, row["space"], penalty, row["control"], f"{row['strength']:g}" if of_space else ""]
        lines.append([*words, str(row["seeds"]), f"{100 * row['sparsity']:.1f} %", error, *pairs])
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", NOTE, ""])


def run(args: argparse.Namespace) -> None:
    """Write the table."""
    rows = table(args.evaluations, args.models)
    with files.atomic(args.csv) as path:
        rows.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(args.markdown) as path:
        path.write_text(markdown(rows), encoding="utf-8")
