"""The settings of ``kind: addition``: the adding problem."""

from typing import Literal

from pydantic import Field

from natural_sparsity.config.data.generated import Generated


class Settings(Generated):
    """The adding problem: the sum of the two marked numbers of a sequence."""

    targets = "numbers"

    kind: Literal["addition"] = Field(description="The adding problem.")
    steps: int = Field(50, ge=2, le=10_000, description="Steps of a sequence.")
