"""One epoch: epoch k is a function of checkpoint k−1, the tokens, the seed and k alone."""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything, select_device
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.progress import Progress
from natural_sparsity.settings import json_object, read_block
from natural_sparsity.training.settings import Training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--train", type=Path, required=True, help=".npy, the training stream")
    parser.add_argument("--dev", type=Path, required=True, help=".npy, the dev stream")
    parser.add_argument("--from-parameters", type=Path, required=True, help="safetensors of the epoch before")
    parser.add_argument("--from-state", type=Path, required=True, help="JSON of the epoch before")
    parser.add_argument("--training", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--parameters", type=Path, required=True, help="out: safetensors")
    parser.add_argument("--state", type=Path, required=True, help="out: JSON")


def train_steps(
    model: LanguageModel, streams: Streams, training: Training, learning_rate: float
) -> Iterator[tuple[Tensor, int]]:
    """Train on each window in turn; yield its mean loss (nats, on the device) and its number of tokens."""
    output = OutputLayer(model.output)
    table = model.embedding.weight.data
    inner = list(model.lstms.parameters())
    state = model.zero_state(streams.batch)
    for inputs, targets in streams.windows(table.device):
        words, places = occurring_words(inputs, len(table))
        occurring = table[words].requires_grad_()
        _, features, state = model.layers([functional.embedding(places, occurring)], state)
        last = output.gradients(features.detach().flatten(0, 1), targets.flatten())
        rest = torch.autograd.grad(features, [occurring, *inner], last.features.view_as(features))
        norm = torch.nn.utils.get_total_norm([*rest, last.joint])
        scale = (training.clip / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        with torch.no_grad():
            table.index_add_(0, words, rest[0] * scale, alpha=-learning_rate)
            for parameter, gradient in zip([*inner, output.joint], [*rest[1:], last.joint], strict=True):
                parameter.addcmul_(gradient, scale, value=-learning_rate)
        yield last.losses.mean(), targets.numel()


def occurring_words(inputs: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """The words (n,) whose embeddings can change in a step, and the place of each of ``inputs`` among them.

    On a CPU those that occur: the gradient of the others is 0. On a GPU all: its memory is fast, and to find out which
    occur the host would have to wait for it.
    """
    if inputs.is_cuda:
        return torch.arange(vocabulary, device=inputs.device), inputs
    return inputs.unique(return_inverse=True)


def train_epoch(model: LanguageModel, streams: Streams, training: Training, learning_rate: float, label: str) -> float:
    """Train for one epoch and return the mean loss over its tokens, in nats.

    Raises:
        UserError: the loss is not finite.
    """
    model.train()
    progress = Progress(label, streams.tokens)
    total = torch.zeros((), dtype=torch.float64, device=model.output.weight.device)
    for step, (loss, tokens) in enumerate(train_steps(model, streams, training, learning_rate), 1):
        total += loss.double() * tokens
        progress.advance(tokens)
        if progress.due():
            mean = float(total) / progress.done
            if not math.isfinite(mean):
                raise UserError(
                    f"{label}, step {step}: the loss is not finite at learning rate {learning_rate:g}; lower it"
                )
            progress.show(mean)
    progress.close()
    return float(total) / streams.tokens


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
    """Train one epoch and write the next checkpoint."""
    start = time.monotonic()
    training = read_block(Training, args.training)
    device = select_device(args.device, args.threads)
    torch.set_float32_matmul_precision(training.matmul_precision)
    model, before = checkpoint.load(args.from_parameters, args.from_state, device)
    epoch, learning_rate, best = before["epoch"] + 1, before["learning_rate_out"], before["best_dev_loss"]
    train = Streams(args.train, training.batch, training.window, before["vocabulary"])
    dev = Streams(args.dev, training.evaluation_batch, training.window, before["vocabulary"])
    seed_everything(before["seed"], epoch)
    train_loss = train_epoch(model, train, training, learning_rate, f"epoch {epoch}")
    dev_loss = evaluate(model, dev)
    if not math.isfinite(dev_loss):
        raise UserError(f"epoch {epoch}: the dev loss is not finite at learning rate {learning_rate:g}; lower it")
    state = {
        "epoch": epoch,
        "seed": before["seed"],
        "learning_rate_in": learning_rate,
        "learning_rate_out": next_learning_rate(learning_rate, dev_loss, best, training.decay),
        "train_loss": train_loss,
        "dev_loss": dev_loss,
        "best_dev_loss": dev_loss if best is None else min(best, dev_loss),
        "steps": before["steps"] + len(train),
        "tokens": before["tokens"] + train.tokens,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": args.threads,
        "wall_time_s": round(time.monotonic() - start, 3),
    }
    checkpoint.save(model, args.parameters, args.state, state)
