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
    """Watches windows: of each, first the blocks of its softmax, in order, then the whole.

    Several threads may each show a window at the same time. So only ``add`` may change the observer.
    """

    def see_block(self, block: SoftmaxBlock) -> Any:
        """Return what to keep of some positions' softmax."""

    def see_window(self, observation: Observation) -> Any:
        """Return what to keep of a window."""

    def add(self, seen: Any) -> None:
        """Add what :meth:`see_window` returned; called window by window, in their order."""
