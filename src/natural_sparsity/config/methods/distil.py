"""The settings of ``method: distil``: distillation."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from natural_sparsity.config.base import UNIQUE, UNIQUE_ITEMS
from natural_sparsity.config.methods.base import LAST, Method, Needs, Parent, Variant


class Settings(Method):
    """Distillation: a student learns from the predictions of a trained teacher as well as from the targets.

    The student needs an architecture of its own; it takes over the training of its teacher.
    """

    needs = Needs(classes=True)
    own_architecture = True
    prunes = False

    method: Literal["distil"] = Field(description="Train a student on the targets and on its teacher's predictions.")
    of: str = Field(description="Name of the dense model that is the teacher, after its last epoch.")
    weight: float = Field(0.5, gt=0, le=1, description="Share of the teacher in the loss.")
    temperature: float = Field(
        1.0,
        ge=0.01,
        le=1000,
        description=(
            "Temperature of both softmaxes, the teacher's and the student's, in the teacher's share of the loss."
        ),
    )
    controls: Annotated[list[Literal["no_teacher"]], UNIQUE, UNIQUE_ITEMS] = Field(
        [], description="`no_teacher` adds a model that is trained on the targets alone, `NAME-no_teacher`."
    )

    def list_variants(self, name: str, base: str) -> Iterator[Variant]:
        """Yield the student, which starts from random weights of its own, and its controls."""
        yield Variant(name, {"role": "student"}, {"teacher": Parent(base, LAST)})
        for control in self.controls:
            yield Variant(f"{name}-{control}", {"role": control}, {})
