"""The part of a target word's gradient that is the same at all of its positions.

By h_L the gradient of the loss at a target w is pW − W[w], with the model's prediction p and its output weights W. With
the words' frequencies p̄ in the place of p nothing of the context is left. It follows from the checkpoint alone.
"""

import torch
from torch import Tensor

from natural_sparsity.probing.measures import Measure, measure

STATIC = "static"
BLOCK_ROWS = 4096  # words at a time, so that no second matrix as large as W is made


@torch.no_grad()
def measure_static(weight: Tensor, counts: Tensor, words: Tensor, measures: dict[str, Measure]) -> Tensor:
    """Return norms and measures, as :func:`measure` gives them, of p̄W − W[w] for each w of ``words`` (n,).

    Args:
        weight: W, (vocabulary, width).
        counts: (vocabulary,), how often each word is a target; p̄ is its share.
        words: ids.
        measures: by name.

    Returns:
        (n, 2 + measures), double precision throughout.
    """
    shares = counts.double() / counts.sum()
    blocks = zip(shares.split(BLOCK_ROWS), weight.split(BLOCK_ROWS), strict=True)
    mean = torch.stack([share @ rows.double() for share, rows in blocks]).sum(0)
    return torch.cat([measure(mean - weight[block].double(), measures) for block in words.split(BLOCK_ROWS)])
