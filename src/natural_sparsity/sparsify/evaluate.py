"""What a checkpoint is worth and what it weighs: loss on held-out text, and weights that are not 0."""

import argparse
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import select_device
from natural_sparsity.sparsify.geometry import geometry
from natural_sparsity.sparsify.masks import TENSORS, prunable
from natural_sparsity.tasks.classify import Examples, outcomes
from natural_sparsity.training.train import held_out_loss, opened


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the split's stream")
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="safetensors, one a checkpoint")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="JSON, one a checkpoint")
    parser.add_argument("--batch", type=int, default=10, help="streams")
    parser.add_argument("--window", type=int, default=35, help="steps; they bound memory and change nothing")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="out: JSON")


def weight_counts(model: nn.Module) -> dict[str, dict[str, int]]:
    """Of each weight matrix (biases are not counted) its weights and those that are not 0."""
    weights = prunable(model, list(TENSORS))
    return {name: {"weights": w.numel(), "nonzero": int(w.count_nonzero())} for name, w in weights.items()}


def run(args: argparse.Namespace) -> None:
    """Write an evaluation of each checkpoint.

    Raises:
        UserError: not as many states as parameters.
    """
    if len(args.parameters) != len(args.state):
        raise UserError(f"--parameters names {len(args.parameters)} files and --state {len(args.state)}; give as many")
    device = select_device(args.device, args.threads)
    files.write_json(
        args.output,
        {
            "evaluations": [
                evaluated(args.tokens, args.batch, args.window, *paths, device)
                for paths in zip(args.parameters, args.state, strict=True)
            ]
        },
    )


def evaluated(
    tokens: Path, batch: int, window: int, parameters: Path, state_path: Path, device: torch.device
) -> dict[str, Any]:
    """Loss (nats per token), perplexity and counts of a checkpoint, all of the tensors that a reload gives."""
    model, state = checkpoint.load(parameters, state_path, device)
    data = opened(tokens, batch, window, state)
    loss = held_out_loss(model, data)
    counts = weight_counts(model)
    total, nonzero = (sum(count[key] for count in counts.values()) for key in ("weights", "nonzero"))
    sparsify = state.get("sparsify", {})
    return {
        "epoch": state["epoch"],
        "seed": state["seed"],
        "cell": state["architecture"]["cell"],
        "sparsify": sparsify,
        "loss": loss,
        "perplexity": math.exp(loss),
        **({"accuracy": outcomes(model, data)[1]} if isinstance(data, Examples) else {}),
        "weights": total,
        "nonzero": nonzero,
        "density": nonzero / total,
        "tensors": counts,
        "geometry": geometry(model, checkpoint.load_beside(parameters, device), sparsify),
        "sha256": state["sha256"],
    }
