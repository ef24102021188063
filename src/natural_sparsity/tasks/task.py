"""What a kind of task gives: sequences, and what an answer to them is worth."""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Sequences: ``inputs`` (steps, batch, width), ``targets``, and ``start`` (batch, width), which the first layer's
    initial state is made from; None where the state starts at 0.
    """

    inputs: Tensor
    targets: Tensor
    start: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same on the device."""
        start = None if self.start is None else self.start.to(device)
        return Batch(self.inputs.to(device), self.targets.to(device), start)


class Sizes(NamedTuple):
    """Widths of a task's inputs, outputs and start (0: none), and whether only the last step is answered."""

    inputs: int
    outputs: int
    start: int = 0
    last: bool = False


class Task:
    """A kind of task overrides everything here. ``error`` is what :meth:`errors` measures, in words, with its unit.

    ``digits`` are those after the point in tables.
    """

    sizes: Sizes
    error: str
    digits: int = 2

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """``size`` sequences, on the CPU, from ``generator`` alone."""
        raise NotImplementedError

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss of each answer (any shape), of ``outputs`` (steps, batch, width), or (batch, width) of the last."""
        raise NotImplementedError

    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The error of each answer (any shape), in the unit of ``error``."""
        raise NotImplementedError
