"""The checkpoint of a task's model before the first epoch, drawn from the seed alone."""

import argparse
from pathlib import Path

from natural_sparsity.model.device import seed_everything
from natural_sparsity.settings import json_object, read_block
from natural_sparsity.tasks.kinds import task_of
from natural_sparsity.tasks.model import Architecture, TaskModel, save


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--task", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--architecture", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--parameters", type=Path, required=True, help="out: safetensors")
    parser.add_argument("--state", type=Path, required=True, help="out: JSON")


def run(args: argparse.Namespace) -> None:
    """Write epoch 0; it is drawn on the CPU, so that every device starts from the same weights."""
    sizes, architecture = task_of(args.task).sizes, read_block(Architecture, args.architecture)
    seed_everything(args.seed, "initialise")
    model = TaskModel(sizes, architecture)
    state = {"epoch": 0, "seed": args.seed, "task": args.task, "train_loss": None, "dev_loss": None, "dev_error": None}
    save(model, args.parameters, args.state, {**state, "steps": 0, "wall_time_s": 0.0}, {}, {})
