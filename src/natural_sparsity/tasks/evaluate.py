"""What checkpoints of a task's model are worth and what they weigh: held-out error, and weights that are not 0."""

import argparse
from pathlib import Path
from typing import Any

import torch

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model.checkpoint import load_beside
from natural_sparsity.model.device import select_device
from natural_sparsity.sparsify.evaluate import weight_counts
from natural_sparsity.sparsify.geometry import geometry
from natural_sparsity.tasks.kinds import task_of
from natural_sparsity.tasks.model import load
from natural_sparsity.tasks.train import evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="safetensors, one a checkpoint")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="JSON, one a checkpoint")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="out: JSON")


def run(args: argparse.Namespace) -> None:
    """Write an evaluation of each checkpoint.

    Raises:
        UserError: not as many states as parameters.
    """
    if len(args.parameters) != len(args.state):
        raise UserError(f"--parameters names {len(args.parameters)} files and --state {len(args.state)}; give as many")
    device = select_device(args.device, args.threads)
    found = [evaluated(*paths, device) for paths in zip(args.parameters, args.state, strict=True)]
    files.write_json(args.output, {"evaluations": found})


def evaluated(parameters: Path, state_path: Path, device: torch.device) -> dict[str, Any]:
    """Loss and error on the test split, and counts, all of the tensors that a reload gives."""
    model, state = load(parameters, state_path, device)
    task = task_of(state["task"])
    loss, error = evaluate(model, task, state["task"], "test")
    counts, sparsify = weight_counts(model), state.get("sparsify", {})
    total, nonzero = (sum(count[key] for count in counts.values()) for key in ("weights", "nonzero"))
    return {
        "epoch": state["epoch"],
        "seed": state["seed"],
        "cell": state["architecture"]["cell"],
        "sparsify": sparsify,
        "loss": loss,
        "error": error,
        "measures": task.error,
        "digits": task.digits,
        "weights": total,
        "nonzero": nonzero,
        "density": nonzero / total,
        "tensors": counts,
        "geometry": geometry(model, load_beside(parameters, device), sparsify),
        "sha256": state["sha256"],
    }
