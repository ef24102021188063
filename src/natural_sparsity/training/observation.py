"""What an observer sees of a window that is trained on or probed."""

from typing import NamedTuple, Protocol

from torch import Tensor

from natural_sparsity.model.output_layer import SoftmaxBlock


class Observation(NamedTuple):
    """What was seen of a window; in training before its update, and overwritten by the next step.

    ``inputs``, ``targets`` (steps, batch), word ids; ``outputs``: of the embedding and of each layer, before dropout,
    (steps, batch, width) each; ``gradients``: of the window's summed loss by ``outputs``; ``losses``: of each position,
    nats, (steps · batch,) in the order of ``targets.flatten()``.
    """

    inputs: Tensor
    targets: Tensor
    outputs: list[Tensor]
    gradients: list[Tensor]
    losses: Tensor


class Observer(Protocol):
    """Watches a window: first the blocks of its softmax, in order, then the rest."""

    def see_block(self, block: SoftmaxBlock) -> None:
        """See some positions' softmax."""

    def see_window(self, observation: Observation) -> None:
        """See the whole window."""
