"""A block of ``probes``: one condition under which sparsity is measured."""

from dataclasses import dataclass
from typing import Any

from natural_sparsity.errors import UserError
from natural_sparsity.probing.measures import MEASURES
from natural_sparsity.settings import MATMUL_PRECISIONS, one_of, some_of


@dataclass(frozen=True)
class Probe:
    """The conditions: ``weights`` as a checkpoint has them, or as they move in the epoch of training before it.

    ``measures`` are names of :data:`MEASURES`; ``epsilon`` is that of l0. The rest is for frozen weights, else as the
    training has it: ``batch`` streams, ``window`` steps of backpropagation, ``dropout`` on or off, ``matmul_precision``
    torch's (highest, high or medium).
    """

    weights: str = one_of("frozen", "training")
    measures: list[str] = some_of(*MEASURES)
    epsilon: float = 0.1
    batch: int = 40
    window: int = 35
    dropout: bool = False
    matmul_precision: str = one_of(*MATMUL_PRECISIONS)


# What the training decides where the weights are those of training, and the one value that may be given all the same.
OF_TRAINING = {"split": "train", "dropout": True, "batch": None, "window": None, "matmul_precision": None}


def check_conditions(name: str, block: dict[str, Any]) -> None:
    """Refuse what ``block``, as its author wrote it, sets although ``weights: training`` decides it.

    Raises:
        UserError: a line that begins with ``name`` and the key.
    """
    if block.get("weights") != "training":
        return
    for key, only in OF_TRAINING.items():
        if key in block and block[key] != only:
            value = str(block[key]).lower()
            raise UserError(
                f"{name}.{key}: {value} contradicts weights: training, where it is the training's; leave it out"
            )
