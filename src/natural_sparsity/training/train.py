"""Train epochs, checkpoint in, checkpoint out.

Epoch k is a function of checkpoint k−1, the data, the seed and k alone.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import torch

from natural_sparsity import registry
from natural_sparsity.config.base import read_block
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.held_out import evaluate
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_made_from, check_run, check_tokens
from natural_sparsity.methods.base import Method, Place, choose_seed, implementation, make_method
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import select_device, set_precision
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.provenance import digest_code
from natural_sparsity.settings import add_expect_option, add_parents_option, check_distinct, parse_json_object
from natural_sparsity.training.beginning import begin
from natural_sparsity.training.loop import train_epoch
from natural_sparsity.training.saves import Interruption, Saves
from natural_sparsity.training.steps import make_step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--from", dest="start", type=Path, required=True, metavar="FOLDER", help="checkpoint of the epoch before"
    )
    parser.add_argument("--train", type=Path, help=".npy, the training split; not for generated data")
    parser.add_argument("--dev", type=Path, help=".npy, the dev split; not for generated data")
    parser.add_argument("--training", type=parse_json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--sparsify", type=parse_json_object, default={}, help="JSON, the configuration's block")
    parser.add_argument("--teacher", type=Path, metavar="FOLDER", help="checkpoint that a student learns from")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--save-interval-s",
        type=float,
        default=600,
        help="seconds between saves inside an epoch; a rerun resumes from one",
    )
    parser.add_argument(
        "--checkpoint", type=Path, nargs="+", required=True, metavar="FOLDER", help="out: one checkpoint per epoch"
    )
    parser.add_argument("--epochs", type=int, nargs="+", metavar="N", help="the epoch that each folder gets, to check")
    add_expect_option(parser)
    add_parents_option(parser, "teacher")


def run(args: argparse.Namespace) -> None:
    """Train as many epochs as there are output folders, each from the checkpoint that the one before wrote.

    Raises:
        UserError: another number of ``--epochs`` than of folders, or a folder repeats; also as :func:`run_epoch` does.
    """
    numbers = args.epochs or [None] * len(args.checkpoint)
    if len(numbers) != len(args.checkpoint):
        raise UserError(f"{len(numbers)} --epochs, {len(args.checkpoint)} --checkpoint: give as many of both")
    check_distinct("--from, --checkpoint", [args.start, *args.checkpoint])
    training = read_block(Training, args.training, "training")
    device = select_device(args.device, args.threads)
    set_precision(training.matmul_precision)
    before = args.start
    with Interruption() as interruption:
        for after, number in zip(args.checkpoint, numbers, strict=True):
            run_epoch(args, training, device, before, after, number, interruption)
            before = after


def load_method(sparsify: dict[str, Any], model: RecurrentModel, folder: Path, place: Place) -> Method:
    """The method of a model, with its tensors from a checkpoint; ``sparsify`` is empty for a dense model."""
    return make_method(sparsify, model, checkpoint.load_tensors(folder, model.output.weight.device), place)


def next_learning_rate(
    training: Training, learning_rate: float, epoch: int, dev_loss: float, best: float | None
) -> float:
    """Divide the rate by ``decay``, if there is one, after a milestone.

    Without ``milestones`` (None), do so when the dev loss of this epoch is no better than the ``best`` before it.
    """
    no_better = best is not None and dev_loss >= best
    lowered = no_better if training.milestones is None else epoch in training.milestones
    return learning_rate / training.decay if lowered and training.decay else learning_rate


def run_epoch(
    args: argparse.Namespace,
    training: Training,
    device: torch.device,
    before: Path,
    after: Path,
    number: int | None,
    interruption: Interruption,
) -> None:
    """Train one epoch from one checkpoint and write the next; ``number`` is the epoch that it must be, if given.

    Raises:
        UserError: a file cannot be used, or the loss is not finite; then the next checkpoint is not written.
        SystemExit: a signal came; the epoch can be resumed.
    """
    model, state = checkpoint.load(before, device)
    checkpoint.check_epoch_ended(before, state)
    check_run(before, state, args.expect | ({} if number is None else {"epoch": number - 1}))
    teacher = check_parents(args, before, state)
    epoch, seed, best = state["epoch"] + 1, state["seed"], state["best_dev_loss"]
    given = {"train": args.train, "dev": args.dev}
    tokens = {split: check_tokens(path, before, state, split) for split, path in given.items() if path}
    for split in state["tokens"]:
        check_made_from(before, state["tokens"], split, given[split] or before, tokens.get(split), f"{split} split")
    data = open_data(state["kind"], state["block"])
    order = choose_seed(args.sparsify, seed)
    train = data.training_split(args.train, training, model.interface, order, epoch)
    dev = data.split("dev", args.dev, training.evaluation_batch, training.window, model.interface)
    place = Place(epoch, len(train), train.examples, training.batch, data, args.teacher)
    method = load_method(args.sparsify, model, before, place)
    memory = checkpoint.load_tensors(before, device, checkpoint.OPTIMIZER)
    step = make_step(model, data, training, state["learning_rate_out"], training.batch, method, memory)
    beginning = begin(step, before, state, epoch)
    label, learning_rate = f"epoch {epoch}", step.learning_rate
    origin = {
        "epoch": epoch,
        "seed": seed,
        "learning_rate": learning_rate,
        "parameters": state["parameters"],
        "tokens": tokens,
        "kind": state["kind"],
        "block": state["block"],
        "training": training.model_dump(mode="json"),
        "sparsify": args.sparsify,
        "teacher": teacher,
        "device": device.type,
        "torch": torch.__version__,
        "code": [digest_code(name) for name in modules_behind(state["kind"], args.sparsify)],
    }
    path = after / ".partial.safetensors"
    saves = Saves(path, label, origin, step.tensors(), len(train), args.save_interval_s, interruption)
    train_loss = train_epoch(step, train, label, saves, beginning=beginning)
    dev_loss, dev_score = evaluate(model, data, dev, lambda: saves.after(len(train)))
    if not math.isfinite(dev_loss):
        raise UserError(f"{label}: the dev loss is not finite at learning rate {learning_rate:g}; lower it")
    following = next_learning_rate(training, learning_rate, epoch, dev_loss, best)
    next_state = {
        **{key: state[key] for key in ("data", "model", "kind", "block", "seed", "vocabulary")},
        "epoch": epoch,
        "before": state["parameters"],
        "tokens": tokens,
        "sparsify": args.sparsify,
        "teacher": teacher,
        "learning_rate_in": learning_rate,
        "learning_rate_out": learning_rate if method.optimization else following,  # a method's own rate is constant
        "train_loss": train_loss,
        "dev_loss": dev_loss,
        "dev_score": dev_score,
        "best_dev_loss": dev_loss if best is None else min(best, dev_loss),
        "steps": state["steps"] + len(train) - beginning.steps,
        "examples": state["examples"] + train.examples - beginning.examples,
        **describe_machine(device),
        "wall_time_s": round(saves.seconds(), 3),
    }
    checkpoint.save(after, model, next_state, method.tensors, step.memory())
    saves.remove()


def describe_machine(device: torch.device) -> dict[str, Any]:
    """What the bits of a training depend on, besides the versions: the device and the number of threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {"device": name, "threads": torch.get_num_threads()}


