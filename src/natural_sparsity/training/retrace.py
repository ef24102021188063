"""Train an epoch again, and check that it ends in the bits of its checkpoint.

The command writes checkpoints inside the first epoch. They are made after the run, so asking for more of them changes
nothing that other products depend on.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from natural_sparsity import files, registry
from natural_sparsity.config.base import read_block
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import Split, open_data
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from, check_run, check_tokens, name_checkpoint
from natural_sparsity.methods.base import Place, choose_seed
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import select_device, set_precision
from natural_sparsity.settings import add_expect_option, check_distinct, parse_json_object, parse_positive
from natural_sparsity.training.beginning import begin, collect
from natural_sparsity.training.loop import train_epoch
from natural_sparsity.training.observation import Observer
from natural_sparsity.training.steps import Step, make_step
from natural_sparsity.training.train import describe_machine, load_method


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--from", dest="start", type=Path, required=True, metavar="FOLDER", help="the untrained checkpoint"
    )
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="checkpoint of epoch 1")
    parser.add_argument("--train", type=Path, help=".npy, the training split; not for generated data")
    parser.add_argument("--training", type=parse_json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--teacher", type=Path, metavar="FOLDER", help="checkpoint that a student learns from")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N; that of the training")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; those of the training")
    parser.add_argument(
        "--resumable", action="store_true", help="keep what training goes on with, for models that rewind to a step"
    )
    parser.add_argument(
        "--steps", type=parse_positive, nargs="+", required=True, metavar="N", help="after which steps to keep one"
    )
    parser.add_argument(
        "--checkpoint", type=Path, nargs="+", required=True, metavar="FOLDER", help="out: a checkpoint for each step"
    )
    add_expect_option(parser)


def run(args: argparse.Namespace) -> None:
    """Train epoch 1 again and keep a checkpoint at each of the steps.

    Only ``--resumable`` ones have what training goes on with: the optimizer's memory, the hidden state, the state of
    the random numbers. The parameters wait in temporary files until the epoch has ended in the same bits.

    Raises:
        UserError: the epoch is another, is shorter than a step, or did not end in the bits, or a folder holds another
            checkpoint; nothing is written.
    """
    if len(args.steps) != len(args.checkpoint):
        raise UserError(f"{len(args.steps)} --steps but {len(args.checkpoint)} --checkpoint; give one folder per step")
    folders = dict(zip(args.steps, args.checkpoint, strict=True))
    if len(folders) < len(args.steps):
        raise UserError("--steps: a step repeats; give each once")
    check_distinct("--checkpoint", args.checkpoint)
    training = read_block(Training, args.training, "training")
    device = select_device(args.device, args.threads)
    set_precision(training.matmul_precision)
    state = checkpoint.read_state(args.to)
    check_run(args.to, state, args.expect)
    if state["epoch"] != 1:
        raise UserError(f"{args.to}: is {name_checkpoint(state)}; give epoch1, the only one with checkpoints inside")
    check_free(folders, state)
    if args.teacher and not state.get("teacher"):
        raise UserError(f"--teacher: {args.to} was trained without a teacher; leave it out")
    repetition = Repetition(args.start, args.to, args.train, training, device, args.teacher)
    check_steps(args.to, args.steps, repetition, args.resumable)
    common = {
        **state,
        **dict.fromkeys(("train_loss", "dev_loss", "dev_score", "best_dev_loss")),
        "epoch": 0,
        "learning_rate_out": state["learning_rate_in"],
        **describe_machine(device),
        **({"resumable": True} if args.resumable else {}),
    }
    kept: dict[Path, dict[str, Any]] = {}
    start = time.monotonic()
    with ExitStack() as waiting:

        def keep(step: int, examples: int) -> None:
            if folder := folders.get(step):
                temporary = waiting.enter_context(files.atomic(folder / checkpoint.PARAMETERS))
                state_of_step = [repetition.step.memory(), collect(repetition.step)] if args.resumable else []
                checkpoint.write_parameters(temporary, repetition.model, repetition.method.tensors, *state_of_step)
                seconds = round(time.monotonic() - start, 3)
                kept[folder] = {**common, "steps": step, "examples": examples, "wall_time_s": seconds}

        repetition.train(after_step=keep)
    for folder, inside in kept.items():
        checkpoint.write_state(folder, repetition.model, inside)


def check_free(folders: Mapping[int, Path], state: Mapping[str, Any]) -> None:
    """Refuse to write the step checkpoints of the run with ``state`` over anything but themselves.

    Raises:
        UserError: a folder, by step, holds another checkpoint.
    """
    for step, folder in folders.items():
        if (folder / checkpoint.STATE).exists():
            expected = {**{key: state[key] for key in ("data", "model", "seed")}, "epoch": 0, "steps": step}
            there = checkpoint.read_state(folder)
            if any(there[key] != value for key, value in expected.items()):
                run = f"{name_checkpoint(there)} of {there['data']}/{there['model']}, seed {there['seed']}"
                raise UserError(f"{folder}: holds {run}, which step{step} would replace; give another folder")


def check_steps(folder: Path, steps: list[int], repetition: "Repetition", resumable: bool = False) -> None:
    """Refuse steps that the epoch which ended in ``folder`` does not have, and methods that have no model there.

    A model that goes on from a step (``resumable``) has another step in the epoch.

    Raises:
        UserError: a line that says how many there can be.
    """
    last = len(repetition.split)
    if resumable and max(steps) >= last:
        raise UserError(
            f"{folder}: its epoch has {last} steps, so nothing goes on inside it from step {max(steps)}; set"
            f" sparsify.rewind to a step below {last}, or to an epoch"
        )
    if max(steps) > last:
        raise UserError(
            f"{folder}: its epoch has {last} steps, so there is no step {max(steps)};"
            f" lower first_epoch_checkpoints to {last.bit_length()} or less"
        )
    method = repetition.state["sparsify"].get("method")
    if method and not registry.load(registry.METHODS[method].settings).Settings.follows_steps:
        raise UserError(
            f"{folder}: models of {method} exist only at the end of an epoch; leave out first_epoch_checkpoints"
        )


class Repetition:
    """The epoch that ended in a checkpoint, to be trained again.

    Args:
        before, folder: the checkpoints before and after the epoch.
        tokens: the training stream; None for generated data.
        training: as the checkpoint was trained.
        device: where it was trained.
        teacher: the checkpoint that a student learns from.

    Raises:
        UserError: they do not belong together.
    """

    def __init__(
        self,
        before: Path,
        folder: Path,
        tokens: Path | None,
        training: Training,
        device: torch.device,
        teacher: Path | None = None,
    ):
        self.before, self.folder, self.training, self.device = before, folder, training, device
        self.state = checkpoint.read_state(folder)
        self.model, self.past = checkpoint.load(before, device)
        checkpoint.check_epoch_ended(before, self.past)
        check_succession(before, self.past, folder, self.state)
        if digest := check_tokens(tokens, folder, self.state, "train"):
            check_made_from(folder, self.state["tokens"], "train", str(tokens), digest, "train split")
        epoch, seed = self.state["epoch"], choose_seed(self.state["sparsify"], self.state["seed"])
        self.data = open_data(self.past["kind"], self.past["block"])
        self.split: Split = self.data.training_split(tokens, training, self.model.interface, seed, epoch)
        place = Place(epoch, len(self.split), self.split.examples, training.batch, self.data, teacher)
        self.method = load_method(self.state["sparsify"], self.model, before, place)
        self.step: Step

    def train(self, observer: Observer | None = None, after_step: Callable[[int, int], None] | None = None) -> None:
        """Train; ``observer`` sees every step, ``after_step`` is called as :func:`train_epoch` does.

        Raises:
            UserError: the epoch did not end in the checkpoint, bit for bit, so this is not how it was trained.
        """
        state = self.state
        memory = checkpoint.load_tensors(self.before, self.device, checkpoint.OPTIMIZER)
        rate, batch = self.past["learning_rate_out"], self.split.batch
        self.step = make_step(self.model, self.data, self.training, rate, batch, self.method, memory, observer)
        beginning = begin(self.step, self.before, self.past, state["epoch"])
        label = f"training of epoch {state['epoch']}"
        train_epoch(self.step, self.split, label, after_step=after_step, beginning=beginning)
        if checkpoint.digest(self.model, self.method.tensors, self.step.memory()) != state["parameters"]:
            machine = f"{state['device']}, threads: {state['threads']}, torch {state['versions']['torch']}"
            raise UserError(
                f"{self.folder}: its epoch, trained again, gave other parameters; it was trained on {machine}; repeat"
                " it there, with the same training block"
            )


def check_succession(before: Path, past: dict[str, Any], folder: Path, state: dict[str, Any]) -> None:
    """Refuse a checkpoint ``before`` that is not the one from which ``folder``'s was trained.

    Raises:
        UserError: a line that names both.
    """
    run = ("data", "model", "seed")
    if past["epoch"] + 1 == state["epoch"] and all(past[key] == state[key] for key in run):
        check_made_from(folder, state, "before", before, past["parameters"], "checkpoint")
    else:
        one, other = (
            f"{name_checkpoint(each)} of {each['data']}/{each['model']}, seed {each['seed']}" for each in (past, state)
        )
        raise UserError(f"{before}: is {one}; but {folder}, which is {other}, was not trained from it")
