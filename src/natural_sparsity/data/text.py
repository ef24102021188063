"""Text as language models read it: streams of tokens, each predicted from those before it."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.config.training import Training
from natural_sparsity.data.base import Batch, Data, Measure, SoftmaxTally
from natural_sparsity.data.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model.recurrent import Interface, RecurrentModel

LARGEST = math.log(sys.float_info.max)


class TextSplit:
    """A token stream as batches; ``streams`` is what it is read from."""

    unit = "tokens"

    def __init__(self, streams: Streams):
        self.streams, self.batch, self.examples = streams, streams.batch, streams.tokens

    def __len__(self) -> int:
        return len(self.streams)

    def batches(self, device: torch.device, first: int = 0) -> Iterator[Batch]:
        """Yield windows of inputs and targets, (steps, batch) each; the last may be shorter."""
        for inputs, targets in self.streams.windows(device, first):
            yield Batch(inputs, targets)


class PerplexityTally(SoftmaxTally):
    """The score is the perplexity, exp of the mean loss."""

    def score(self, loss: float, examples: int) -> float:
        """Return the perplexity; infinity if it exceeds a double, as after a run diverged."""
        return math.exp(loss) if loss < LARGEST else math.inf


class Text(Data):
    """Contiguous text; the hidden state is carried from window to window."""

    loss = "softmax"
    carries_state = True
    measure = Measure("perplexity", 1)

    def interface(self, vocabulary: int | None) -> Interface:
        """Every word is embedded, and every word may come next.

        Raises:
            UserError: no vocabulary was given.
        """
        if vocabulary is None:
            raise UserError("--vocabulary: text needs one; give the Parquet file that 'vocabulary' wrote")
        return Interface(outputs=vocabulary, vocabulary=vocabulary)

    def training_split(
        self, path: Path | None, training: Training, interface: Interface, seed: int, epoch: int
    ) -> TextSplit:
        """The training stream, the same in every epoch."""
        return self.split("train", path, training.batch, training.window, interface)

    def split(self, name: str, path: Path | None, batch: int, window: int, interface: Interface) -> TextSplit:
        """The stream in the file at ``path``.

        Raises:
            UserError: no path, or a file that cannot be read or is too short.
        """
        if path is None or interface.vocabulary is None:
            raise UserError(f"--{name}: text needs the .npy file of the {name} split")
        return TextSplit(Streams(path, batch, window, interface.vocabulary))

    def read(self, features: Tensor, inputs: Tensor) -> Tensor:
        """All features, (steps · batch, width)."""
        return features.flatten(0, 1)

    def tally(self, model: RecurrentModel) -> PerplexityTally:
        """Cross-entropy and perplexity."""
        return PerplexityTally(model)


def make(block: dict[str, Any]) -> Text:
    """Text; everything that training needs of it is in its files."""
    return Text()
