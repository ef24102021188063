"""The explorer's data of one run under one condition: a file for each measure, role and tensor, and what they are.

A browser lets a page that was opened by double click read no file but scripts. So each file is one line of script that
hands over base64 of deflated bytes, and the page asks for it when it is to be drawn.
"""

import argparse
import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError

ROLES = ("target", "input")
MEAN = "_mean"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--probes", type=Path, nargs="+", required=True, help="Parquet, a file an epoch")
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help="JSON, a file an epoch")
    parser.add_argument("--words", type=Path, required=True, help="Parquet, the corpus's words")
    parser.add_argument("--run", required=True, help="CORPUS/MODEL/seedSEED")
    parser.add_argument("--condition", required=True, help="the name of the probe's conditions")
    parser.add_argument("--output", type=Path, required=True, help="out: folder, a script a measure, role and tensor")


def run(args: argparse.Namespace) -> None:
    """Write the scripts, then ``data.json``, which says what they hold."""
    probes = by_epoch(args.probes)
    states = checkpoints(args.checkpoints)
    missing = [epoch for epoch in probes if epoch not in states]
    if missing:
        raise UserError(f"{probes[missing[0]]}: no checkpoint of its epoch {missing[0]} was given; give its state.json")
    vocabulary = len(files.read_parquet(args.words, ["id"]))
    measures, tensors = axes(probes)
    for measure in measures:
        values, counts = gather(probes, measure, tensors, vocabulary)
        for r, role in enumerate(ROLES):
            for t, tensor in enumerate(tensors):
                name = f"{measure}.{role}.{tensor}"
                with files.atomic(args.output / f"{name}.js") as path:
                    path.write_text(script(f"{args.run}/{args.condition}/{name}", values[r, t], counts[r, t]))
    last = files.read_metadata(list(probes.values())[-1])
    about = {
        "run": args.run,
        "condition": args.condition,
        "probe": {key: value for key, value in last["probe"].items() if key != "measures"},
        "positions": last["positions"],
        "measures": measures,
        "tensors": tensors,
        "words": vocabulary,
        "epochs": [states[epoch] for epoch in probes],
    }
    files.write_json(args.output / "data.json", about)


def by_epoch(paths: Sequence[Path]) -> dict[int, Path]:
    """The probes by their epoch, ascending.

    Raises:
        UserError: a file names no epoch, or another's.
    """
    found: dict[int, Path] = {}
    for path in paths:
        metadata = files.read_metadata(path)
        lacking = [key for key in ("epoch", "probe", "positions") if key not in metadata]
        if lacking:
            raise UserError(f"{path}: its metadata name no {lacking[0]}; give a file that 'probe' wrote")
        epoch = metadata["epoch"]
        if epoch in found:
            raise UserError(f"{path}: a second probe of epoch {epoch}; give one file an epoch")
        found[epoch] = path
    return dict(sorted(found.items()))


def checkpoints(paths: Sequence[Path]) -> dict[int, dict[str, Any]]:
    """What the page tells of each epoch, by epoch: learning rates, and losses in nats per token (or None)."""
    keys = ["epoch", "learning_rate_in", "learning_rate_out", "train_loss", "dev_loss"]
    states = [files.read_json(path, keys) for path in paths]
    return {state["epoch"]: {key: state[key] for key in keys} for state in states}


def axes(probes: dict[int, Path]) -> tuple[list[str], list[str]]:
    """The measures, in the order of the files' columns, and the tensors, in their rows'.

    Raises:
        UserError: the probes do not have the same.
    """
    found: list[tuple[list[str], list[str]]] = []
    for path in probes.values():
        columns = files.read_schema(path).names
        tensors = files.read_parquet(path, ["tensor"])["tensor"].unique().tolist()
        found.append(([column.removesuffix(MEAN) for column in columns if column.endswith(MEAN)], tensors))
        if found[-1] != found[0]:
            first = next(iter(probes.values()))
            raise UserError(f"{path}: has other measures or tensors than {first}; probe both alike and run again")
    return found[0]


def gather(probes: dict[int, Path], measure: str, tensors: list[str], vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """One measure's means and how many positions each is over.

    Returns:
        float32 and uint32, each (roles, tensors, epochs, vocabulary). Where a word never has the role, or the measure
        is nowhere defined, the mean is NaN and the number 0.

    Raises:
        UserError: a row's id, role or tensor is none of those, or one repeats.
    """
    values = np.full((len(ROLES), len(tensors), len(probes), vocabulary), np.nan, np.float32)
    counts = np.zeros(values.shape, np.uint32)
    for e, path in enumerate(probes.values()):
        frame = files.read_parquet(path, ["id", "role", "tensor", "count", "zeros", measure + MEAN])
        role = pd.Index(ROLES).get_indexer(pd.Index(frame["role"]))
        tensor = pd.Index(tensors).get_indexer(pd.Index(frame["tensor"]))
        word = frame["id"].to_numpy()
        if (role < 0).any() or ((word < 0) | (word >= vocabulary)).any():
            raise UserError(
                f"{path}: a role other than {' and '.join(ROLES)}, or an id that the words lack; probe again"
            )
        if frame.duplicated(["id", "role", "tensor"]).any():
            raise UserError(f"{path}: a word repeats in the same role and tensor; probe again")
        # Norms are defined for a vector of zeros, measures of sparsity are not.
        n = frame["count"] if measure in ("l1", "l2") else frame["count"] - frame["zeros"]
        mean = frame[measure + MEAN].to_numpy(np.float64)
        values[role, tensor, e, word] = np.where(np.isfinite(mean) & (n > 0), mean, np.nan)
        counts[role, tensor, e, word] = n
    return values, counts


def planes(array: np.ndarray, n: int) -> bytes:
    """Rows of integers as differences from the row before, modulo 2³², in ``n`` planes of a byte each, lowest first.

    From epoch to epoch a mean changes little: its upper bytes then are mostly zeros, which deflate well.
    """
    differences = np.diff(array.astype(np.uint32), axis=0, prepend=np.uint32(0))
    return differences.astype("<u4", order="C").view(np.uint8).reshape(-1, 4)[:, :n].T.tobytes()


def script(key: str, values: np.ndarray, counts: np.ndarray) -> str:
    """The script that hands over ``values`` and ``counts``, each (epochs, vocabulary).

    Of a value the upper three bytes of its float32 are kept, rounded: a relative error of at most 2⁻¹⁶.
    """
    bits = np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4").view(np.uint32)
    upper = (bits.astype(np.uint64) + 0x80 >> 8).astype(np.uint32)
    packed = base64.b64encode(zlib.compress(planes(upper, 3) + planes(counts, 4), 6)).decode()
    return f'explorer.receive({json.dumps(key)}, "{packed}");\n'
