"""The checkpoint that a sparsified model's training starts from, made from those of its parents."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.settings import json_object
from natural_sparsity.sparsify.methods import module_of
from natural_sparsity.tasks import model as of_task

# The roles of models whose weights are drawn anew.
REDRAWN = ("random_init", "retrained")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--from-parameters", type=Path, required=True, help="safetensors of the epoch to start at")
    parser.add_argument("--from-state", type=Path, required=True, help="JSON of the epoch to start at")
    parser.add_argument("--masks-parameters", type=Path, help="safetensors whose weights or masks decide what is kept")
    parser.add_argument("--masks-state", type=Path, help="JSON of the same")
    parser.add_argument("--sparsify", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--parameters", type=Path, required=True, help="out: safetensors")
    parser.add_argument("--state", type=Path, required=True, help="out: JSON")


def load(parameters: Path, state_path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """A checkpoint of a language model or of a task's, on the CPU."""
    of = of_task if "task" in files.read_json(state_path) else checkpoint
    return of.load(parameters, state_path, torch.device("cpu"))


def save(
    model: nn.Module,
    args: argparse.Namespace,
    state: dict[str, Any],
    kept: Mapping[str, Tensor],
    memory: Mapping[str, Tensor],
) -> None:
    """Write the checkpoint, of either."""
    if isinstance(model, of_task.TaskModel):
        of_task.save(model, args.parameters, args.state, state, kept, memory)
    else:
        assert isinstance(model, LanguageModel)
        checkpoint.save(model, args.parameters, args.state, state, kept)


def run(args: argparse.Namespace) -> None:
    """Write the checkpoint; it is made on the CPU, so that every device starts from the same weights.

    Its epoch, learning rate, counts and optimiser's memory are those of the checkpoint it starts at; for newly drawn
    weights the memory is empty. The best dev loss is forgotten: that of the dense weights would lower the rate until
    the pruned ones had caught up.
    """
    cpu = torch.device("cpu")
    module = module_of(args.sparsify["method"])
    model, state = load(args.from_parameters, args.from_state)
    decides, decided = None, {}
    if args.masks_parameters:
        decides, of = load(args.masks_parameters, args.masks_state)
        decided = checkpoint.load_beside(args.masks_parameters, cpu)
        if any(of.get(key) != state.get(key) for key in ("vocabulary", "task", "architecture", "seed")):
            raise UserError(f"{args.masks_state}: of another model or seed than {args.from_state}; delete both")
    kept = module.start(args.sparsify, model, decides, decided, state["seed"])
    begun = {**state, "best_dev_loss": None, "train_loss": None, "dev_loss": None, "sparsify": args.sparsify}
    drawn = args.sparsify.get("role") in REDRAWN
    memory = {} if drawn else checkpoint.load_beside(args.from_parameters, cpu, checkpoint.OPTIMISER)
    save(model, args, begun, kept, memory)
