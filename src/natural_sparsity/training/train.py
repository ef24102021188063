"""Epochs of training: epoch k is a function of checkpoint k−1, the tokens, the seed and k alone."""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything, select_device, set_precision
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.progress import Progress
from natural_sparsity.provenance import code_digest
from natural_sparsity.settings import json_object, read_block
from natural_sparsity.sparsify.method import Method, Place
from natural_sparsity.sparsify.methods import module_of
from natural_sparsity.tasks import classify
from natural_sparsity.training.saves import Interruption, Saves
from natural_sparsity.training.settings import Training
from natural_sparsity.training.step import Replayed, Step

Checkpoint = tuple[Path, Path]  # parameters and state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--train", type=Path, required=True, help=".npy, the training stream")
    parser.add_argument("--dev", type=Path, required=True, help=".npy, the dev stream")
    parser.add_argument("--from-parameters", type=Path, required=True, help="safetensors of the epoch before")
    parser.add_argument("--from-state", type=Path, required=True, help="JSON of the epoch before")
    parser.add_argument("--training", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--sparsify", type=json_object, default={}, help="JSON, the configuration's block")
    parser.add_argument("--teacher-parameters", type=Path, help="safetensors of the model that a student learns from")
    parser.add_argument("--teacher-state", type=Path, help="JSON of the same")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--save-interval-s",
        type=float,
        default=600,
        help="seconds between saves inside an epoch, of which a rerun goes on",
    )
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="out: safetensors, one an epoch")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="out: JSON, one an epoch")


def train_steps(
    model: LanguageModel, streams: Streams, training: Training, learning_rate: float
) -> Iterator[tuple[Tensor, int]]:
    """Train on each window in turn; yield its mean loss (nats, on the device) and its number of tokens."""
    step = Step(model, training, learning_rate, streams.batch)
    for loss, tokens in run_steps(step, streams):
        yield loss.clone(), tokens


def run_steps(step: Step, streams: Streams | classify.Examples, first: int = 0) -> Iterator[tuple[Tensor, int]]:
    """Run ``step`` over the windows from ``first`` on, captured where there is CUDA.

    Yields as :func:`train_steps` does, but each loss overwrites the one before.
    """
    device = step.total.device
    run = Replayed(step) if device.type == "cuda" else step
    for number, (inputs, targets) in enumerate(streams.windows(device, first), first):
        step.method.before_step(number)
        yield run(inputs, targets), targets.numel()


def train_epoch(step: Step, streams: Streams | classify.Examples, label: str, saves: Saves | None = None) -> float:
    """Train for one epoch, or the rest of one that was interrupted; the mean loss over all its tokens, in nats.

    Raises:
        UserError: the loss is not finite.
        SystemExit: a signal came; the epoch can be resumed.
    """
    step.model.train()
    first = saves.resume() if saves else 0
    progress = Progress(label, streams.tokens, min(first * streams.window * streams.batch, streams.tokens))
    for number, (_, tokens) in enumerate(run_steps(step, streams, first), first + 1):
        progress.advance(tokens)
        if progress.due():
            progress.show(finite_total(step, label) / progress.done)
        if saves:
            saves.after(number)
    step.method.close()
    progress.close()
    return finite_total(step, label) / streams.tokens


def load_method(sparsify: dict[str, Any], model: LanguageModel, parameters: Path, place: Place) -> Method:
    """The method of a sparsified model (``sparsify`` is empty for a dense one), with its tensors from a checkpoint."""
    beside = checkpoint.load_beside(parameters, model.output.weight.device)
    return module_of(sparsify.get("method", "")).make(sparsify, model, beside, place)


def finite_total(step: Step, label: str) -> float:
    """The loss summed over the epoch's tokens so far, nats; it waits for the device.

    Raises:
        UserError: it is not finite; the step is the first one whose loss was not.
    """
    total = float(step.total)
    if not math.isfinite(total):
        rate = f"learning rate {step.learning_rate:g}"
        raise UserError(f"{label}, step {int(step.finite) + 1}: the loss is not finite at {rate}; lower it")
    return total


@torch.no_grad()
def evaluate(model: LanguageModel, streams: Streams, between: Callable[[], None] = lambda: None) -> float:
    """The mean loss over the streams' tokens, in nats, without dropout; ``between`` is called after each window."""
    model.eval()
    output = OutputLayer(model.output)
    state = model.zero_state(streams.batch)
    total = torch.zeros((), dtype=torch.float64, device=model.output.weight.device)
    for inputs, targets in streams.windows(model.output.weight.device):
        _, features, state = model(inputs, state)
        total += output.losses(features.flatten(0, 1), targets.flatten()).double().sum()
        between()
    return float(total) / streams.tokens


