"""The training block of a model's configuration."""

from dataclasses import dataclass

from natural_sparsity.settings import MATMUL_PRECISIONS, one_of


@dataclass(frozen=True)
class Training:
    """The paper's recipe (DESIGN §4): plain SGD on truncated backpropagation through time; or ``optimiser`` adam.

    ``batch`` streams, ``window`` steps, ``clip`` on the gradient's global ℓ2 norm; the learning rate is divided by
    ``decay`` after an epoch whose dev loss is no better than the best so far. ``evaluation_batch`` streams for dev.
    ``matmul_precision`` is torch's: highest, high or medium.
    """

    batch: int = 40
    window: int = 35
    learning_rate: float = 20.0
    clip: float = 0.25
    decay: float = 4.0
    evaluation_batch: int = 10
    optimiser: str = one_of("sgd", "adam")
    matmul_precision: str = one_of(*MATMUL_PRECISIONS)
