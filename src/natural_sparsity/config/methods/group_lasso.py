"""The settings of ``method: group_lasso``: lasso over weights, gates and neurons."""

from typing import Literal

from pydantic import Field

from natural_sparsity.config.base import Block, Factor
from natural_sparsity.config.methods.base import DenseModel, Method, Needs, Rewind


class Strengths(Block):
    """Factors of the penalties, which are added to the mean loss per target."""

    weights: Factor = Field(0.0, description="Factor of the sum of the absolute weights of the recurrent layers.")
    gates: Factor = Field(0.0, description="Factor of the sum of the ℓ2 norms of the weights into each gate.")
    neurons: Factor = Field(0.0, description="Factor of the sum of the ℓ2 norms of all weights of each neuron.")


class Settings(Method):
    """Group lasso: penalties on the weights of an LSTM, and on the norms of the weights of its gates and neurons."""

    needs = Needs(cells=("lstm",))

    method: Literal["group_lasso"] = Field(description="Penalise weights and norms of groups of weights.")
    of: DenseModel
    rewind: Rewind = 0
    strengths: Strengths = Field(description="Factors of the penalties; at least one must be above 0.")
    threshold: Factor = Field(
        0.0001, description="Penalised weights whose absolute value is below it become 0 after every update."
    )
    freeze: bool = Field(False, description="Whether a weight that has become 0 stays 0.")
