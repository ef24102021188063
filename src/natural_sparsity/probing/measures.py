"""How concentrated a vector is: measures of sparsity, each written once and entered in :data:`MEASURES`.

A measure sees the magnitudes of a vector v, divided by the largest: it cannot depend on v's scale or signs, since
activations and gradients, early and late in training, differ in scale by many powers of ten. It is undefined for v = 0.

Torch is imported late, so that figures can read the table without waiting for it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from natural_sparsity.probing.softmax import Others


@dataclass(frozen=True)
class Measure:
    """A measure of sparsity; larger is sparser.

    ``function``: magnitudes (…, d), of largest 1 → (…); ``bounds``: d → its least and greatest value; ``parameters``:
    keys of the probe's block that it takes by name. ``label`` stands in figures, ``source`` says who defined it.

    ``joined`` is ``function`` for the softmax, where d is the vocabulary: (``Others``, an entry (rows,) that joins
    them) → (rows,), in double precision. Without it, ``function`` sees those vectors too: correct, but slower.
    """

    label: str
    bounds: Callable[[int], tuple[float, float]]
    source: str
    function: Callable[..., Tensor]
    joined: Callable[..., Tensor] | None = None
    parameters: tuple[str, ...] = ()

    def bind(self, settings: object) -> Measure:
        """The measure with its parameters, which ``settings`` has as attributes, filled in."""
        values = {key: getattr(settings, key) for key in self.parameters}
        joined = partial(self.joined, **values) if self.joined else None
        return replace(self, function=partial(self.function, **values), joined=joined)


def rank_weights(values: Tensor) -> Tensor:
    """(2k − d − 1)/d for the ranks k = 1 … d of ``values`` (…, d), in their precision."""
    from torch import arange

    d = values.shape[-1]
    return arange(1 - d, d, 2, dtype=values.dtype, device=values.device) / d


def sort_(values: Tensor) -> Tensor:
    """Sort the rows of ``values`` (…, d), contiguous, in ascending order, in place.

    On a CPU by numpy's vectorised sort, which is twenty times as fast as torch's, in as many threads as torch has.
    """
    if values.is_cuda:
        return values.copy_(values.sort(-1).values)
    from torch import get_num_threads

    threads = get_num_threads()
    parts = values.view(-1, values.shape[-1]).chunk(threads)
    list((pool(threads).map if threads > 1 else map)(lambda part: part.numpy().sort(axis=1), parts))
    return values


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Threads to sort in."""
    return ThreadPoolExecutor(threads)


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
MEASURES = {
    "chi": Measure("χ", lambda d: (1 / sqrt(d), 1), "Saphra & Lopez 2019, arXiv 1908.01817", chi, chi_joined),
    "hoyer": Measure("Hoyer", lambda d: (0, 1), "Hoyer 2004, JMLR 5", hoyer, hoyer_joined),
    "gini": Measure("Gini index", lambda d: (0, 1 - 1 / d), HURLEY_RICKARD, gini, gini_joined),
    "kurtosis": Measure("κ₄", lambda d: (1 / d, 1), HURLEY_RICKARD, kurtosis, kurtosis_joined),
    "l0": Measure(
        "ε-ℓ0", lambda d: (0, 1 - 1 / d), f"after {HURLEY_RICKARD}; relative: ours", l0, l0_joined, ("epsilon",)
    ),
}


def choose(names: list[str], settings: object) -> dict[str, Measure]:
    """The measures called ``names``, with the parameters that ``settings`` gives them."""
    return {name: MEASURES[name].bind(settings) for name in names}


def measure(vectors: Tensor, measures: dict[str, Measure]) -> Tensor:
    """‖v‖₁, ‖v‖₂ and the measures of each row v of ``vectors`` (rows, d): (rows, 2 + measures), double precision.

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
