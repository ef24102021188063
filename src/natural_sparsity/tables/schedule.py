"""The learning rates that models were trained at, for tables that compare them."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import find_place
from natural_sparsity.errors import UserError

KEYS = ["family", "method", "role", "level"]
# What tells models apart in a table: any of these.
NAMES = ["data", "model", *KEYS]
NOTE = "Learning rate: that of the first epoch that a model trained, and the epochs from which it was another"
NOTE_ON_OTHERS = (
    f"{NOTE}. *Other* marks a model whose rate was not that of the dense model of the same seed in every epoch that it"
    " trained: the two differ by more than their sparsity"
)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Declare the checkpoints that the rates are read from."""
    parser.add_argument(
        "--checkpoints", type=Path, nargs="+", required=True, help="state.json, one file per model, seed and epoch"
    )


def read_rates(paths: Sequence[Path]) -> pd.DataFrame:
    """The rate of each epoch: :data:`NAMES`, ``seed, epoch, rate``, a row per ``state.json``.

    Raises:
        UserError: a file is no checkpoint's state, or repeats another's model, seed and epoch.
    """
    rows = []
    for path in paths:
        state = files.read_json(path, ["data", "model", "seed", "epoch", "sparsify", "learning_rate_in"])
        row = {key: state[key] for key in ("data", "model", "seed", "epoch")} | {"rate": state["learning_rate_in"]}
        rows.append(find_place(state["sparsify"]) | row | {"path": path})
    frame = pd.DataFrame(rows)
    if (repeated := frame.duplicated([*NAMES, "seed", "epoch"])).any():
        raise UserError(f"{frame.loc[repeated, 'path'].iloc[0]}: a second checkpoint of the same model, seed and epoch")
    return frame.drop(columns="path").sort_values("epoch", kind="stable")


def describe(rates: pd.DataFrame) -> str:
    """The schedule of a model in words; where seeds differ, that of each.

    Args:
        rates: ``seed, epoch, rate`` of a model, by epoch.
    """
    by_seed: dict[str, list[int]] = {}
    for _, part in rates.groupby("seed"):
        changed = part[part["rate"] != part["rate"].shift()]
        first, *later = changed.to_dict("records")
        drops = [f"{row['rate']:g} from epoch {row['epoch']}" for row in later]
        by_seed.setdefault(", ".join([f"{first['rate']:g}", *drops]), []).append(first["seed"])
    if len(by_seed) == 1:
        return next(iter(by_seed))
    return "; ".join(f"seed {' and '.join(map(str, seeds))}: {text}" for text, seeds in by_seed.items())


def is_shared(rates: pd.DataFrame, dense: pd.DataFrame) -> bool:
    """Whether a model had the rate of the dense model of the same seed in every epoch that it trained.

    Args:
        rates, dense: ``seed, epoch, rate`` of either.
    """
    both = rates.merge(dense, "left", on=["seed", "epoch"], suffixes=("", "_dense"))
    return bool((both["rate"] == both["rate_dense"]).all())


def select(rates: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The rates of the model that a table's ``rows`` are of.

    Args:
        rates: of all models, as :func:`read_rates` returns them.
        rows: ``seed``, and those of :data:`NAMES` that tell the table's models apart, which are the same in all rows.

    Raises:
        UserError: it has no checkpoint of a seed.
    """
    place = {key: rows[key].iloc[0] for key in NAMES if key in rows}
    own = rates[(rates[list(place)] == list(place.values())).all(axis=1)]
    if missing := set(rows["seed"]) - set(own["seed"]):
        name = " ".join(dict.fromkeys(str(value) for value in place.values() if value))
        raise UserError(f"--checkpoints: none of {name}, seed {min(missing)}; give its state.json")
    return own


def compare(rates: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The ``schedule`` of a model in words, and whether it is the dense model's, ``shared_schedule``.

    Args and errors as of :func:`select`; one model among the ``rates`` is dense.
    """
    own = select(rates, rows)
    dense = rates.loc[rates["role"] == "dense", ["seed", "epoch", "rate"]]
    return {"schedule": describe(own), "shared_schedule": is_shared(own, dense)}


def format_rate(row: Mapping[Any, Any]) -> str:
    """The schedule of a row, marked where it is not the dense model's."""
    text = str(row["schedule"])
    return text if row["shared_schedule"] else f"*other*: {text}"
