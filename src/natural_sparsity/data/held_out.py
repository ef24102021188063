"""Held-out loss and score of a model, on any kind of data."""

from collections.abc import Callable

import torch
from torch import Tensor

from natural_sparsity.data.base import Batch, Data, HeldOut, Split
from natural_sparsity.model.recurrent import RecurrentModel, copy_state
from natural_sparsity.model.replay import replay_on_gpu


@torch.no_grad()
def evaluate(model: RecurrentModel, data: Data, split: Split, between: Callable[[], None] = lambda: None) -> HeldOut:
    """Loss and score over a split, without dropout; ``between`` is called after each batch."""
    model.eval()
    tally, carried = data.tally(model), model.zero_state(split.batch)
    device = model.output.weight.device

    def add(batch: Batch) -> Tensor:
        state = carried if data.carries_state else model.initial_state(batch.inputs.shape[1], batch.start)
        _, features, after = model(batch.inputs, state)
        tally.add(data.read(features, batch.inputs), batch)
        if data.carries_state:
            copy_state(after, carried)
        return tally.loss

    run = replay_on_gpu(add, device)
    for batch in split.batches(device):
        run(batch)
        between()
    return tally.result(split.examples)
