"""Show the windows of a text to an observer, several at once if there are threads for it.

A window's forward pass needs the state that the one before left; everything else, most of the work, needs no other
window. So one thread computes the forward passes in order and hands each window to another thread, which finishes it
alone. If each operation uses one thread, the number of threads changes no bit.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from typing import Any, NamedTuple

import torch
from torch import Tensor

from natural_sparsity.data.base import Batch
from natural_sparsity.model.output_layer import OutputLayer, backpropagate
from natural_sparsity.model.recurrent import RecurrentModel, State, copy_state
from natural_sparsity.model.replay import Replayed
from natural_sparsity.training.observation import Observation, Observer


class Begun(NamedTuple):
    """A window after its forward pass: the outputs of the embedding and of each layer, and what the softmax reads."""

    inputs: Tensor
    targets: Tensor
    outputs: list[Tensor]
    features: Tensor


def begin_window(model: RecurrentModel, inputs: Tensor, targets: Tensor, state: State) -> tuple[Begun, State]:
    """Compute a window's forward pass; return it, and the state after it."""
    embedded = model.encode(inputs).detach().requires_grad_()
    with torch.enable_grad():
        outputs, features, after = model.layers([embedded], state)
    return Begun(inputs, targets, outputs, features), after


def finish_window(begun: Begun, output: OutputLayer, observer: Observer) -> Any:
    """Show the softmax's blocks, then the window, to the observer; return what it saw."""
    inputs, targets, outputs, features = begun
    blocks: list[Any] = []
    losses, direct = output.direct_gradient(
        features.detach().flatten(0, 1), targets.flatten(), lambda block: blocks.append(observer.see_block(block))
    )
    gradients = backpropagate(features, outputs, direct.view_as(features))
    values = [h.detach() for h in outputs]
    return observer.see_window(Observation(inputs, targets, values, gradients, losses, blocks))


def probe_window(
    model: RecurrentModel, output: OutputLayer, observer: Observer, inputs: Tensor, targets: Tensor, state: State
) -> State:
    """Show one window to the observer.

    Only the recurrent layers are differentiated, with respect to their inputs. The gradient at an output of the last
    layer is the one that the softmax hands down; at the layers below, it has come back through time within the window.

    Args:
        model: its parameters and mode are left as they are.
        output: the model's output layer.
        observer: sees the softmax's blocks, then the window.
        inputs, targets: (steps, batch) word ids.
        state: the model's before the window.

    Returns:
        The state after the window.
    """
    begun, after = begin_window(model, inputs, targets, state)
    observer.add(finish_window(begun, output, observer))
    return after


@torch.no_grad()
def probe_windows(
    model: RecurrentModel, windows: Iterable[tuple[Tensor, Tensor]], batch: int, observer: Observer, threads: int = 1
) -> Iterator[int]:
    """Show windows that follow each other to the observer, from a state of zero; yield the positions of each.

    Args:
        model: as for :func:`probe_window`.
        windows: inputs and targets, (steps, batch) word ids each.
        batch: the number of streams.
        observer: sees each window, and adds them in their order.
        threads: how many windows a CPU finishes at once, beside the forward pass of the next. Set torch's own number
            of threads to 1 before.
    """
    output, state = OutputLayer(model.output, model.tuning.probe), model.zero_state(batch)
    if threads > 1 and not model.output.weight.is_cuda:
        yield from probe_at_once(model, windows, output, observer, state, threads)
        return
    for inputs, targets in windows:
        state = probe_window(model, output, observer, inputs, targets, state)
        yield targets.numel()


@torch.no_grad()
def replay_windows(
    model: RecurrentModel, windows: Iterable[tuple[Tensor, Tensor]], batch: int, observer: Observer
) -> Iterator[int]:
    """Do as :func:`probe_windows`, on a GPU: record the work on one window and replay it for the others.

    This pays if there are many.
    """
    output, state = OutputLayer(model.output, model.tuning.probe), model.zero_state(batch)

    def probe(batch: Batch) -> Tensor:
        copy_state(probe_window(model, output, observer, batch.inputs, batch.targets, state), state)
        return batch.targets

    run = Replayed(probe)
    for inputs, targets in windows:
        run(Batch(inputs, targets))
        yield targets.numel()


def probe_at_once(
    model: RecurrentModel,
    windows: Iterable[tuple[Tensor, Tensor]],
    output: OutputLayer,
    observer: Observer,
    state: State,
    threads: int,
) -> Iterator[int]:
    """Do as :func:`probe_windows` with ``threads`` threads besides this one."""
    # A window takes over the layer, and so the buffer, of the window ``threads`` before it, which was added by then.
    layers = cycle([output, *(output.copy() for _ in range(threads - 1))])
    under_way: deque[tuple[Tensor, Future[Any]]] = deque()

    def end_first() -> int:
        targets, seen = under_way.popleft()
        observer.add(seen.result())
        return targets.numel()

    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)) as pool:
        for (inputs, targets), layer in zip(windows, layers, strict=False):
            begun, state = begin_window(model, inputs, targets, state)
            if len(under_way) == threads:
                yield end_first()
            under_way.append((targets, pool.submit(finish_window, begun, layer, observer)))
        while under_way:
            yield end_first()
