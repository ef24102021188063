"""How concentrated a vector is."""

from typing import NamedTuple

import torch
from torch import Tensor


class Norms(NamedTuple):
    """``chi`` = ‖v‖₂/‖v‖₁, in [1/√d, 1] and NaN for v = 0; ``l1`` = ‖v‖₁; ``l2`` = ‖v‖₂; each of shape (rows,)."""

    chi: Tensor
    l1: Tensor
    l2: Tensor


def norms(vectors: Tensor) -> Norms:
    """χ and the norms it is the ratio of (Saphra & Lopez 2019, §2; DESIGN §4) of each row of ``vectors`` (rows, d).

    Rows are divided by their largest magnitude first: a gradient of 10⁻²⁵ has a χ like any other, but its squares
    would vanish in single precision.
    """
    magnitudes = vectors.abs()
    largest = magnitudes.amax(1)
    scaled = magnitudes / torch.where(largest > 0, largest, 1).unsqueeze(1)
    l1, l2 = scaled.sum(1), torch.linalg.vector_norm(scaled, dim=1)
    return Norms(l2 / l1, l1 * largest, l2 * largest)  # 0/0 is NaN
