"""Products as the workflow writes them, with numbers made up for a test. Any test can import this module."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.identity import name_checkpoint
from natural_sparsity.tables.writer import Table

VOCABULARY = "vocabulary"
RUN = {"data": "corpus", "model": "lstm", "seed": 1}
PERPLEXITY = {"measure": "perplexity", "digits": 1, "higher_is_better": False}
ACCURACY = {"measure": "accuracy", "digits": 3, "higher_is_better": True}
SQUARES = {"measure": "mean squared error", "digits": 4, "higher_is_better": False}


# Of every made-up epoch.
STEPS, EXAMPLES = 1000, 70_000


def name_parameters(run: dict[str, Any], checkpoint: str) -> str:
    """What stands for the digest of a checkpoint's parameters."""
    return f"{run['data']}/{run['model']}/{run['seed']}/{checkpoint}"


def count_seen(epoch: int = 1, steps: int | None = None) -> dict[str, int]:
    """A checkpoint's ``epoch, steps, examples``, a step checkpoint's for epoch 0 with ``steps``."""
    steps = STEPS * epoch if steps is None else steps
    return {"epoch": epoch, "steps": steps, "examples": steps * EXAMPLES // STEPS}


def write_state(path: Path, epoch: int = 1, steps: int | None = None, **fields: Any) -> Path:
    """The state of a checkpoint, which trained at a constant rate unless ``fields`` say otherwise."""
    state = {
        **RUN,
        **count_seen(epoch, steps),
        "kind": "text",
        "sparsify": {},
        "learning_rate_in": 20,
        "learning_rate_out": 20,
        **fields,
    }
    digests = {
        "parameters": name_parameters(state, name_checkpoint(state)),
        "before": name_parameters(state, name_checkpoint(count_seen(epoch - 1))) if epoch else None,
    }
    losses = dict.fromkeys(["train_loss", "dev_loss"], 5.0 if epoch else None)
    files.write_json(path, {**losses, **digests, **state})
    return path


def write_evaluation(path: Path, **fields: Any) -> Path:
    """An evaluation, in perplexity unless ``fields`` say otherwise."""
    value = {
        **RUN,
        "epoch": 6,
        "kind": "text",
        "cell": "lstm",
        "sparsify": {},
        **PERPLEXITY,
        "loss": 5.0,
        "score": 150.0,
    }
    files.write_json(path, {**value, "weights": 1000, "nonzero": 1000, "density": 1.0, "geometry": {}, **fields})
    return path


def write_line(path: Path, family: str, rewind: int | str, barrier: float, **fields: Any) -> Path:
    """The losses between a model and a twin: 5.0 at the model, 5.2 at the twin, and a peak half way."""
    shares = np.linspace(0, 1, 21).tolist()
    losses = [5.0 + 0.2 * share for share in shares]
    losses[10] = 5.1 + barrier
    sparsify = {"method": "twin", "family": family, "role": "twin", "rewind": rewind}
    value = {**RUN, "epoch": 6, "kind": "text", "sparsify": sparsify, "shares": shares, "losses": losses}
    files.write_json(path, {**value, "barrier": barrier, **fields})
    return path


def write_correlations(path: Path, frame: pd.DataFrame, **metadata: Any) -> Path:
    """Correlations, or differences of correlations, as ``correlate`` writes them.

    ``frame`` may lack ``steps`` and ``tokens``: they are then those of its epochs.
    """
    frame = frame.reset_index(drop=True)
    steps = frame["steps"] if "steps" in frame else STEPS * frame["epoch"]
    frame = frame.assign(steps=steps, tokens=frame["tokens"] if "tokens" in frame else steps * EXAMPLES // STEPS)
    statistics = {"resamples": 1000, "level": 0.95, "seed": 1}
    about = {**RUN, "condition": "frozen", "statistics": statistics, "probe": {}, "words": "words", **metadata}
    times = frame[["epoch", "steps"]].drop_duplicates().to_dict("records")
    files.write_parquet(path, frame, {**name_sources(about, map(name_checkpoint, times)), **about})
    return path


def write_probe(path: Path, frame: pd.DataFrame, epoch: int = 1, steps: int | None = None, **metadata: Any) -> Path:
    """A probe of a checkpoint: ``init`` for epoch 0, a step checkpoint for epoch 0 with ``steps``."""
    seen = count_seen(epoch, steps)
    checkpoint = name_checkpoint(seen)
    about = {**RUN, **seen, "condition": "frozen", "measures": ["chi"], "probe": {}, **metadata}
    files.write_parquet(path, frame, {**name_sources(about, [checkpoint]), "checkpoint": checkpoint, **about})
    return path


def name_sources(run: dict[str, Any], checkpoints: Iterable[str]) -> dict[str, Any]:
    """What stands for the digests of what a probe or correlations of a run were made from."""
    checkpoints = {name: name_parameters(run, name) for name in checkpoints}
    return {"checkpoints": checkpoints, "vocabulary": VOCABULARY, "tokens": "tokens"}


def write_words(path: Path, frame: pd.DataFrame, **metadata: Any) -> Path:
    """A table of words, of the vocabulary that probes are of; without samples of equal frequency unless given."""
    none = {"matched": False, "pair": np.int32(-1)}
    frame = frame.assign(**{name: value for name, value in none.items() if name not in frame})
    files.write_parquet(path, frame, {"vocabulary": VOCABULARY, **metadata})
    return path


def parse(module: ModuleType, **options: Any) -> argparse.Namespace:
    """The arguments of a table or a figure from its own parser, given as ``options``."""
    parser, words = argparse.ArgumentParser(), []
    module.add_arguments(parser)
    for name, value in options.items():
        words += [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return parser.parse_args(words)


def tabulate(module: ModuleType, **options: Any) -> Table:
    """The table that a module makes of files."""
    return module.tabulate(parse(module, **options))


def grid_lines(table: Table) -> list[str]:
    """The lines of the table's grids, as readers see them."""
    return [" | ".join(line) for grid in table.grids for line in (grid.heads, *grid.rows)]


def describe_depth(layers: int) -> list[str]:
    """The tensors of a model with so many recurrent layers, as a probe names them."""
    activations = ["h_e", *(f"h_{layer}" for layer in range(1, layers + 1)), "x"]
    return [*activations, *(f"grad_{name}" for name in activations)]


# A dense model and what was made from it: how far its correlations lie above the dense one's, and its place.
SHIFT = {"dense": 0.0, "imp-level1": 0.1, "imp-level1-random_mask": -0.2, "student": 0.3}
PLACES: dict[str, dict[str, Any]] = {
    "dense": {},
    "imp-level1": {"family": "imp", "role": "ticket", "level": 1},
    "imp-level1-random_mask": {"family": "imp", "role": "random_mask", "level": 1},
    "student": {"family": "student", "role": "student"},
}


def write_member(
    folder: Path,
    model: str,
    seed: int,
    hidden: Sequence[int] = (7, 8),
    epochs: Sequence[int] = (0, 1, 2),
    tensors: Sequence[str] = ("h_2", "grad_h_2", "x"),
) -> tuple[Path, Path]:
    """Correlations and last state of one model of a family; the models of a seed share the noise."""
    generator = np.random.default_rng(seed)
    rows = []
    for epoch in epochs:
        for tensor in tensors:
            for statistic in ("pearson", "pearson_log", "spearman", "mean"):
                for role in ("target", "input"):
                    value = generator.normal(0, 0.05) + SHIFT[model] * epoch / 2 + (5 if role == "input" else 0)
                    rows.append((epoch, role, tensor, "chi", "all", statistic, value, value - 0.1, value + 0.1, 90))
    columns = ["epoch", "role", "tensor", "measure", "words", "statistic", "value", "low", "high", "n"]
    run = {"model": model, "seed": seed}
    correlations = write_correlations(folder / f"{model}{seed}.parquet", pd.DataFrame(rows, columns=columns), **run)
    fields = {"epoch": max(epochs), "architecture": {"embedding": 5, "hidden": list(hidden)}}
    return correlations, write_state(folder / f"{model}{seed}.json", **run, **fields, sparsify=PLACES[model])


def write_family(folder: Path, seeds: Sequence[int] = (1, 2, 3)) -> tuple[list[Path], list[Path]]:
    """Correlations and states of four models, the student's of another width."""
    pairs = [
        write_member(folder, model, seed, (7, 4) if model == "student" else (7, 8)) for model in SHIFT for seed in seeds
    ]
    correlations, states = zip(*pairs, strict=True)
    return list(correlations), list(states)
