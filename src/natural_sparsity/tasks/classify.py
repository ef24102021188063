"""Classification of texts: an example a column, its class predicted from the output after its last word.

Texts are padded on the right, and their last word's output is picked out; for a recurrent network that reads forwards
this is the same as padding on the left with a state that is held at 0.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model.language_model import LanguageModel, State
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.training.step import Step

PAD = 0  # the id that stands behind a text's last word, and for no word


class Examples:
    """Texts of a split, ``batch`` at a time, with the interface of :class:`Streams`; a target is a text's class.

    The file has a row an example: its class, then its words' ids and ``PAD`` up to a common length. ``tokens`` counts
    the targets, one an example. They come in the file's order, or in that of ``shuffled``.
    """

    def __init__(self, path: Path, batch: int, window: int, vocabulary: int):
        rows = files.read_array(path, ndim=2)
        if not len(rows) or rows.shape[1] < 2:
            raise UserError(f"{path}: has no example; delete it and run again")
        self.path, self.batch, self.window, self.vocabulary = path, batch, window, vocabulary
        self.classes, self.words = rows[:, 0], rows[:, 1:]
        if int(self.words.max()) >= vocabulary or not (self.words[:, 0] != PAD).all():
            raise UserError(f"{path}: a text is empty, or has a word that is not among the vocabulary's {vocabulary}")
        self.tokens = len(rows)
        self.order = np.arange(len(rows))

    def shuffled(self, seed: int, epoch: int) -> "Examples":
        """The same, in an order of the epoch's own."""
        self.order = np.random.default_rng([seed, epoch]).permutation(len(self.order))
        return self

    def __len__(self) -> int:
        return -(-self.tokens // self.batch)

    def windows(self, device: torch.device, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield words (steps, batch) and classes (batch,), int64, from batch ``first`` on; the last may be smaller.

        A batch is as long as its longest text. A GPU takes all texts at once, four bytes a word, and is not kept
        waiting for the host afterwards; there a batch is as long as all are, so that its shape is always the same.
        """
        cuda = device.type == "cuda"
        batches = [np.sort(self.order[start : start + self.batch]) for start in range(0, self.tokens, self.batch)]
        rows = np.concatenate(batches)
        words = torch.from_numpy(self.words[rows].astype(np.int32)).to(device)
        classes = torch.from_numpy(self.classes[rows].astype(np.int64)).to(device)
        for start in range(first * self.batch, self.tokens, self.batch):
            inputs = words[start : start + self.batch].T
            longest = len(inputs) if cuda else int((inputs != PAD).sum(0).max())
            yield inputs[:longest].contiguous().long(), classes[start : start + self.batch]


def last_outputs(features: Tensor, inputs: Tensor) -> Tensor:
    """Of ``features`` (steps, batch, width) those after each text's last word, (batch, width)."""
    last = (inputs != PAD).sum(0) - 1
    return features.gather(0, last[None, :, None].expand(1, -1, features.shape[2])).squeeze(0)


class ClassifierStep(Step):
    """A step on a batch of texts; every text starts at a state of 0."""

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Train on one batch: words (steps, batch), classes (batch,)."""
        self.state = self.model.zero_state(inputs.shape[1])
        return super().__call__(inputs, targets)

    def read(self, features: Tensor, inputs: Tensor) -> Tensor:
        """The outputs after the last words."""
        return last_outputs(features, inputs)

    def tensors(self) -> dict[str, Tensor]:
        """As :class:`Step`'s, without the state, which no batch leaves to the next."""
        return {name: tensor for name, tensor in super().tensors().items() if not name.startswith("state.")}

    def advance(self, state: State, loss: Tensor, tokens: int) -> None:
        """Add to the epoch's sums; the state is of no use to the next batch."""
        super().advance(self.state, loss, tokens)


@torch.no_grad()
def outcomes(
    model: LanguageModel, examples: Examples, between: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """The mean loss, nats, and the share of texts that get their class, without dropout."""
    model.eval()
    device = model.output.weight.device
    output = OutputLayer(model.output)
    loss, right = torch.zeros(2, dtype=torch.float64, device=device)
    for inputs, targets in examples.windows(device):
        _, features, _ = model(inputs, model.zero_state(inputs.shape[1]))
        last = last_outputs(features, inputs)
        loss += output.losses(last, targets).double().sum()
        right += (model.output(last).argmax(1) == targets).sum()
        between()
    return float(loss) / examples.tokens, float(right) / examples.tokens


def evaluate(model: LanguageModel, examples: Examples, between: Callable[[], None] = lambda: None) -> float:
    """The mean loss of :func:`outcomes`."""
    return outcomes(model, examples, between)[0]
