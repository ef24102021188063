"""Labelled texts: a text per column, its class predicted from the output after its last word.

Texts are padded on the right, and the output after the last word is picked out. For a recurrent network that reads
forwards, this equals padding on the left with a state that is held at 0.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.config.training import Training
from natural_sparsity.corpus.labelled import PAD
from natural_sparsity.data.base import Batch, Data, Measure, SoftmaxTally
from natural_sparsity.errors import UserError
from natural_sparsity.model.recurrent import Interface, RecurrentModel


class Examples:
    """The texts of a split, ``batch`` at a time.

    The file has a row per text: its class, then its words' ids and ``PAD`` up to a common length. The texts come in the
    file's order, or in that of :meth:`shuffle`.
    """

    unit = "texts"

    def __init__(self, path: Path, batch: int, interface: Interface):
        rows = files.read_array(path, ndim=2)
        if not len(rows) or rows.shape[1] < 2:
            raise UserError(f"{path}: has no example; delete it and run again")
        self.path, self.batch, self.interface = path, batch, interface
        self.classes, self.words = rows[:, 0], rows[:, 1:]
        if int(self.words.max()) >= (interface.vocabulary or 0) or not (self.words[:, 0] != PAD).all():
            raise UserError(
                f"{path}: a text is empty, or has a word that is not among the vocabulary's {interface.vocabulary}"
            )
        if int(self.classes.max()) >= interface.outputs:
            raise UserError(f"{path}: class {self.classes.max()} is not below the model's {interface.outputs} classes")
        self.examples = len(rows)
        self.order = np.arange(len(rows))

    def shuffle(self, seed: int, epoch: int) -> "Examples":
        """Put the texts into the order of an epoch; return the split itself."""
        self.order = np.random.default_rng([seed, epoch]).permutation(len(self.order))
        return self

    def __len__(self) -> int:
        return -(-self.examples // self.batch)

    def batches(self, device: torch.device, first: int = 0) -> Iterator[Batch]:
        """Yield words (steps, batch) and classes (batch,), int64, from batch ``first`` on; the last may be smaller.

        A batch is as long as its longest text. A GPU gets all texts at once, four bytes per word, so that it never
        waits for the host; there all batches are equally long, so that their shape is always the same.
        """
        cuda = device.type == "cuda"
        batches = [np.sort(self.order[start : start + self.batch]) for start in range(0, self.examples, self.batch)]
        rows = np.concatenate(batches)
        words = torch.from_numpy(self.words[rows].astype(np.int32)).to(device)
        classes = torch.from_numpy(self.classes[rows].astype(np.int64)).to(device)
        for start in range(first * self.batch, self.examples, self.batch):
            inputs = words[start : start + self.batch].T
            longest = len(inputs) if cuda else int((inputs != PAD).sum(0).max())
            yield Batch(inputs[:longest].contiguous().long(), classes[start : start + self.batch])


class AccuracyTally(SoftmaxTally):
    """The score is the share of texts whose class is predicted."""

    def __init__(self, model: RecurrentModel):
        super().__init__(model)
        self.model, self.correct = model, torch.zeros_like(self.loss)

    def add(self, read: Tensor, batch: Batch) -> None:
        """Add the losses and the hits of a batch."""
        super().add(read, batch)
        self.correct += (self.model.output(read).argmax(1) == batch.targets).sum()

    def score(self, loss: float, examples: int) -> float:
        """The accuracy."""
        return float(self.correct) / examples


class Classification(Data):
    """Labelled texts; every text starts at a state of 0."""

    loss = "softmax"
    measure = Measure("accuracy", 3, higher_is_better=True)

    def __init__(self, classes: int):
        self.classes = classes

    def interface(self, vocabulary: int | None) -> Interface:
        """Every word is embedded; an output per class.

        Raises:
            UserError: no vocabulary was given.
        """
        if vocabulary is None:
            raise UserError("--vocabulary: labelled texts need one; give the Parquet file that 'labelled' wrote")
        return Interface(outputs=self.classes, vocabulary=vocabulary)

    def training_split(
        self, path: Path | None, training: Training, interface: Interface, seed: int, epoch: int
    ) -> Examples:
        """The training texts, shuffled for the epoch."""
        return self.split("train", path, training.batch, training.window, interface).shuffle(seed, epoch)

    def split(self, name: str, path: Path | None, batch: int, window: int, interface: Interface) -> Examples:
        """The texts in the file at ``path``; ``window`` is not used.

        Raises:
            UserError: no path, or a file that cannot be read.
        """
        if path is None:
            raise UserError(f"--{name}: labelled texts need the .npy file of the {name} split")
        return Examples(path, batch, interface)

    def read(self, features: Tensor, inputs: Tensor) -> Tensor:
        """The features after each text's last word, (batch, width)."""
        last = self.mask_padding(inputs).sum(0) - 1
        return features.gather(0, last[None, :, None].expand(1, -1, features.shape[2])).squeeze(0)

    def mask_padding(self, inputs: Tensor) -> Tensor:
        """Where there are words."""
        return inputs != PAD

    def tally(self, model: RecurrentModel) -> AccuracyTally:
        """Cross-entropy and accuracy."""
        return AccuracyTally(model)


def make(block: dict[str, Any]) -> Classification:
    """Labelled texts of ``block["classes"]`` classes; the rest that training needs is in their files."""
    return Classification(block["classes"])