def check_parents(args: argparse.Namespace, before: Path, state: dict[str, Any]) -> str | None:
    """Check that the checkpoint to train from, the method and the teacher belong together; return the teacher's digest.

    Raises:
        UserError: a sparsified checkpoint would be trained by another method, or the teacher is of no use, of other
            data or another seed, of another run or epoch than ``--parents`` says, or not that of the epoch before.
    """
    method = state["sparsify"].get("method")
    if method and method != args.sparsify.get("method"):
        raise UserError(f"{before}: was made for the method {method}; give its block as --sparsify")
    teacher = check_teacher(args, before, state) if args.teacher else None
    if state.get("teacher"):  # a dense checkpoint, and one before the first epoch, has had none
        check_made_from(before, state, "teacher", args.teacher or "a run without a teacher", teacher)
    return teacher


def check_teacher(args: argparse.Namespace, before: Path, state: dict[str, Any]) -> str:
    """Check the teacher of the student in ``before``; return the digest of its parameters. Raise as above."""
    if not args.sparsify:
        raise UserError("--teacher: a dense model learns from nobody; give --sparsify, or leave the teacher out")
    teacher = checkpoint.read_state(args.teacher)
    for key in ("data", "kind", "block", "seed"):
        if teacher[key] != state[key]:
            raise UserError(
                f"{args.teacher}: its {key} is {teacher[key]}, the student's {state[key]}; give its own teacher"
            )
    check_made_from(args.teacher, teacher, "vocabulary", before, state["vocabulary"])
    check_run(args.teacher, teacher, args.parents.get("teacher", {}))
    return str(teacher["parameters"])


def modules_behind(kind: str, sparsify: dict[str, Any]) -> list[str]:
    """The modules whose code determines the result of training: the loop's, the kind of data's and the method's."""
    method = implementation(sparsify)
    data = f"natural_sparsity.{registry.DATA[kind].implementation}"
    return [__name__, data, *([method.__name__] if method else [])]
