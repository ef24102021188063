"""What an observer sees of a window that is trained on or probed."""

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from natural_sparsity.model.output_layer import SoftmaxBlock


class Observation(NamedTuple):
    """What was seen of a window; in training before its update, and overwritten by the next step.

    ``inputs``, ``targets`` (steps, batch), word ids; ``outputs``: of the embedding and of each layer, before dropout,
    (steps, batch, width) each; ``gradients``: of the window's summed loss by ``outputs``; ``losses``: of each position,
    nats, (steps · batch,) in the order of ``targets.flatten()``; ``blocks``: what the observer made of each block of
    the softmax, in order.
    """

    inputs: Tensor
    targets: Tensor
    outputs: list[Tensor]
    gradients: list[Tensor]
    losses: Tensor
    blocks: list[Any]


class Observer(Protocol):
    """Watches windows. Of each, it sees the blocks of the softmax, in order, and then the whole.

    Several threads may show it different windows at once, so only ``add`` may change it. A GPU records the work and
    replays it without Python, so ``add`` must change tensors, in place.
    """

    def see_block(self, block: SoftmaxBlock) -> Any:
        """Return what to keep of some positions' softmax."""

    def see_window(self, observation: Observation) -> Any:
        """Return what to keep of a window."""

    def add(self, seen: Any) -> None:
        """Add what :meth:`see_window` returned; called window by window, in their order."""
