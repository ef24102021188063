"""Sequences drawn when they are needed: for training from seed and epoch, held-out ones from the data's seed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import torch

from natural_sparsity.config.data.generated import Generated as Settings
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import Batch, Data, ErrorTally
from natural_sparsity.model.device import generator_of
from natural_sparsity.model.recurrent import Interface, RecurrentModel

HELD_OUT_BATCH = 100  # sequences; a constant, since a held-out batch is drawn from its number

S = TypeVar("S", bound=Settings)


class DrawnSplit:
    """``sizes`` of the batches, each drawn from ``keys`` and its number alone."""

    unit = "sequences"

    def __init__(self, data: "Generated[S]", sizes: list[int], keys: tuple[int | str, ...]):
        self.data, self.sizes, self.keys = data, sizes, keys
        self.batch, self.examples = max(sizes), sum(sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def batches(self, device: torch.device, first: int = 0) -> Iterator[Batch]:
        """Draw the batches on the CPU, so that every device sees the same, and yield them on the device."""
        for number, size in enumerate(self.sizes[first:], first):
            yield self.data.draw(size, generator_of(*self.keys, number)).to(device)


class Generated(Data, Generic[S]):
    """Data without files. A kind overrides :meth:`draw`, ``interface``, ``read``, ``losses`` and ``errors``."""

    settings: S

    def draw(self, size: int, generator: torch.Generator) -> Batch:
        """``size`` sequences, on the CPU, from ``generator`` alone."""
        raise NotImplementedError

    def training_split(
        self, path: Path | None, training: Training, interface: Interface, seed: int, epoch: int
    ) -> DrawnSplit:
        """``training.steps`` batches of new sequences."""
        return DrawnSplit(self, [training.batch] * training.steps, (seed, epoch, "train"))

    def split(self, name: str, path: Path | None, batch: int, window: int, interface: Interface) -> DrawnSplit:
        """The held-out sequences of dev or test, the same for every model and seed; ``batch`` does not change them."""
        whole, rest = divmod(self.settings.held_out, HELD_OUT_BATCH)
        sizes = [HELD_OUT_BATCH] * whole + [rest] * bool(rest)
        return DrawnSplit(self, sizes, (self.settings.seed, name))

    def tally(self, model: RecurrentModel) -> ErrorTally:
        """Mean loss and mean error."""
        return ErrorTally(model, self)
