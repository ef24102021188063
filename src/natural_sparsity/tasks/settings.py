"""The training block of a task's model."""

from dataclasses import dataclass

from natural_sparsity.settings import one_of


@dataclass(frozen=True)
class Training:
    """An epoch is ``steps`` batches of ``batch`` new sequences; ``clip`` bounds the gradient's global ℓ2 norm."""

    batch: int = 32
    steps: int = 100
    optimiser: str = one_of("adam", "sgd")
    learning_rate: float = 0.001
    clip: float = 1.0
