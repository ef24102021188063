"""What a kind of data brings: batches, a loss, and a held-out measure."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from natural_sparsity import registry
from natural_sparsity.config.training import Training
from natural_sparsity.errors import UserError
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.model.recurrent import Interface, RecurrentModel


class Batch(NamedTuple):
    """``inputs``: word ids (steps, batch) or vectors (steps, batch, width). ``targets``: as the kind has them.

    ``start`` (batch, width): what the first layer's initial state is made from; None where the state starts at 0.
    """

    inputs: Tensor
    targets: Tensor
    start: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on the device."""
        return Batch(*(None if tensor is None else tensor.to(device) for tensor in self))  # type: ignore[arg-type]


class Measure(NamedTuple):
    """What a model is judged by on held-out data: its name with the unit, and how many digits a table shows."""

    name: str
    digits: int
    higher_is_better: bool = False


class HeldOut(NamedTuple):
    """The mean ``loss`` (nats, or the kind's own), and the ``score`` by the kind's measure."""

    loss: float
    score: float


class Split(Protocol):
    """A part of the data, as batches. ``examples``: how many predictions an epoch of it makes; ``unit``: their name."""

    batch: int
    examples: int
    unit: str

    def __len__(self) -> int:
        """The number of batches."""

    def batches(self, device: torch.device, first: int = 0) -> Iterator[Batch]:
        """Yield the batches on the device, from number ``first`` on."""


class Tally(Protocol):
    """Sums over the batches of a held-out split, updated in place on the device; ``loss`` is the sum of the losses."""

    loss: Tensor

    def add(self, read: Tensor, batch: Batch) -> None:
        """Count the predictions made from the features ``read``, as :meth:`Data.read` gives them."""

    def result(self, examples: int) -> HeldOut:
        """Loss and score over ``examples`` predictions."""


class Data:
    """A kind of data; each module of this package defines one.

    ``loss`` names the training step: ``softmax``, the cross-entropy of classes by the fused output layer, or ``own``,
    what :meth:`losses` says. ``carries_state``: whether a batch continues where the one before ended.
    """

    loss: ClassVar[str] = "own"
    carries_state: ClassVar[bool] = False
    measure: ClassVar[Measure]

    def interface(self, vocabulary: int | None) -> Interface:
        """What a model must have, for a ``vocabulary`` of this many words (None where the data have none)."""
        raise NotImplementedError

    def training_split(
        self, path: Path | None, training: Training, interface: Interface, seed: int, epoch: int
    ) -> Split:
        """What one epoch trains on; ``path`` is the file of a kind that has files."""
        raise NotImplementedError

    def split(self, name: str, path: Path | None, batch: int, window: int, interface: Interface) -> Split:
        """The held-out split called ``name``, dev or test."""
        raise NotImplementedError

    def read(self, features: Tensor, inputs: Tensor) -> Tensor:
        """The part of the ``features`` (steps, batch, width) that predictions are made from."""
        raise NotImplementedError

    def mask_padding(self, inputs: Tensor) -> Tensor:
        """Where ``inputs`` hold data rather than padding, (steps, batch), boolean: everywhere, unless a kind pads."""
        return torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)

    def tally(self, model: RecurrentModel) -> Tally:
        """Empty sums for an evaluation of the model."""
        raise NotImplementedError

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss of each prediction (any shape), where ``loss`` is ``own``."""
        raise NotImplementedError

    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The error of each prediction (any shape) in the measure's unit, where ``loss`` is ``own``."""
        raise NotImplementedError


def open_data(kind: str, block: Mapping[str, Any]) -> Data:
    """The data of a kind, with the settings that training needs.

    Raises:
        UserError: there is no such kind, or a key of the block is wrong.
    """
    if kind not in registry.DATA:
        raise UserError(f"kind: {kind!r} is no kind of data; the kinds are {', '.join(registry.DATA)}")
    return registry.load(registry.DATA[kind].implementation).make({**block, "kind": kind})


class SoftmaxTally:
    """The cross-entropy of classes, summed in double precision; the score is :meth:`score`'s."""

    def __init__(self, model: RecurrentModel):
        self.output = OutputLayer(model.output, model.tuning.training)
        self.loss = torch.zeros((), dtype=torch.float64, device=model.output.weight.device)

    def add(self, read: Tensor, batch: Batch) -> None:
        """Add the losses of a batch."""
        self.loss += self.output.losses(read, batch.targets.flatten()).double().sum()

    def result(self, examples: int) -> HeldOut:
        """The mean loss and the score."""
        loss = float(self.loss) / examples
        return HeldOut(loss, self.score(loss, examples))

    def score(self, loss: float, examples: int) -> float:
        """The score, given the mean loss."""
        raise NotImplementedError


class ErrorTally:
    """Losses and errors as the data have them; the score is the mean error."""

    def __init__(self, model: RecurrentModel, data: Data):
        self.model, self.data = model, data
        zeros = torch.zeros(4, dtype=torch.float64, device=model.output.weight.device)
        self.loss, self.error, self.losses, self.errors = zeros.unbind()

    def add(self, read: Tensor, batch: Batch) -> None:
        """Add the losses and errors of a batch."""
        outputs = self.model.output(read)
        losses, errors = self.data.losses(outputs, batch), self.data.errors(outputs, batch)
        self.loss += losses.double().sum()
        self.losses += losses.numel()
        self.error += errors.double().sum()
        self.errors += errors.numel()

    def result(self, examples: int) -> HeldOut:
        """Their means."""
        return HeldOut(float(self.loss / self.losses), float(self.error / self.errors))
