"""A block ``probes.NAME``: one condition under which sparsity is measured."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from natural_sparsity.config.base import UNIQUE, UNIQUE_ITEMS, Block, Parallel, one_of
from natural_sparsity.config.training import PRECISION, MatmulPrecision
from natural_sparsity.registry import MEASURES

if TYPE_CHECKING:
    Measure = str
else:
    Measure = one_of(list(MEASURES))

# What the training decides while weights move, with the one value that may still be given.
OF_TRAINING = {"split": "train", "dropout": True, "batch": None, "window": None, "matmul_precision": None}


class Probe(Block):
    """One condition under which sparsity is measured, at every checkpoint.

    With ``weights: training``, a dump has no ``batch``, ``window``, ``dropout`` and ``matmul_precision``.
    """

    weights: Literal["frozen", "training"] = Field(
        "frozen",
        description=(
            "`frozen` measures each checkpoint as it is. `training` repeats the epoch that led to it and measures"
            " along the way, while the weights move; the split is then `train`, and `batch`, `window`, `dropout`"
            " and `matmul_precision` are the training's."
        ),
    )
    measures: Annotated[list[Measure], UNIQUE, UNIQUE_ITEMS] = Field(
        ["chi"], min_length=1, description="Measures of sparsity (docs/method.md). Figures are drawn for each."
    )
    epsilon: float = Field(
        0.1, gt=0, lt=1, description="The measure `l0` counts the entries below this share of the vector's largest."
    )
    split: Literal["train", "dev", "test"] = Field("train", description="The split that is read.")
    batch: Parallel = Field(40, description="Contiguous streams that are read in parallel.")
    window: Parallel = Field(35, description="Tokens per stream over which gradients go back in time.")
    dropout: bool = Field(False, description="Whether dropout is on.")
    matmul_precision: MatmulPrecision = Field("highest", description=PRECISION)

    def list_moot_keys(self) -> dict[str, str]:
        """While weights move, the training decides."""
        if self.weights == "frozen":
            return {}
        return {
            key: f"{str(getattr(self, key)).lower()} contradicts weights: training, where the training decides"
            for key, only in OF_TRAINING.items()
            if getattr(self, key) != only
        }