def held_out_loss(
    model: LanguageModel, data: Streams | classify.Examples, between: Callable[[], None] = lambda: None
) -> float:
    """The mean loss over tokens, or over texts, nats."""
    return (
        classify.evaluate(model, data, between)
        if isinstance(data, classify.Examples)
        else evaluate(model, data, between)
    )


def next_learning_rate(learning_rate: float, dev_loss: float, best: float | None, decay: float) -> float:
    """Divided by ``decay`` if ``dev_loss`` is no better than the best of the epochs before, else unchanged."""
    return learning_rate / decay if best is not None and dev_loss >= best else learning_rate


def run(args: argparse.Namespace) -> None:
    """Train as many epochs as there are outputs, each from the checkpoint that the one before has written."""
    if len(args.parameters) != len(args.state):
        raise UserError(f"--parameters names {len(args.parameters)} files and --state {len(args.state)}; give as many")
    training = read_block(Training, args.training)
    device = select_device(args.device, args.threads)
    set_precision(training.matmul_precision)
    before = (args.from_parameters, args.from_state)
    with Interruption() as interruption:
        for after in zip(args.parameters, args.state, strict=True):
            run_epoch(args, training, device, before, after, interruption)
            before = after


def opened(path: Path, batch: int, window: int, state: dict[str, Any]) -> Streams | classify.Examples:
    """The tokens of a split, or the texts that a classifier reads."""
    kind = classify.Examples if "classes" in state else Streams
    return kind(path, batch, window, state["vocabulary"])


def run_epoch(
    args: argparse.Namespace,
    training: Training,
    device: torch.device,
    before: Checkpoint,
    after: Checkpoint,
    interruption: Interruption,
) -> None:
    """Train one epoch from the files of one checkpoint and write those of the next.

    Raises:
        UserError: a file cannot be used, or the loss is not finite; then the next checkpoint is not written.
        SystemExit: a signal came; the epoch can be resumed.
    """
    model, state = checkpoint.load(*before, device)
    epoch, learning_rate, best = state["epoch"] + 1, state["learning_rate_out"], state["best_dev_loss"]
    train = opened(args.train, training.batch, training.window, state)
    dev = opened(args.dev, training.evaluation_batch, training.window, state)
    if isinstance(train, classify.Examples):
        train.shuffled(state["seed"], epoch)
    teacher = (args.teacher_parameters, args.teacher_state) if args.teacher_parameters else None
    place = Place(epoch, len(train), train.tokens, training.batch, teacher)
    method = load_method(args.sparsify, model, before[0], place)
    learning_rate = method.learning_rate or learning_rate
    seed_everything(state["seed"], epoch)
    step_of = classify.ClassifierStep if isinstance(train, classify.Examples) else Step
    label, step = f"epoch {epoch}", step_of(model, training, learning_rate, training.batch, method=method)
    origin = {
        "epoch": epoch,
        "seed": state["seed"],
        "learning_rate": learning_rate,
        "parameters": state["sha256"],
        "tokens": checkpoint.sha256_of(args.train),
        "training": asdict(training),
        "sparsify": args.sparsify,
        "teacher": checkpoint.sha256_of(teacher[0]) if teacher else None,
        "device": device.type,
        "torch": torch.__version__,
        "code": [code_digest(name) for name in (__name__, module_of(args.sparsify.get("method", "")).__name__)],
    }
    path = after[0].with_suffix(".partial.safetensors")
    saves = Saves(path, label, origin, step.tensors(), len(train), args.save_interval_s, interruption)
    train_loss = train_epoch(step, train, label, saves)
    dev_loss = held_out_loss(model, dev, lambda: saves.after(len(train)))
    if not math.isfinite(dev_loss):
        raise UserError(f"{label}: the dev loss is not finite at learning rate {learning_rate:g}; lower it")
    next_state = {
        "epoch": epoch,
        "seed": state["seed"],
        "learning_rate_in": learning_rate,
        "learning_rate_out": method.learning_rate or next_learning_rate(learning_rate, dev_loss, best, training.decay),
        "train_loss": train_loss,
        "dev_loss": dev_loss,
        "best_dev_loss": dev_loss if best is None else min(best, dev_loss),
        "steps": state["steps"] + len(train),
        "tokens": state["tokens"] + train.tokens,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "wall_time_s": round(saves.seconds(), 3),
    }
    if args.sparsify:
        next_state["sparsify"] = args.sparsify
    checkpoint.save(model, *after, next_state, method.tensors)
    saves.remove()
