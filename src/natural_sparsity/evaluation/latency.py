"""The timer that footprint and speedup share: functions take turns, so that what slows one down slows all."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from natural_sparsity.data.base import Split
from natural_sparsity.model.exported import Exported


@torch.no_grad()
def time_in_turns(functions: Sequence[Callable[[], Any]], repeats: int) -> np.ndarray:
    """Call all functions in turn, ``repeats`` times, and return the seconds of each call, (repeats, functions)."""
    seconds = np.empty((repeats, len(functions)))
    for turn in seconds:
        for i, function in enumerate(functions):
            start = time.perf_counter()
            function()
            turn[i] = time.perf_counter() - start
    return seconds


def first_steps(split: Split, count: int) -> Tensor:
    """Return the first ``count`` inputs, one after the other, of the split's first batch; fewer if it has fewer.

    Shape (count,), or (count, width) of vectors.
    """
    inputs = next(iter(split.batches(torch.device("cpu")))).inputs
    return inputs.transpose(0, 1).flatten(0, 1)[:count]


def step_by_step(model: Exported, steps: Tensor) -> Callable[[], None]:
    """Return a function that runs the model over ``steps`` one at a time, output layer included."""

    def run() -> None:
        state = None
        for step in steps:
            _, state = model(step[None, None], state)

    return run
