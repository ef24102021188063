"""The explorer's data of one run under one condition: a script for each measure, role and tensor.

A page opened by double click may load scripts, but the browser lets it read no other file. So each file is a one-line
script that hands over deflated bytes as base64, and the page loads it when it is needed.
"""

import argparse
import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.products import (
    NORMS,
    PROBED,
    ROLES,
    Origin,
    check_chain,
    check_rows,
    check_same,
    find_origin,
    read_origin,
    read_tensors,
)
from natural_sparsity.analysis.tensors import sort_tensors
from natural_sparsity.errors import UserError
from natural_sparsity.explorer.names import SURPRISAL, check_names
from natural_sparsity.explorer.words import digest, read_words
from natural_sparsity.identity import check_run, name_checkpoint
from natural_sparsity.settings import add_expect_option

MEAN = "_mean"
OUTPUT = "x"  # of the softmax
# The largest float32 that its upper three bytes hold, which are all that is stored; norms of a diverged run exceed it.
LARGEST = float(np.array(0x7F7FFF00, np.uint32).view(np.float32))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--probes", type=Path, nargs="+", required=True, help="Parquet, one file per checkpoint of a run"
    )
    parser.add_argument(
        "--checkpoints", type=Path, nargs="+", required=True, help="state.json, one file per checkpoint"
    )
    parser.add_argument("--words", type=Path, required=True, help="Parquet, the data's words")
    parser.add_argument(
        "--output", type=Path, required=True, help="out: folder, a script per measure, role and tensor, and data.json"
    )
    add_expect_option(parser)


def run(args: argparse.Namespace) -> None:
    """Write the scripts, then ``data.json``, which says what they hold."""
    origin, metadata = read_run(args.probes)
    probes = sort_by_time(args.probes)
    states = read_states(args.checkpoints, origin)
    for name, path in probes.items():
        if name not in states:
            raise UserError(f"{path}: its checkpoint {name} was not given; give its state.json")
    words = read_words(args.words)
    check_run(args.probes[0], metadata, args.expect)
    check_chain(args.probes, args.checkpoints, args.words)
    series = find_series(probes, len(words))
    check_names(args.probes[0], metadata, series)
    key = f"{origin.data}/{origin.model}/seed{origin.seed}/{metadata['condition']}"
    for measure, tensors_of in series.items():
        tensors = sort_tensors(tensor for tensors in tensors_of.values() for tensor in tensors)
        values, counts = gather(probes, measure, tensors, len(words))
        for r, role in enumerate(ROLES):
            for tensor in tensors_of[role]:
                t, name = tensors.index(tensor), f"{measure}.{role}.{tensor}"
                with files.atomic(args.output / f"{name}.js") as path:
                    path.write_text(write_script(f"{key}/{name}", values[r, t], counts[r, t]))
    last = files.read_metadata(list(probes.values())[-1])
    facts = {
        **origin._asdict(),
        "condition": metadata["condition"],
        "key": key,
        "probe": {name: value for name, value in last["probe"].items() if name != "measures"},
        "positions": last["positions"],
        "series": series,
        "words": len(words),
        "words_digest": digest(words),
        "epochs": find_times(probes, states),
    }
    files.write_json(args.output / "data.json", facts)


def read_run(paths: Sequence[Path]) -> tuple[Origin, dict[str, Any]]:
    """The run that the probes belong to, and the metadata of the first.

    Raises:
        UserError: a file is no probe, or the probes belong to several runs or conditions.
    """
    given = {path: read_origin(path, ["epoch", "steps", "positions", *PROBED])[1] for path in paths}
    check_same({path: {key: metadata[key] for key in (*PROBED, "seed")} for path, metadata in given.items()})
    return find_origin(given[paths[0]]), given[paths[0]]


def sort_by_time(paths: Sequence[Path]) -> dict[str, Path]:
    """The probes by the name of their checkpoint, in the order of training.

    Raises:
        UserError: two belong to one checkpoint.
    """
    by_name: dict[str, Path] = {}
    times = {}
    for path in paths:
        metadata = files.read_metadata(path)
        name = name_checkpoint(metadata)
        if name in by_name:
            raise UserError(f"{path}: a second probe of checkpoint {name}; give one file per checkpoint")
        by_name[name], times[name] = path, (metadata["epoch"], metadata["steps"])
    return {name: by_name[name] for name in sorted(by_name, key=times.__getitem__)}


def read_states(paths: Sequence[Path], origin: Origin) -> dict[str, dict[str, Any]]:
    """What the page shows for each checkpoint, by name: learning rates, losses in nats per token (or None), steps.

    Raises:
        UserError: a checkpoint belongs to another run than ``origin``.
    """
    keys = ["epoch", "steps", "learning_rate_in", "learning_rate_out", "train_loss", "dev_loss"]
    states = {}
    for path in paths:
        state = files.read_json(path, [*Origin._fields, *keys])
        if find_origin(state) != origin:
            raise UserError(f"{path}: is of {find_origin(state)}, but the probes are of {origin}; give that run's")
        states[name_checkpoint(state)] = {key: state[key] for key in keys}
    return states


