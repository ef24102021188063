"""Windows of the token stream, as truncated backpropagation through time and the probe read it."""

from collections.abc import Callable, Iterator
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
            raise UserError(
                f"{path}: {len(tokens)} tokens are too few for a batch of {batch}, which needs {2 * batch}; lower batch"
                ", or enlarge the split: lower the data's min_count, or raise its max_documents or its share in split"
            )
        self.columns = tokens[: self.length * batch].reshape(batch, self.length)
        self.path, self.batch, self.window, self.vocabulary = path, batch, window, vocabulary
        self.tokens = (self.length - 1) * batch  # that are predicted: a stream's first token is only ever an input

    def __len__(self) -> int:
        return -(-(self.length - 1) // self.window)

    def windows(self, device: torch.device, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets, each (steps, batch) int64, from window ``first`` on; the last may be shorter.

        Raises:
            UserError: a word id is not in the vocabulary.
        """
        read = self.reader(device)
        for start in range(first * self.window, self.length - 1, self.window):
            window = read(start, min(start + self.window, self.length - 1) + 1)
            yield window[:-1], window[1:]

    def reader(self, device: torch.device) -> Callable[[int, int], Tensor]:
        """A function that gives the tokens from one step to another, (steps, batch) int64, on the device.

        A GPU gets the whole stream at once, four bytes per token, so that it never waits for the host.
        """
        if device.type == "cuda":
            whole = torch.from_numpy(self.check_ids(self.columns).astype(np.int32)).to(device).T.contiguous()
            return lambda start, stop: whole[start:stop].long()
        return lambda start, stop: torch.from_numpy(
            self.check_ids(self.columns[:, start:stop].T).astype(np.int64, order="C")
        )

    def check_ids(self, ids: np.ndarray) -> np.ndarray:
        """Return ``ids`` if all are in the vocabulary."""
        if ids.max() >= self.vocabulary:
            size = f"the vocabulary of {self.vocabulary} words"
            raise UserError(f"{self.path}: word id {ids.max()} is outside {size}; delete the file and run again")
        return ids
