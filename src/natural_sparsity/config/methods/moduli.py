"""The settings of ``method: moduli``: moduli regularisation."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from natural_sparsity.config.base import WORDS, Epochs, Factor, Rate
from natural_sparsity.config.methods.base import (
    LAST,
    PRUNABLE,
    DenseModel,
    Method,
    Needs,
    Parent,
    PrunedTensors,
    Variant,
)


def inverts(values: dict[str, Any]) -> bool:
    """Whether the paper's authors invert the inhibitor."""
    return values.get("inhibitor") == "dog"


FACTOR = "(circle|klein|sphere([2-9]|[1-9][0-9]{1,2})?|torus([1-9][0-9]{0,2})?)"


class Settings(Method):
    """Moduli regularisation: recurrent weights are penalised by the distance of their units in a space, and pruned."""

    masked = ("moduli", "retrained")

    method: Literal["moduli"] = Field(
        description="Penalise recurrent weights by the distance of their units in a space; prune in a ramp."
    )
    of: DenseModel
    space: str = Field(
        "torus",
        pattern=f"^{FACTOR}(-{FACTOR})*$",
        description="Where the units lie; `torus` and `sphere` have two dimensions, `torus6` has six.",
        json_schema_extra={
            WORDS: "circle, klein, sphere, torus, sphereN or torusN with N dimensions, or a product: sphere-torus"
        },
    )
    inhibitor: Literal["dog", "diffusion", "gauss", "ripple"] = Field(
        "dog",
        description=(
            "The penalty K as a function of the distance: a difference of Gaussians, the squared distance, a Gaussian,"
            " or a cosine."
        ),
    )
    inverted: bool = Field(
        default_factory=inverts,
        description="Penalise max K − K instead of K. By default, true for `dog` and false for the others.",
    )
    control: Literal["none", "permuted", "matched"] = Field(
        "none",
        description=(
            "`none` uses K as it is; `permuted` shuffles its entries; `matched` replaces each entry by their mean,"
            " which gives an ℓ1 penalty of the same strength."
        ),
    )
    strength: Factor = Field(0.1, description="Factor of the penalty.")
    l1: Rate | None = Field(
        None,
        description=(
            "Factor of a second penalty, which the published language models have besides: the mean absolute weight of"
            " the embedding, of each layer's input weights, and of the output, added up. `null`: none."
        ),
    )
    sparsity: float = Field(0.9, ge=0, lt=1, description="Share of the weights that are pruned in the end.")
    ramp: Epochs = Field(
        description="Epoch by which that share is pruned; until then, the pruned share grows linearly."
    )
    tensors: PrunedTensors = Field(PRUNABLE)
    retrain: bool = Field(
        False,
        description=(
            "Whether to train newly drawn weights under the last masks as well, with the same penalty, as"
            " `NAME-retrained`."
        ),
    )

    def collect_needs(self) -> dict[str, Needs]:
        """Return what the method needs; the second penalty is on an embedding of words."""
        words = {"moduli with l1": Needs(vocabulary=True)} if self.l1 else {}
        return super().collect_needs() | words

    def list_variants(self, name: str, base: str) -> Iterator[Variant]:
        """Yield the model, and the one that is retrained under its last masks."""
        for model in super().list_variants(name, base):
            yield model
            if self.retrain:
                masks = {"masks": Parent(name, LAST)}
                yield Variant(f"{name}-retrained", {"role": "retrained"}, {**model.parents, **masks})
