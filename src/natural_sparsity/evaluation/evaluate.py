"""Held-out loss and nonzero weight counts of a checkpoint, of any kind of data."""

import argparse
from pathlib import Path
from typing import Any

from torch import nn

from natural_sparsity import files
from natural_sparsity.evaluation.geometry import geometry
from natural_sparsity.evaluation.subject import Subject, add_device_arguments, add_split_arguments, open_subject
from natural_sparsity.methods.masks import TENSORS, prunable
from natural_sparsity.model.device import select_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_split_arguments(parser)
    add_device_arguments(parser, default="auto")


def run(args: argparse.Namespace) -> None:
    """Write the evaluation of a checkpoint."""
    device = select_device(args.device, args.threads)
    subject = open_subject(args.checkpoint, device, args.expect)
    files.write_json(args.output, evaluate(subject, args.test, args.batch, args.window))


def evaluate(subject: Subject, test: Path | None, batch: int, window: int) -> dict[str, Any]:
    """Return held-out loss and score, weight counts and geometry, all of the tensors that a reload gives."""
    scores = subject.score(subject.open_split("test", test, batch, window))
    counts = count_weights(subject.model)
    total, nonzero = (sum(count[key] for count in counts.values()) for key in ("weights", "nonzero"))
    return {
        **subject.identify(),
        **scores,
        "weights": total,
        "nonzero": nonzero,
        "density": nonzero / total,
        "tensors": counts,
        "geometry": geometry(subject.model, subject.tensors, subject.state["sparsify"]),
    }


def count_weights(model: nn.Module) -> dict[str, dict[str, int]]:
    """Count the weights, and those that are not 0, of each weight matrix; biases are not counted."""
    weights = prunable(model, list(TENSORS))
    return {name: {"weights": w.numel(), "nonzero": int(w.count_nonzero())} for name, w in weights.items()}
