"""Replay: what a graph would do, with a capture that keeps the function and its buffers."""

import pytest
import torch

from natural_sparsity.data.base import Batch
from natural_sparsity.model.replay import EAGER_STEPS, Replayed


def total(batch):
    """The sum of all parts."""
    return sum((part.sum() for part in batch if part is not None), torch.zeros(()))


@pytest.mark.parametrize("shape", [{"inputs": 5}, {"targets": 1}, {"start": 2}])
def test_only_a_batch_whose_parts_all_have_the_captured_shapes_is_replayed(shape):
    """Otherwise a part would be broadcast to the buffer, or left out."""
    replayed = []

    def capture(function):
        return lambda: replayed.append(1) or function()

    run, usual = Replayed(total, capture), Batch(torch.ones(4), torch.ones(4))
    for _ in range(EAGER_STEPS + 2):
        assert run(usual) == 8
    assert len(replayed) == 2
    other = usual._replace(**{name: torch.ones(length) for name, length in shape.items()})
    assert run(other) == total(other) != 8
    assert len(replayed) == 2
    assert run(usual) == 8 and len(replayed) == 3
