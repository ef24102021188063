"""Replay work on a GPU: a CUDA graph replaces hundreds of launches by one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Pass = Callable[[], Tensor]
EAGER_STEPS = 3  # before the capture: in them, libraries choose kernels and allocate memory


def cuda_graph(function: Pass) -> Pass:
    """Record ``function`` without running it; return a function that replays it, with the result in the same memory.

    Each replay draws its random numbers from the generator's current state, so dropout works as without a graph.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def run_aside(function: Pass) -> Tensor:
    """Run ``function`` on a separate stream, as CUDA requires before a capture."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        result = function()
    torch.cuda.current_stream().wait_stream(stream)
    return result


class Replayed:
    """``step`` for many batches of one shape, with one launch per step instead of some 150.

    ``step`` takes a batch, a named tuple of tensors or None, and returns a tensor. It must change all else in place and
    on the device, and must not wait for the device. The first calls run without a graph. Then a call is captured on
    buffers of the first batch's shape, and replayed; batches of another shape, such as the last of an epoch, run
    without a graph.
    """

    def __init__(self, step: Callable[[Any], Tensor], capture: Callable[[Pass], Pass] = cuda_graph):
        self.step, self.capture = step, capture
        self.buffers: Any = None
        self.replay: Pass | None = None
        self.eager = 0

    def __call__(self, batch: Any) -> Tensor:
        """Do what ``step`` does; the next call overwrites the result."""
        if self.buffers is None:
            self.buffers = batch._make(None if part is None else torch.empty_like(part) for part in batch)
        buffers = self.buffers
        if self.eager < EAGER_STEPS or shapes(batch) != shapes(buffers):
            self.eager += 1
            return run_aside(lambda: self.step(batch)) if batch.inputs.is_cuda else self.step(batch)
        if self.replay is None:
            self.replay = self.capture(lambda: self.step(buffers))
        for buffer, part in zip(buffers, batch, strict=True):
            if part is not None:
                buffer.copy_(part)
        return self.replay()


def shapes(batch: Any) -> list[torch.Size | None]:
    """Those of a batch's parts."""
    return [None if part is None else part.shape for part in batch]


def replay_on_gpu(step: Callable[[Any], Tensor], device: torch.device) -> Callable[[Any], Tensor]:
    """Return ``step``, replayed if the ``device`` is a GPU."""
    return Replayed(step) if device.type == "cuda" else step
