"""Epochs of training on a task: epoch k is a function of checkpoint k−1, the task, the seed and k alone."""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import generator_of, seed_everything, select_device
from natural_sparsity.progress import Progress
from natural_sparsity.provenance import code_digest
from natural_sparsity.settings import json_object, read_block
from natural_sparsity.sparsify.method import Method, Place
from natural_sparsity.sparsify.methods import module_of
from natural_sparsity.tasks import kinds
from natural_sparsity.tasks.model import TaskModel, load, save
from natural_sparsity.tasks.settings import Training
from natural_sparsity.tasks.task import Batch, Task
from natural_sparsity.training.saves import Interruption, Saves

Checkpoint = tuple[Path, Path]  # parameters and state
HELD_OUT_BATCH = 100  # sequences; a constant, since a held-out batch is drawn from its number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--from-parameters", type=Path, required=True, help="safetensors of the epoch before")
    parser.add_argument("--from-state", type=Path, required=True, help="JSON of the epoch before")
    parser.add_argument("--training", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--sparsify", type=json_object, default={}, help="JSON, the configuration's block")
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


class Step:
    """A step, and all that changes from one to the next: parameters, the optimiser's memory, the epoch's sum.

    ``memory``: what a former epoch's optimiser remembered, by name; empty at the start.
    """

    def __init__(
        self, model: TaskModel, task: Task, training: Training, method: Method, memory: dict[str, Tensor] | None = None
    ):
        self.model, self.task, self.method, self.clip = model, task, method, training.clip
        self.parameters = dict(model.named_parameters())
        self.rate = training.learning_rate
        self.memory = memory or {}
        if training.optimiser == "adam" and not self.memory:
            self.memory = {
                f"{kind}.{name}": torch.zeros_like(p) for kind in MOMENTS for name, p in self.parameters.items()
            }
            self.memory |= {f"step.{name}": torch.zeros(()) for name in self.parameters}
        self.optimiser = self.make(training.optimiser)
        self.total = torch.zeros((), dtype=torch.float64, device=model.output.weight.device)

    def make(self, name: str) -> torch.optim.Optimizer:
        """torch's optimiser, whose memory is ours."""
        if name == "sgd":
            return torch.optim.SGD(self.parameters.values(), self.rate)
        adam = torch.optim.Adam(self.parameters.values(), self.rate)
        for name, parameter in self.parameters.items():
            adam.state[parameter] = {kind: self.memory[f"{kind}.{name}"] for kind in ("step", *MOMENTS)}
        return adam

    def tensors(self) -> dict[str, Tensor]:
        """All that changes from one step to the next, by name, in its own memory."""
        parameters = {f"model.{name}": parameter.detach() for name, parameter in self.parameters.items()}
        memory = {f"optimiser.{name}": tensor for name, tensor in self.memory.items()}
        beside = {f"method.{name}": tensor for name, tensor in (self.method.tensors | self.method.carried).items()}
        return {**parameters, **memory, **beside, "total": self.total}

    def __call__(self, batch: Batch) -> None:
        """Train on one batch."""
        loss = self.task.losses(self.model(batch), batch).mean()
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        by_name = dict(zip(self.parameters, gradients, strict=True))
        self.method.adjust(by_name, None)
        for name, parameter in self.parameters.items():
            parameter.grad = by_name[name]
        nn.utils.clip_grad_norm_(self.parameters.values(), self.clip)
        self.optimiser.step()
        self.method.after_update()
        self.total += loss.detach().double()


MOMENTS = ("exp_avg", "exp_avg_sq")


def held_out(task: Task, block: dict[str, Any], split: str) -> Iterator[Batch]:
    """The sequences of ``dev`` or ``test``, the same for every model and seed."""
    for number, first in enumerate(range(0, block["held_out"], HELD_OUT_BATCH)):
        size = min(HELD_OUT_BATCH, block["held_out"] - first)
        yield task.batch(size, generator_of(block["seed"], split, number))


@torch.no_grad()
def evaluate(
    model: TaskModel, task: Task, block: dict[str, Any], split: str, between: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Mean loss and mean error over a held-out split; ``between`` is called after each batch."""
    model.eval()
    losses, errors = [], []
    for batch in held_out(task, block, split):
        batch = batch.to(model.output.weight.device)
        outputs = model(batch)
        losses.append(task.losses(outputs, batch).double().flatten())
        errors.append(task.errors(outputs, batch).double().flatten())
        between()
    return float(torch.cat(losses).mean()), float(torch.cat(errors).mean())


def run(args: argparse.Namespace) -> None:
    """Train as many epochs as there are outputs, each from the checkpoint that the one before has written."""
    if len(args.parameters) != len(args.state):
        raise UserError(f"--parameters names {len(args.parameters)} files and --state {len(args.state)}; give as many")
    training = read_block(Training, args.training)
    device = select_device(args.device, args.threads)
    before = (args.from_parameters, args.from_state)
    with Interruption() as interruption:
        for after in zip(args.parameters, args.state, strict=True):
            run_epoch(args, training, device, before, after, interruption)
            before = after


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
    model, state = load(*before, device)
    task, epoch, seed = kinds.task_of(state["task"]), state["epoch"] + 1, state["seed"]
    module = module_of(args.sparsify.get("method", ""))
    place = Place(epoch, training.steps, training.steps * training.batch, training.batch)
    method = module.make(args.sparsify, model, checkpoint.load_beside(before[0], device), place)
    step = Step(model, task, training, method, checkpoint.load_beside(before[0], device, checkpoint.OPTIMISER))
    seed_everything(seed, epoch)
    label = f"epoch {epoch}"
    code = [__name__, module.__name__, kinds.module_of(state["task"]["kind"]).__name__]
    origin = {
        "epoch": epoch,
        "seed": seed,
        "parameters": state["sha256"],
        "task": state["task"],
        "training": asdict(training),
        "sparsify": args.sparsify,
        "device": device.type,
        "torch": torch.__version__,
        "code": [code_digest(name) for name in code],
    }
    path = after[0].with_suffix(".partial.safetensors")
    saves = Saves(path, label, origin, step.tensors(), training.steps, args.save_interval_s, interruption)
    train_loss = train_epoch(step, training, (seed, epoch), label, saves)
    dev_loss, dev_error = evaluate(model, task, state["task"], "dev", lambda: saves.after(training.steps))
    if not math.isfinite(dev_loss):
        raise UserError(f"{label}: the dev loss is not finite at learning rate {training.learning_rate:g}; lower it")
    next_state = {
        "epoch": epoch,
        "seed": seed,
        "task": state["task"],
        "learning_rate": training.learning_rate,
        "train_loss": train_loss,
        "dev_loss": dev_loss,
        "dev_error": dev_error,
        "error": task.error,
        "steps": state["steps"] + training.steps,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "wall_time_s": round(saves.seconds(), 3),
    }
    if args.sparsify:
        next_state["sparsify"] = args.sparsify
    save(model, *after, next_state, method.tensors, step.memory)
    saves.remove()


def train_epoch(step: Step, training: Training, keys: tuple[int, int], label: str, saves: Saves) -> float:
    """Train for one epoch, or the rest of one that was interrupted; the mean loss over its batches.

    A batch is drawn from ``keys`` (seed and epoch) and its number alone.

    Raises:
        UserError: the loss is not finite.
        SystemExit: a signal came; the epoch can be resumed.
    """
    step.model.train()
    first = saves.resume()
    progress = Progress(label, training.steps * training.batch, first * training.batch, "sequences")
    for number in range(first, training.steps):
        step.method.before_step(number)
        batch = step.task.batch(training.batch, generator_of(*keys, "train", number))
        step(batch.to(step.total.device))
        progress.advance(training.batch)
        if progress.due():
            progress.show(float(step.total) / (number + 1))
        saves.after(number + 1)
    step.method.close()
    progress.close()
    if not math.isfinite(float(step.total)):
        raise UserError(f"{label}: the loss is not finite at learning rate {training.learning_rate:g}; lower it")
    return float(step.total) / training.steps
