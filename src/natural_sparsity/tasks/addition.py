"""The adding problem: the sum of two marked numbers of a sequence.

A step has a number, uniform in [0, 1], and a mark, 1 at two steps that are drawn for each sequence, else 0. After the
last step the answer is the sum of the two marked numbers. Always to answer 1 has a mean squared error of 1/6.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.settings import read_block
from natural_sparsity.tasks.task import Batch, Sizes, Task


@dataclass(frozen=True)
class Addition:
    """The settings: ``steps`` of a sequence."""

    steps: int = 50


class Adding(Task):
    """See the module."""

    sizes = Sizes(inputs=2, outputs=1, last=True)
    error = "mean squared error"
    digits = 4

    def __init__(self, settings: Addition):
        self.settings = settings

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Sequences; targets (batch,)."""
        numbers = torch.rand(self.settings.steps, size, generator=generator)
        marked = torch.rand(self.settings.steps, size, generator=generator).topk(2, dim=0).indices
        marks = torch.zeros_like(numbers).scatter_(0, marked, 1.0)
        return Batch(torch.stack([numbers, marks], -1), (numbers * marks).sum(0))

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared errors (batch,)."""
        return (outputs[:, 0] - batch.targets).square()

    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The same."""
        return self.losses(outputs, batch)


def make(settings: dict[str, Any]) -> Task:
    """The adding problem."""
    return Adding(read_block(Addition, settings))
