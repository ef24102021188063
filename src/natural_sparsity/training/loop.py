"""The training loop: one epoch, batch by batch, of any kind of data."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from natural_sparsity.data.base import Split
from natural_sparsity.errors import UserError
from natural_sparsity.model.replay import replay_on_gpu
from natural_sparsity.progress import Progress
from natural_sparsity.training.saves import Saves
from natural_sparsity.training.steps import Step


def run_steps(step: Step, split: Split, first: int = 0) -> Iterator[tuple[Tensor, int]]:
    """Run ``step`` over the batches from ``first`` on, captured where there is CUDA.

    Yields:
        A batch's mean loss, on the device and overwritten by the next, and its number of examples.
    """
    device = step.total.device
    run = replay_on_gpu(step, device)
    for number, batch in enumerate(split.batches(device, first), first):
        step.method.before_step(number)
        yield run(batch), step.count(batch)


class Beginning(NamedTuple):
    """How much of an epoch lies before the checkpoint that its training starts from: ``steps`` and ``examples``."""

    steps: int = 0
    examples: int = 0


START = Beginning()


def train_epoch(
    step: Step,
    split: Split,
    label: str,
    saves: Saves | None = None,
    after_step: Callable[[int, int], None] | None = None,
    beginning: Beginning = START,
) -> float:
    """Train for one epoch, or the rest of an interrupted one; return the mean loss over the examples trained on.

    Args:
        step, split: of the epoch.
        label: its name, for progress and errors.
        saves: where it is saved and resumed from.
        after_step: called after each step with its number, from 1, and the examples so far.
        beginning: what is skipped of the epoch.

    Raises:
        UserError: the loss is not finite.
        SystemExit: a signal came; the epoch can be resumed.
    """
    step.model.train()
    first = max(beginning.steps, saves.resume() if saves else 0)
    done = min(first * split.examples // max(len(split), 1), split.examples)
    progress = Progress(label, split.examples, done, split.unit)
    for number, (_, examples) in enumerate(run_steps(step, split, first), first + 1):
        progress.advance(examples)
        if progress.due():
            progress.show(finite_total(step, label) / max(progress.done - beginning.examples, 1))
        if saves:
            saves.after(number)
        if after_step:
            after_step(number, progress.done)
    step.method.close()
    progress.close()
    return finite_total(step, label) / (split.examples - beginning.examples)


def finite_total(step: Step, label: str) -> float:
    """The loss summed over the epoch's examples so far; it waits for the device.

    Raises:
        UserError: it is not finite; the line names the first step whose loss was not.
    """
    total = float(step.total)
    if not math.isfinite(total):
        rate = f"learning rate {step.learning_rate:g}"
        raise UserError(f"{label}, step {int(step.finite) + 1}: the loss is not finite at {rate}; lower it")
    return total
