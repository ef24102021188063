"""The block ``models.NAME.training``: how a model is trained."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from natural_sparsity.config.base import Block, Epochs, Parallel, Rate, Refusal

# The values that torch.set_float32_matmul_precision takes.
MatmulPrecision = Literal["highest", "high", "medium"]
PRECISION = (
    "Precision of matrix products in PyTorch: `high` is TF32 and `medium` bfloat16, on hardware that has them"
    " (docs/performance.md)."
)


class Training(Block):
    """How a model is trained. The defaults are the paper's."""

    renamed = {"optimiser": "optimizer"}

    optimizer: Literal["sgd", "adam"] = Field(
        "sgd",
        description="Plain SGD or Adam. With Adam, give `learning_rate` and `clip`, since their defaults are for SGD.",
    )
    learning_rate: Rate = Field(20.0, description="Learning rate of the first epoch.")
    clip: Rate | None = Field(0.25, description="Bound on the global ℓ2 norm of the gradient; `null`: none.")
    decay: float | None = Field(
        4.0,
        gt=1,
        le=1e30,
        description=(
            "What the learning rate is divided by after an epoch whose dev loss is no better than the best so far;"
            " `null`, the default for Adam, keeps it constant."
        ),
    )
    milestones: list[Epochs] | None = Field(
        None,
        description=(
            "Epochs after which the learning rate is divided by `decay`, whatever the dev loss: one schedule for models"
            " that are compared. `[]` keeps the rate constant."
        ),
    )
    batch: Parallel = Field(
        40, description="Sequences per step: streams of text, labelled texts or generated sequences."
    )
    window: Parallel = Field(
        35,
        description="Tokens per step and stream: how far gradients go back in time.",
        json_schema_extra={"only": "streams"},
    )
    steps: int = Field(100, ge=1, le=10**6, description="Steps per epoch.", json_schema_extra={"only": "generated"})
    evaluation_batch: Parallel = Field(
        10,
        description="Sequences per batch when a held-out loss is measured.",
        json_schema_extra={"only": "not generated"},
    )
    matmul_precision: MatmulPrecision = Field("highest", description=PRECISION)

    @model_validator(mode="before")
    @classmethod
    def keep_rate_of_adam(cls, value: Any) -> Any:
        """Default Adam's ``decay`` to None, a constant rate."""
        if isinstance(value, dict) and value.get("optimizer") == "adam" and "decay" not in value:
            return {**value, "decay": None}
        return value

    @model_validator(mode="after")
    def check_milestones(self) -> Self:
        """Milestones rise, and need a ``decay``."""
        epochs = self.milestones or []
        if epochs != sorted(set(epochs)):
            raise Refusal("milestones", f"{epochs} are not in rising order, each once; sort them")
        if epochs and self.decay is None:
            raise Refusal("decay", "missing; give what the rate is divided by after the milestones")
        return self

    @model_validator(mode="after")
    def check_adam(self) -> Self:
        """Adam needs a learning rate and a clip of its own."""
        if self.optimizer == "adam":
            for key in ("learning_rate", "clip"):
                if key not in self.model_fields_set:
                    raise Refusal(key, "missing; give it for Adam, since the default is for SGD")
            if self.learning_rate > 1:
                raise Refusal("learning_rate", f"{self.learning_rate:g} is a rate for SGD; give Adam one such as 0.001")
        return self
