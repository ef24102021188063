"""Natural sparsity of sparsified models beside that of the dense model they were made from, after the last epoch."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.sparsify.lottery import interval

MODEL = ["model", "family", "role", "level"]
KEYS = [*MODEL, "tensor", "measure", "statistic"]
SHOWN = {"pearson_log": "ρ← with log frequency", "pearson": "ρ←", "mean": "mean"}
NOTE = (
    "After the last of the epochs; target words; the mean over seeds and its 95 % t interval. Less dense: the"
    " difference from the dense model of the same seed after as many epochs, with its 95 % t interval; bold where that"
    " excludes 0, one row at a time; empty where the dense model has more or fewer epochs. The mean is over words;"
    " between models of other width it is not compared, as the least χ is 1/√width."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--correlations", type=Path, nargs="+", required=True, help="Parquet, one a model and seed")
    parser.add_argument(
        "--checkpoints", type=Path, nargs="+", required=True, help="JSON of the last epoch, one for each, in that order"
    )
    parser.add_argument("--csv", type=Path, required=True, help="out: a row a model, tensor, measure and statistic")
    parser.add_argument("--markdown", type=Path, required=True, help="out: χ at the recurrent layers, to be read")


def read_last(correlations: Sequence[Path], checkpoints: Sequence[Path]) -> pd.DataFrame:
    """The correlations and means of every run at its last epoch: :data:`KEYS`, ``width, epoch, seed, value``.

    The dense model's family is ``""``.

    Raises:
        UserError: files that do not belong together, or no dense model.
    """
    frames = []
    for path, state_path in zip(correlations, checkpoints, strict=True):
        columns = ["run", "epoch", "role", "tensor", "measure", "words", "statistic", "value"]
        frame = files.read_parquet(path, columns)
        state = files.read_json(state_path, ["epoch", "seed", "architecture"])
        run = str(frame["run"].iloc[0])
        if (run.rpartition("/seed")[2], frame["epoch"].max()) != (str(state["seed"]), state["epoch"]):
            raise UserError(f"{state_path}: is not of the seed and last epoch of {path}")
        chosen = frame.query("epoch == @state['epoch'] and role == 'target' and words == 'all'")
        of = {"family": "", "role": "dense", "level": 0, **state.get("sparsify", {})}
        of = {key: of[key] for key in ("family", "role", "level")} | {"model": run.split("/")[1]}
        widths = widths_of(state["architecture"])
        frames.append(chosen.drop(columns="role").assign(**of, seed=state["seed"], width=chosen["tensor"].map(widths)))
    together = pd.concat(frames, ignore_index=True)
    if not (together["role"] == "dense").any():
        raise UserError("no correlations of the dense model, which the others are compared with")
    return together[[*KEYS, "width", "epoch", "seed", "value"]]


def widths_of(architecture: dict[str, Any]) -> dict[str, int]:
    """The width of each tensor; 0 stands for the vocabulary, which all the models share."""
    layers = {"h_e": architecture["embedding"]}
    layers |= {f"h_{i}": width for i, width in enumerate(architecture["hidden"], 1)}
    return {prefix + name: width for prefix in ("", "grad_") for name, width in (layers | {"x": 0}).items()}


def table(values: pd.DataFrame) -> pd.DataFrame:
    """A row for each of :data:`KEYS`: ``value``, ``low``, ``high`` over ``seeds``; ``difference`` from dense likewise.

    Empty where there is no difference to speak of: of the dense model itself, of a mean at another width, and of models
    trained for other numbers of epochs, since χ and its correlations change with every epoch.
    """
    dense = values[values["role"] == "dense"].set_index(["tensor", "measure", "statistic", "seed"])
    rows = []
    for key, group in values.groupby(KEYS, sort=False):
        row = dict(zip(KEYS, key, strict=True)) | {"epoch": group["epoch"].iloc[0], "seeds": len(group)}
        row |= dict(zip(("value", "low", "high"), interval(group["value"].to_numpy()), strict=True))
        same = dense.reindex(group.set_index(["tensor", "measure", "statistic", "seed"]).index)
        same_width, same_epoch = (same[key].to_numpy() == group[key].to_numpy() for key in ("width", "epoch"))
        compared = row["role"] != "dense" and (row["statistic"] != "mean" or bool(same_width.all()))
        paired = (group["value"].to_numpy() - same["value"].to_numpy())[same_epoch]
        paired = paired[~np.isnan(paired)] if compared else np.array([])
        difference = interval(paired) if len(paired) else (np.nan,) * 3
        row |= dict(zip(("difference", "difference_low", "difference_high"), difference, strict=True))
        rows.append(row | {"pairs": len(paired)})
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame) -> str:
    """χ at the recurrent layers and their gradients, a line a model."""
    lines = []
    for statistic, name in SHOWN.items():
        chosen = rows[(rows["measure"] == "chi") & (rows["statistic"] == statistic)]
        tensors = [tensor for tensor in ("h_1", "h_2", "grad_h_1", "grad_h_2") if (chosen["tensor"] == tensor).any()]
        of = "χ" if statistic == "mean" else "of χ"
        heads = [
            "model",
            "epochs",
            "seeds",
            *(f"{tensor}, {end}" for tensor in tensors for end in ("value", "less dense")),
        ]
        lines += [f"**{name} {of}**", "", "| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
        for model, part in chosen.groupby("model", sort=False):
            cells = [str(model), str(part["epoch"].iloc[0]), str(part["seeds"].iloc[0])]
            for tensor in tensors:
                cells += list(cells_of(part[part["tensor"] == tensor].to_dict("records")[0]))
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join([*lines, NOTE, ""])


def cells_of(row: dict[Any, Any]) -> Iterator[str]:
    """The value and the difference, with their intervals."""
    for name, prefix, sign in (("value", "", "z"), ("difference", "difference_", "+z")):
        if np.isnan(row[name]):
            yield ""
            continue
        text = f"{row[name]:{sign}.3f}"
        low, high = row[f"{prefix}low"], row[f"{prefix}high"]
        if not np.isnan(low):
            text += f" [{low:{sign}.3f}, {high:{sign}.3f}]"
            text = f"**{text}**" if prefix and low * high > 0 else text
        yield text.replace("-", "−")


def run(args: argparse.Namespace) -> None:
    """Write the table."""
    if len(args.correlations) != len(args.checkpoints):
        raise UserError(
            f"{len(args.correlations)} --correlations and {len(args.checkpoints)} --checkpoints; give as many"
        )
    rows = table(read_last(args.correlations, args.checkpoints))
    with files.atomic(args.csv) as path:
        rows.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(args.markdown) as path:
        path.write_text(markdown(rows), encoding="utf-8")