def find_times(probes: Mapping[str, Path], states: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The states of what was probed, each with its ``checkpoint`` and its ``time`` in epochs.

    Inside the first epoch, the time is the part of its steps that were done.

    Raises:
        UserError: there is a checkpoint inside the first epoch, but none at its end.
    """
    times = []
    for name, path in probes.items():
        state = states[name]
        time = float(state["epoch"])
        if not state["epoch"] and state["steps"]:
            if "epoch1" not in states:
                raise UserError(
                    f"{path}: is inside epoch 1; give the state.json of epoch 1 too, for its number of steps"
                )
            time = state["steps"] / states["epoch1"]["steps"]
        times.append({"checkpoint": name, "time": time, **state})
    return times


def find_series(probes: Mapping[str, Path], vocabulary: int) -> dict[str, dict[str, list[str]]]:
    """The tensors that there is something to show of, by measure and role.

    Measures stand in the order of the files' columns, so that the page opens with the first, and surprisal is the last:
    it belongs to a word and a role, and to no tensor, and is taken where the softmax gives it. The static gradient has
    no input words.

    Raises:
        UserError: a probe has rows of an unknown role, word or tensor, or other measures or tensors than the first.
    """
    first: tuple[list[str], dict[str, list[str]]] | None = None
    for path in probes.values():
        measures = [name.removesuffix(MEAN) for name in files.read_schema(path).names if name.endswith(MEAN)]
        tensors = sort_tensors(read_tensors(path))
        frame = files.read_parquet(path, ["id", "role", "tensor"])
        check_rows(path, frame, vocabulary, tensors)
        present = {role: set(rows) for role, rows in frame.groupby("role", observed=True)["tensor"]}
        axes = measures, {role: [name for name in tensors if name in present.get(role, ())] for role in ROLES}
        first = first or axes
        if axes != first:
            other = next(iter(probes.values()))
            raise UserError(f"{path}: has other measures or tensors than {other}; probe both alike and run again")
    assert first
    measures, by_role = first
    series = {measure: by_role for measure in measures if measure != SURPRISAL}
    return series | {SURPRISAL: dict.fromkeys(ROLES, [OUTPUT])} if SURPRISAL in measures else series


def gather(
    probes: Mapping[str, Path], measure: str, tensors: list[str], vocabulary: int
) -> tuple[np.ndarray, np.ndarray]:
    """One measure's means at ``tensors``, and the number of positions that each is taken over.

    Returns:
        float32 and uint32, each (roles, tensors, checkpoints, vocabulary). Where a word never has the role, or the
        measure is nowhere defined, the mean is NaN and the number 0. Larger means become :data:`LARGEST`.
    """
    values = np.full((len(ROLES), len(tensors), len(probes), vocabulary), np.nan, np.float32)
    counts = np.zeros(values.shape, np.uint32)
    for e, path in enumerate(probes.values()):
        frame = files.read_parquet(path, ["id", "role", "tensor", "count", "zeros", measure + MEAN])
        frame = frame[frame["tensor"].isin(tensors)]
        role = pd.Index(ROLES).get_indexer(pd.Index(frame["role"]))
        tensor = pd.Index(tensors).get_indexer(pd.Index(frame["tensor"]))
        word = frame["id"].to_numpy()
        # Norms and surprisal are defined for a vector of zeros, measures of sparsity are not.
        n = frame["count"] if measure in (*NORMS, SURPRISAL) else frame["count"] - frame["zeros"]
        mean = frame[measure + MEAN].to_numpy(np.float64)
        defined = np.isfinite(mean) & (n > 0)
        values[role, tensor, e, word] = np.where(defined, mean.clip(-LARGEST, LARGEST), np.nan)
        counts[role, tensor, e, word] = n
    return values, counts


def split_planes(array: np.ndarray, n: int) -> bytes:
    """Rows of integers as differences from the row before, modulo 2³², in ``n`` planes of one byte, lowest first.

    From epoch to epoch a mean changes little: its upper bytes then are mostly zeros, which deflate well.
    """
    differences = np.diff(array.astype(np.uint32), axis=0, prepend=np.uint32(0))
    return differences.astype("<u4", order="C").view(np.uint8).reshape(-1, 4)[:, :n].T.tobytes()


def write_script(key: str, values: np.ndarray, counts: np.ndarray) -> str:
    """The script that hands over ``values`` and ``counts``, each (epochs, vocabulary).

    The upper three bytes of a value's float32 are kept, rounded: a relative error of at most 2⁻¹⁶.
    """
    bits = np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4").view(np.uint32)
    upper = (bits.astype(np.uint64) + 0x80 >> 8).astype(np.uint32)
    packed = base64.b64encode(zlib.compress(split_planes(upper, 3) + split_planes(counts, 4), 6)).decode()
    return f'explorer.receive({json.dumps(key)}, "{packed}");\n'
