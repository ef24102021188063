"""The adding problem: the sum of two marked numbers of a sequence.

A step has a number, uniform in [0, 1], and a mark, 1 at two steps that are drawn for each sequence, else 0. After the
last step the answer is the sum of the two marked numbers. Always answering 1 gives a mean squared error of 1/6.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.config.base import read_block
from natural_sparsity.config.data.addition import Settings
from natural_sparsity.data.base import Batch, Measure
from natural_sparsity.data.generated import Generated
from natural_sparsity.model.recurrent import Interface


class Addition(Generated[Settings]):
    """The adding problem; see the module."""

    measure = Measure("mean squared error", 4)

    def __init__(self, settings: Settings):
        self.settings = settings

    def interface(self, vocabulary: int | None) -> Interface:
        """A number and a mark in, the sum out."""
        return Interface(outputs=1, inputs=2)

    def draw(self, size: int, generator: torch.Generator) -> Batch:
        """Draw sequences; targets (batch,)."""
        numbers = torch.rand(self.settings.steps, size, generator=generator)
        marked = torch.rand(self.settings.steps, size, generator=generator).topk(2, dim=0).indices
        marks = torch.zeros_like(numbers).scatter_(0, marked, 1.0)
        return Batch(torch.stack([numbers, marks], -1), (numbers * marks).sum(0))

    def read(self, features: Tensor, inputs: Tensor) -> Tensor:
        """The features after the last step, (batch, width)."""
        return features[-1]

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared errors (batch,)."""
        return (outputs[:, 0] - batch.targets).square()

    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared errors (batch,)."""
        return self.losses(outputs, batch)


def make(block: dict[str, Any]) -> Addition:
    """The adding problem with a block's settings."""
    return Addition(read_block(Settings, block, "block"))
