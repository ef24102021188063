"""The table of spaces and controls: what moduli-regularised models keep, what they lose, how far their weights reach.

A row per model: its space and control, the share of weights that were pruned, the held-out score with its 95 % t
interval over seeds, and the mean distance between units joined by the kept recurrent weights, against that over all
pairs of units.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import check_epochs
from natural_sparsity.errors import UserError
from natural_sparsity.tables import schedule
from natural_sparsity.tables.scores import (
    MEASURE,
    average_score,
    check_measure,
    format_difference,
    format_measure,
    format_score,
    sort_by_seed,
    subtract,
)
from natural_sparsity.tables.writer import Grid, Table

KEYS = ["family", "role", "space", "inhibitor", "inverted", "control", "strength", "l1"]
# The values of these keys for a dense model; settings without a second penalty lack l1.
OF_DENSE = {"space": "", "inhibitor": "", "inverted": False, "control": "", "strength": 0.0, "l1": 0.0}
GEOMETRY = ("distance_kept", "distance_all", "k_kept", "k_all")
# What a model is compared with, seed by seed, and the head of its column.
COMPARED = {
    "from_dense": "from the dense model",
    "from_unpenalised": "from strength 0",
    "from_permuted": "from `permuted`",
    "from_matched": "from `matched`",
}
NOTE = (
    "The score is that of the test split after the last epoch, the mean over seeds with its 95 % t interval. Weights"
    " pruned: counted from the checkpoints. Distance and K: the mean over the recurrent weights that are left, and over"
    " all pairs of units; of a control, the K that it was trained with. A retrained model has newly drawn weights under"
    f" the last masks of the model whose name it has. {schedule.NOTE}."
)
CAPTION = (
    "How far a model lies from others with the same cell, seed by seed: the mean difference of the {quantity}, with its"
    " 95 % t interval, and in how many seeds the model's own is lower. Strength 0 has the same second penalty, if any;"
    " the controls have the same space and penalties."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="JSON, one file per model and seed")
    schedule.add_option(parser)


def tabulate(args: argparse.Namespace) -> Table:
    """The table of the evaluations, and its grids."""
    rows = compare(args.evaluations, schedule.read_rates(args.checkpoints))
    compared = rows[rows[[*COMPARED]].notna().any(axis=1)]
    return Table(rows, [lay_out(rows), *([lay_out_differences(compared)] if len(compared) else [])], note=NOTE)


def compare(paths: Sequence[Path], rates: pd.DataFrame) -> pd.DataFrame:
    """A row per model: ``family … cell, epochs, schedule, seeds, sparsity, measure, digits, score …``, the geometry.

    The family of a dense model is its name. :data:`COMPARED` are the differences from other models, of the loss (nats)
    where the measure is perplexity, else of the score; see :func:`~natural_sparsity.tables.scores.subtract`.

    Raises:
        UserError: the evaluations are of different data or by different measures, repeat one, or are of seeds of a
            model after different epochs; or one has no checkpoint among those that ``rates`` were read from.
    """
    keys = ["model", "seed", "epoch", "cell", "sparsify", "loss", "score", *MEASURE, "density", "geometry"]
    values = {path: files.read_json(path, ["data", *keys]) for path in paths}
    check_measure(values)
    check_epochs(values)
    rows = []
    for path in paths:
        value = values[path]
        settings = {"family": value["model"], "role": "dense", **OF_DENSE, **value["sparsify"]}
        numbers = {key: value[key] for key in ("model", "seed", "epoch", "cell", "loss", "score", *MEASURE, "density")}
        rows.append({key: settings[key] for key in KEYS} | numbers | value["geometry"] | {"path": path})
    frame = pd.DataFrame(rows)
    repeated = frame.duplicated([*KEYS, "cell", "seed"])
    if repeated.any():
        raise UserError(f"{frame.loc[repeated, 'path'].iloc[0]}: a second evaluation of the same model and seed")
    means = []
    for key, group in frame.groupby([*KEYS, "cell"], sort=False):
        means.append(
            dict(zip([*KEYS, "cell"], key, strict=True))
            | {"epochs": group["epoch"].iloc[0]}
            | {"schedule": schedule.describe(schedule.select(rates, group[["model", "seed"]]))}
            | {"seeds": len(group), "sparsity": 1 - group["density"].mean()}
            | average_score(group)
            | {name: group[name].mean() for name in GEOMETRY if name in group}
            | find_differences(group, frame)
        )
    return pd.DataFrame(means)


def find_differences(group: pd.DataFrame, frame: pd.DataFrame) -> dict[str, Any]:
    """How far a model lies from each of those in :data:`COMPARED` that there is, after as many epochs.

    Args:
        group, frame: the evaluations of the model, and of all.
    """
    model, column = group.iloc[0], choose_column(group)
    alike = frame[(frame["cell"] == model["cell"]) & (frame["epoch"] == model["epoch"])]
    pruned = alike[(alike["role"] == model["role"]) & (alike["l1"] == model["l1"])]
    penalty = ["space", "inhibitor", "inverted", "strength"]
    same = pruned[(pruned[penalty] == model[penalty]).all(axis=1)]
    others = dict.fromkeys(COMPARED, frame[:0])
    if model["role"] != "dense":
        others["from_dense"] = alike[alike["role"] == "dense"]
        if model["strength"]:
            others["from_unpenalised"] = pruned[pruned["strength"] == 0]
        if model["control"] == "none":
            others |= {f"from_{name}": same[same["control"] == name] for name in ("permuted", "matched")}
    found: dict[str, Any] = {}
    for name, rows in others.items():
        one = rows if rows["family"].nunique() == 1 else rows[:0]  # of several, none is the one to compare with
        found |= subtract(sort_by_seed(group, column), sort_by_seed(one, column), name)
    return found


def choose_column(rows: pd.DataFrame) -> str:
    """What differences are of: the loss where the score is a perplexity, which is its exponential, else the score."""
    return "loss" if rows["measure"].iloc[0] == "perplexity" else "score"


def lay_out(rows: pd.DataFrame) -> Grid:
    """The table for readers."""
    heads = [
        "Model",
        "Space",
        "Penalty",
        "Control",
        "Strength",
        "Epochs",
        "Learning rate",
        "Seeds",
        "Weights pruned",
        f"{format_measure(rows)} (95 %)",
    ]
    lines = []
    for row in rows.to_dict("records"):
        has_space = row["role"] != "dense"
        cells = [name_model(row), row["space"]]
        cells += [name_penalty(row) if has_space else "", row["control"]]
        cells += [f"{row['strength']:g}" if has_space else "", str(row["epochs"]), row["schedule"], str(row["seeds"])]
        cells += [f"{100 * row['sparsity']:.1f} %"]
        lines.append([*cells, format_score(row), *(format_pair(row, key) for key in ("distance", "k"))])
    return Grid([*heads, "Distance kept / all", "Penalty K kept / all"], lines)


def lay_out_differences(rows: pd.DataFrame) -> Grid:
    """The models that are compared with others, and how far they lie from these."""
    is_loss = choose_column(rows) == "loss"
    lines = [
        [
            name_model(row),
            *(format_difference(row, name, 3 if is_loss else row["digits"]) for name in COMPARED),
        ]
        for row in rows.to_dict("records")
    ]
    quantity = "loss (nats)" if is_loss else rows["measure"].iloc[0]
    heads = [f"Difference {text} (95 %)" for text in COMPARED.values()]
    return Grid(["Model", *heads], lines, caption=CAPTION.format(quantity=quantity))


def name_model(row: dict[Any, Any]) -> str:
    """What a row's model is called: by its family, its role if that is another than usual, and its cell."""
    role = f" ({row['role']})" if row["role"] in ("dense", "retrained") else ""
    return f"{row['family']}{role}, {row['cell']}"


def name_penalty(row: dict[Any, Any]) -> str:
    """The inhibitor, and the strength of the second penalty, if there is one."""
    inverted = ", inverted" if row["inverted"] else ""
    return f"{row['inhibitor']}{inverted}" + (f"; mean weights {row['l1']:g}" if row["l1"] else "")


def format_pair(row: dict[Any, Any], key: str) -> str:
    """A mean over the kept weights and over all pairs of units; empty for a model whose units lie in no space."""
    if row["role"] == "dense" or pd.isna(row.get(f"{key}_kept")):
        return ""
    return f"{row[f'{key}_kept']:.2f} / {row[f'{key}_all']:.2f}"
