"""Held-out loss and score of a model, on any kind of data."""

from collections.abc import Callable

import torch

from natural_sparsity.data.base import Data, HeldOut, Split
from natural_sparsity.model.recurrent import RecurrentModel


@torch.no_grad()
def evaluate(model: RecurrentModel, data: Data, split: Split, between: Callable[[], None] = lambda: None) -> HeldOut:
    """Loss and score over a split, without dropout; ``between`` is called after each batch."""
    model.eval()
    tally, state = data.tally(model), model.zero_state(split.batch)
    for batch in split.batches(model.output.weight.device):
        if not data.carries_state:
            state = model.initial_state(batch.inputs.shape[1], batch.start)
        _, features, state = model(batch.inputs, state)
        tally.add(data.read(features, batch.inputs), batch)
        between()
    return tally.result(split.examples)
