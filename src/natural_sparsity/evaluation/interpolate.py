"""Dev loss along the straight line between the weights of a model and of its twin, and the barrier on it.

The error barrier (Frankle et al. 2020, arXiv 1912.05671; here of the dev loss) is the largest loss on the line, minus
the mean of the losses at its two ends.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from natural_sparsity import files
from natural_sparsity.data import held_out
from natural_sparsity.data.base import Split
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation.subject import Subject, add_device_arguments, add_split_arguments, open_subject
from natural_sparsity.model.device import select_device
from natural_sparsity.settings import add_parents_option

# Points on the line, the ends included.
POINTS = 21


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_split_arguments(parser, "dev")
    parser.add_argument("--original", type=Path, required=True, metavar="FOLDER", help="checkpoint at the other end")
    add_device_arguments(parser, default="auto")
    add_parents_option(parser, "original")


def run(args: argparse.Namespace) -> None:
    """Write the losses on the line from the original to the checkpoint.

    Raises:
        UserError: a checkpoint cannot be read or is of another run or epoch than expected, or the two are not of one
            architecture, data, seed and epoch.
    """
    device = select_device(args.device, args.threads)
    twin = open_subject(args.checkpoint, device, args.expect)
    original = open_subject(args.original, device, args.parents.get("original", {}))
    for key in ("data", "kind", "block", "interface", "architecture", "seed", "epoch", "vocabulary"):
        if original.state[key] != twin.state[key]:
            raise UserError(f"{args.original}: of another {key} than {args.checkpoint}; delete both and run again")
    split = twin.open_split("dev", args.dev, args.batch, args.window)
    files.write_json(args.output, twin.identify() | measure_line(original, twin, split))


@torch.no_grad()
def measure_line(original: Subject, twin: Subject, split: Split) -> dict[str, Any]:
    """Return the ``shares`` of the twin in the weights, from 0 to 1, the ``losses`` there, and the ``barrier``.

    ``original`` is the digest of that checkpoint's parameters. The twin's model is left as it was.
    """
    first, last = (
        {name: value.detach().clone() for name, value in each.model.named_parameters()} for each in (original, twin)
    )
    shares, losses = np.linspace(0, 1, POINTS).tolist(), []
    for share in shares:
        for name, parameter in twin.model.named_parameters():
            parameter.copy_(torch.lerp(first[name], last[name], share))  # exact at both ends
        losses.append(held_out.evaluate(twin.model, twin.data, split).loss)
    barrier = find_barrier(losses)
    return {"original": original.state["parameters"], "shares": shares, "losses": losses, "barrier": barrier}


def find_barrier(losses: list[float]) -> float:
    """Return the largest of the losses on a line, minus the mean of the first and the last."""
    return max(losses) - (losses[0] + losses[-1]) / 2
