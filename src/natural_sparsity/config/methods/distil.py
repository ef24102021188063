"""The settings of ``method: distil``: distillation."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from natural_sparsity.config.base import UNIQUE, UNIQUE_ITEMS
from natural_sparsity.config.methods.base import INIT, LAST, Method, Needs, Parent, Variant


class Settings(Method):
    """Distillation: a student learns from the predictions of a trained teacher as well as from the targets.

    The student needs an architecture of its own; it takes over the training of its teacher. Or it is a pruned model,
    whose architecture, training, first weights and masks it takes over.
    """

    needs = Needs(classes=True)
    keeps_masks = "student"
    prunes = False

    method: Literal["distil"] = Field(description="Train a student on the targets and on its teacher's predictions.")
    of: str = Field(description="Name of the dense model that is the teacher, after its last epoch.")
    student: str | None = Field(
        None,
        description=(
            "Name of a pruned model, such as `tickets-level2`, that starts again as it did, now with a teacher. Without"
            " it, the student has its own architecture, and starts untrained."
        ),
    )
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

    @property
    def own_architecture(self) -> bool:
        """Whether the student is not a model that there is."""
        return self.student is None

    def list_variants(self, name: str, base: str) -> Iterator[Variant]:
        """Yield the student, which starts from random weights or where the pruned model did, and its controls."""
        start = {"start": Parent(base, INIT)} if self.student else {}
        yield Variant(name, {"role": "student"}, {**start, "teacher": Parent(self.of, LAST)})
        for control in self.controls:
            yield Variant(f"{name}-{control}", {"role": control}, {})
