"""The checkpoint that a sparsified model's training starts from, made from those of its parents."""

import argparse
from pathlib import Path

import torch

from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.settings import json_object
from natural_sparsity.sparsify.methods import module_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--from-parameters", type=Path, required=True, help="safetensors of the epoch to start at")
    parser.add_argument("--from-state", type=Path, required=True, help="JSON of the epoch to start at")
    parser.add_argument("--masks-parameters", type=Path, help="safetensors whose weights or masks decide what is kept")
    parser.add_argument("--masks-state", type=Path, help="JSON of the same")
    parser.add_argument("--sparsify", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--parameters", type=Path, required=True, help="out: safetensors")
    parser.add_argument("--state", type=Path, required=True, help="out: JSON")


def run(args: argparse.Namespace) -> None:
    """Write the checkpoint; it is made on the CPU, so that every device starts from the same weights.

    Its epoch, learning rate and counts are those of the checkpoint it starts at. The best dev loss is forgotten: that
    of the dense weights would lower the rate until the pruned ones had caught up.
    """
    cpu = torch.device("cpu")
    module = module_of(args.sparsify["method"])
    model, state = checkpoint.load(args.from_parameters, args.from_state, cpu)
    decides, decided = None, {}
    if args.masks_parameters:
        decides, of = checkpoint.load(args.masks_parameters, args.masks_state, cpu)
        decided = checkpoint.load_beside(args.masks_parameters, cpu)
        if any(of[key] != state[key] for key in ("vocabulary", "architecture", "seed")):
            raise UserError(f"{args.masks_state}: of another model or seed than {args.from_state}; delete both")
    kept = module.start(args.sparsify, model, decides, decided, state["seed"])
    begun = {**state, "best_dev_loss": None, "train_loss": None, "dev_loss": None, "sparsify": args.sparsify}
    checkpoint.save(model, args.parameters, args.state, begun, kept)
