"""Epochs of training: epoch k is a function of checkpoint k−1, the tokens, the seed and k alone."""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything, select_device
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.progress import Progress
from natural_sparsity.settings import json_object, read_block
from natural_sparsity.training.settings import Training
from natural_sparsity.training.step import Observer, Replayed, Step

Checkpoint = tuple[Path, Path]  # parameters and state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--train", type=Path, required=True, help=".npy, the training stream")
    parser.add_argument("--dev", type=Path, required=True, help=".npy, the dev stream")
    parser.add_argument("--from-parameters", type=Path, required=True, help="safetensors of the epoch before")
    parser.add_argument("--from-state", type=Path, required=True, help="JSON of the epoch before")
    parser.add_argument("--training", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="out: safetensors, one an epoch")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="out: JSON, one an epoch")


def train_steps(
    model: LanguageModel, streams: Streams, training: Training, learning_rate: float
) -> Iterator[tuple[Tensor, int]]:
    """Train on each window in turn; yield its mean loss (nats, on the device) and its number of tokens."""
    step = Step(model, training, learning_rate, streams.batch)
    for loss, tokens in run_steps(step, streams):
        yield loss.clone(), tokens


def run_steps(step: Step, streams: Streams) -> Iterator[tuple[Tensor, int]]:
    """Run ``step`` over the windows, captured where there is CUDA; yield as :func:`train_steps` does, in one memory."""
    device = step.total.device
    run = Replayed(step) if device.type == "cuda" else step
    for inputs, targets in streams.windows(device):
        yield run(inputs, targets), targets.numel()


def train_epoch(
    model: LanguageModel,
    streams: Streams,
    training: Training,
    learning_rate: float,
    label: str,
    observer: Observer | None = None,
) -> float:
    """Train for one epoch and return the mean loss over its tokens, in nats; ``observer`` sees each step.

    Raises:
        UserError: the loss is not finite.
    """
    model.train()
    progress = Progress(label, streams.tokens)
    step = Step(model, training, learning_rate, streams.batch, observer)
    for _, tokens in run_steps(step, streams):
        progress.advance(tokens)
        if progress.due():
            progress.show(finite_total(step, label) / progress.done)
    progress.close()
    return finite_total(step, label) / streams.tokens


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
def evaluate(model: LanguageModel, streams: Streams) -> float:
    """The mean loss over the streams' tokens, in nats, without dropout."""
    model.eval()
    output = OutputLayer(model.output)
    state = model.zero_state(streams.batch)
    total = torch.zeros((), dtype=torch.float64, device=model.output.weight.device)
    for inputs, targets in streams.windows(model.output.weight.device):
        _, features, state = model(inputs, state)
        total += output.losses(features.flatten(0, 1), targets.flatten()).double().sum()
    return float(total) / streams.tokens


def next_learning_rate(learning_rate: float, dev_loss: float, best: float | None, decay: float) -> float:
    """Divided by ``decay`` if ``dev_loss`` is no better than the best of the epochs before, else unchanged."""
    return learning_rate / decay if best is not None and dev_loss >= best else learning_rate


def run(args: argparse.Namespace) -> None:
    """Train as many epochs as there are outputs, each from the checkpoint that the one before has written."""
    if len(args.parameters) != len(args.state):
        raise UserError(f"--parameters names {len(args.parameters)} files and --state {len(args.state)}; give as many")
    training = read_block(Training, args.training)
    device = select_device(args.device, args.threads)
    torch.set_float32_matmul_precision(training.matmul_precision)
    before = (args.from_parameters, args.from_state)
    for after in zip(args.parameters, args.state, strict=True):
        run_epoch(args.train, args.dev, training, device, before, after)
        before = after


def run_epoch(
    train_path: Path, dev_path: Path, training: Training, device: torch.device, before: Checkpoint, after: Checkpoint
) -> None:
    """Train one epoch from the files of one checkpoint and write those of the next.

    Raises:
        UserError: a file cannot be used, or the loss is not finite; then the next checkpoint is not written.
    """
    start = time.monotonic()
    model, state = checkpoint.load(*before, device)
    epoch, learning_rate, best = state["epoch"] + 1, state["learning_rate_out"], state["best_dev_loss"]
    train = Streams(train_path, training.batch, training.window, state["vocabulary"])
    dev = Streams(dev_path, training.evaluation_batch, training.window, state["vocabulary"])
    seed_everything(state["seed"], epoch)
    train_loss = train_epoch(model, train, training, learning_rate, f"epoch {epoch}")
    dev_loss = evaluate(model, dev)
    if not math.isfinite(dev_loss):
        raise UserError(f"epoch {epoch}: the dev loss is not finite at learning rate {learning_rate:g}; lower it")
    next_state = {
        "epoch": epoch,
        "seed": state["seed"],
        "learning_rate_in": learning_rate,
        "learning_rate_out": next_learning_rate(learning_rate, dev_loss, best, training.decay),
        "train_loss": train_loss,
        "dev_loss": dev_loss,
        "best_dev_loss": dev_loss if best is None else min(best, dev_loss),
        "steps": state["steps"] + len(train),
        "tokens": state["tokens"] + train.tokens,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "wall_time_s": round(time.monotonic() - start, 3),
    }
    checkpoint.save(model, *after, next_state)
