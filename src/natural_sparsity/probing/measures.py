"""Measures of sparsity: how concentrated a vector is.

A measure sees the magnitudes of a vector v, divided by the largest. So it cannot depend on v's scale or signs:
activations and gradients, early and late in training, differ in scale by many powers of ten. It is undefined for v = 0.

Each measure is an object here, listed by name in :data:`natural_sparsity.registry.MEASURES`. The module imports torch
only where it computes, since figures and tables read labels and bounds without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING

from natural_sparsity import registry

if TYPE_CHECKING:
    from torch import Tensor

    from natural_sparsity.probing.others import Others


@dataclass(frozen=True)
class Measure:
    """A measure of sparsity; larger is sparser.

    Attributes:
        label: its name in figures.
        bounds: from d, the least and the greatest value.
        source: who defined it.
        function: magnitudes (…, d), of which the largest is 1 → (…).
        joined: ``function`` for the softmax, where d is the vocabulary: (``Others``, an entry (rows,) that joins them)
            → (rows,), in double precision. Without it, ``function`` sees those vectors too: correct, but slower.
        parameters: keys of the probe's block that both take by name.
    """

    label: str
    bounds: Callable[[int], tuple[float, float]]
    source: str
    function: Callable[..., Tensor]
    joined: Callable[..., Tensor] | None = None
    parameters: tuple[str, ...] = ()

    def bind(self, settings: object) -> Measure:
        """Return the measure with its parameters filled in from the attributes of ``settings``."""
        values = {key: getattr(settings, key) for key in self.parameters}
        joined = partial(self.joined, **values) if self.joined else None
        return replace(self, function=partial(self.function, **values), joined=joined)


def load(name: str) -> Measure:
    """Return the measure called ``name`` in :data:`natural_sparsity.registry.MEASURES`."""
    module, _, entry = registry.MEASURES[name].partition(":")
    measure: Measure = getattr(registry.load(module), entry)
    return measure


def choose(names: Iterable[str], settings: object) -> dict[str, Measure]:
    """Return the measures called ``names``, with the parameters that ``settings`` gives them."""
    return {name: load(name).bind(settings) for name in names}


def measure(vectors: Tensor, measures: dict[str, Measure]) -> Tensor:
    """Return ‖v‖₁, ‖v‖₂ and the measures of each row v of ``vectors`` (rows, d): (rows, 2 + measures), in double.

    Measures of v = 0 are NaN. Rows are divided by their largest magnitude first: a gradient of 10⁻²⁵ is as
    concentrated as its multiples are, but its squares would vanish in single precision.
    """
    magnitudes = vectors.abs()
    largest = magnitudes.amax(1)
    scaled = magnitudes.div_(largest.where(largest > 0, 1).unsqueeze(1))
    scale = largest.double()
    values = vectors.new_empty(len(vectors), 2 + len(measures)).double()
    values[:, 0], values[:, 1] = scaled.sum(1) * scale, scaled.norm(dim=1) * scale
    for column, entry in enumerate(measures.values(), 2):
        values[:, column] = entry.function(scaled).double().where(largest > 0, float("nan"))
    return values


def chi(c: Tensor) -> Tensor:
    """ℓ2/ℓ1: ‖c‖₂ / ‖c‖₁."""
    return c.norm(dim=-1) / c.sum(-1)


def chi_joined(others: Others, y: Tensor) -> Tensor:
    """:func:`chi` with y joined."""
    return (others.square_sum + y.square()).sqrt() / (others.sum + y)


def hoyer(c: Tensor) -> Tensor:
    """(√d − ‖c‖₁/‖c‖₂) / (√d − 1)."""
    root = sqrt(c.shape[-1])
    return (root - 1 / chi(c)) / (root - 1)


def hoyer_joined(others: Others, y: Tensor) -> Tensor:
    """:func:`hoyer` with y joined."""
    root = sqrt(others.width)
    return (root - 1 / chi_joined(others, y)) / (root - 1)


def gini(c: Tensor) -> Tensor:
    """1 − 2 Σₖ c₍ₖ₎/‖c‖₁ · (d − k + ½)/d with c₍₁₎ ≤ … ≤ c₍d₎, which is Σₖ c₍ₖ₎ (2k − d − 1)/d / ‖c‖₁."""
    from natural_sparsity.probing.ranks import rank_weights, sort_

    return sort_(c.clone()) @ rank_weights(c) / c.sum(-1)


def gini_joined(others: Others, y: Tensor) -> Tensor:
    """:func:`gini` with y joined.

    y leaves the lowest rank, which 0 had, for its own: the others o ≤ y fall by a rank, those above it stay. So
    Σₖ (2k − d − 1)/d · c₍ₖ₎ = Σₖ (2k − d − 1)/d · o₍ₖ₎ − 2/d (Σo − Σ max(o − y, 0)) + y (d − 1)/d.
    """
    d = others.width
    ranked = others.ranked_sum - 2 / d * (others.sum - others.excess(y)) + y * (d - 1) / d
    return ranked / (others.sum + y)


def kurtosis(c: Tensor) -> Tensor:
    """κ₄: Σc⁴ / (Σc²)². Neither centred nor multiplied by d: d κ₄ is the usual kurtosis, about 0 for the mean."""
    squares = c.square()
    return squares.square().sum(-1) / squares.sum(-1).square()


def kurtosis_joined(others: Others, y: Tensor) -> Tensor:
    """:func:`kurtosis` with y joined."""
    return (others.fourth_sum + y**4) / (others.square_sum + y.square()).square()


def l0(c: Tensor, epsilon: float) -> Tensor:
    """ε-ℓ0: the share of entries below ε times the largest."""
    return (c < epsilon * c.amax(-1, keepdim=True)).to(c.dtype).mean(-1)


def l0_joined(others: Others, y: Tensor, epsilon: float) -> Tensor:
    """:func:`l0` with y joined."""
    bound = epsilon * others.largest.maximum(y)
    return (others.count_below(bound) + (y < bound)) / others.width


HURLEY_RICKARD = "Hurley & Rickard 2009, IEEE Transactions on Information Theory 55(10)"
CHI = Measure("χ", lambda d: (1 / sqrt(d), 1), "Saphra & Lopez 2019, arXiv 1908.01817", chi, chi_joined)
HOYER = Measure("Hoyer", lambda d: (0, 1), "Hoyer 2004, JMLR 5", hoyer, hoyer_joined)
GINI = Measure("Gini index", lambda d: (0, 1 - 1 / d), HURLEY_RICKARD, gini, gini_joined)
KURTOSIS = Measure("κ₄", lambda d: (1 / d, 1), HURLEY_RICKARD, kurtosis, kurtosis_joined)
L0 = Measure("ε-ℓ0", lambda d: (0, 1 - 1 / d), f"after {HURLEY_RICKARD}; relative: ours", l0, l0_joined, ("epsilon",))
