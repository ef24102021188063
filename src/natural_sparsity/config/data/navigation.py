"""The settings of ``kind: navigation``: path integration."""

from typing import Literal

from pydantic import Field

from natural_sparsity.config.data.generated import Generated


class Settings(Generated):
    """Path integration: the place at each step of a walk, from its start and its velocities."""

    targets = "places"

    kind: Literal["navigation"] = Field(description="Path integration in a square box.")
    steps: int = Field(20, ge=1, le=10_000, description="Steps of a walk.")
    cells: int = Field(512, ge=3, le=100_000, description="Number of place cells, whose activities are the targets.")
    width: float = Field(0.12, ge=0.001, le=1000, description="Width of a place cell's activity, in metres.")
    side: float = Field(2.2, gt=0.1, le=1000, description="Side of the box, in metres.")
