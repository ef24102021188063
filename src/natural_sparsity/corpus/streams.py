"""Windows of the token stream, as truncated backpropagation through time and the probe read it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.errors import UserError


class Streams:
    """A split cut into ``batch`` contiguous streams of equal length.

    At most ``batch`` − 1 tokens at the end are left out. The tokens stay memory-mapped; only a window is ever copied.
    """

    def __init__(self, path: Path, batch: int, window: int, vocabulary: int):
        tokens = files.read_array(path)
        self.length = len(tokens) // batch
        if self.length < 2:
            raise UserError(f"{path}: {len(tokens)} tokens are too few for a batch of {batch}; lower the batch size")
        self.columns = tokens[: self.length * batch].reshape(batch, self.length)
        self.path, self.batch, self.window, self.vocabulary = path, batch, window, vocabulary
        self.tokens = (self.length - 1) * batch  # that are predicted: a stream's first token is only ever an input

    def __len__(self) -> int:
        return -(-(self.length - 1) // self.window)

    def windows(self, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets, each (steps, batch) int64; the last window may be shorter."""
        for start in range(0, self.length - 1, self.window):
            stop = min(start + self.window, self.length - 1)
            piece = np.ascontiguousarray(self.columns[:, start : stop + 1].T)
            if piece.max() >= self.vocabulary:
                raise UserError(f"{self.path}: word id {piece.max()} is not below the vocabulary's {self.vocabulary}")
            window = torch.from_numpy(piece.astype(np.int64)).to(device)
            yield window[:-1], window[1:]
