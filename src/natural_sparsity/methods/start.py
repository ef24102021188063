"""Write the checkpoint that a sparsified model's training starts from, made from those of its parents."""

import argparse
from pathlib import Path

import torch

from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_run
from natural_sparsity.methods.base import implementation
from natural_sparsity.model import checkpoint
from natural_sparsity.settings import add_parents_option, parse_json_object

# The roles of models whose weights are newly drawn.
REDRAWN = ("random_init", "retrained", "equal_size")
# What training goes on with, besides parameters and the method's tensors.
GOES_ON = (checkpoint.OPTIMIZER, checkpoint.RESUME)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--from", dest="start", type=Path, required=True, metavar="FOLDER", help="checkpoint to start from"
    )
    parser.add_argument(
        "--masks", type=Path, metavar="FOLDER", help="checkpoint whose weights or masks decide what is kept"
    )
    parser.add_argument("--model", required=True, help="name of the sparsified model")
    parser.add_argument("--sparsify", type=parse_json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FOLDER", help="out: the checkpoint")
    add_parents_option(parser, "start, masks")


def run(args: argparse.Namespace) -> None:
    """Write the checkpoint; it is made on the CPU, so that every device starts from the same weights.

    Its epoch, counts and optimizer memory are those of the checkpoint it starts from, inside an epoch also the hidden
    state and the state of the random numbers; and so is its learning rate, unless the method has one of its own. Newly
    drawn weights and a method's own variables start without memory. Except for a twin, the best dev loss is forgotten:
    that of the dense weights would lower the rate until the pruned ones had caught up. ``made_from`` records the
    digests of both checkpoints.

    Raises:
        UserError: a checkpoint cannot be read or is of another run or epoch than ``--parents`` says, or the two are not
            of one architecture, data and seed.
    """
    cpu = torch.device("cpu")
    module = implementation(args.sparsify)
    if module is None:
        raise UserError("--sparsify: is empty; give the block of a sparsified model")
    if not hasattr(module, "start"):
        raise UserError(f"--sparsify: models of {args.sparsify['method']} start from initialise; leave this step out")
    model, state = checkpoint.load(args.start, cpu)
    checkpoint.check_epoch_ended(args.start, state)
    check_run(args.start, state, args.parents.get("start", {}))
    donor, made_from = None, {"from": state["parameters"], "masks": None}
    donor_tensors = checkpoint.load_tensors(args.masks or args.start, cpu)
    if args.masks:
        donor, other = checkpoint.load(args.masks, cpu)
        check_run(args.masks, other, args.parents.get("masks", {}))
        made_from["masks"] = other["parameters"]
        if any(
            other[key] != state[key]
            for key in ("data", "kind", "block", "interface", "architecture", "seed", "vocabulary")
        ):
            raise UserError(
                f"{args.masks}: of another model, data or seed than {args.start}; delete both and run again"
            )
    if hasattr(module, "rebuild"):
        model = module.rebuild(args.sparsify, model, donor_tensors, state["seed"])
    tensors = module.start(args.sparsify, model, donor, donor_tensors, state["seed"])
    best = state["best_dev_loss"] if getattr(module, "KEEPS_BEST", False) else None
    forgotten = {**dict.fromkeys(("train_loss", "dev_loss", "dev_score")), "best_dev_loss": best}
    redrawn = args.sparsify.get("role") in REDRAWN or getattr(module, "OWN_VARIABLES", False)
    rest = [{} if redrawn else checkpoint.load_tensors(args.start, cpu, prefix) for prefix in GOES_ON]
    start_state = {**state, **forgotten, "model": args.model, "sparsify": args.sparsify, "made_from": made_from}
    start_state["learning_rate_out"] = args.sparsify.get("learning_rate", state["learning_rate_out"])
    start_state.pop("teacher", None)
    if model.architecture.vectors is None:
        start_state.pop("vectors", None)  # a smaller model starts from none
    checkpoint.save(args.checkpoint, model, start_state, tensors, *rest)
