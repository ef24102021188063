"""Sorted rows and the weights of their ranks, which the Gini index is made of."""

from torch import Tensor, arange


def rank_weights(values: Tensor) -> Tensor:
    """Return (2k − d − 1)/d for the ranks k = 1 … d of ``values`` (…, d), in their precision."""
    d = values.shape[-1]
    return arange(1 - d, d, 2, dtype=values.dtype, device=values.device) / d


def sort_(values: Tensor) -> Tensor:
    """Sort the rows of ``values`` (…, d), contiguous, in ascending order, in place.

    On a CPU by numpy's vectorised sort, which is twenty times as fast as torch's.
    """
    if values.is_cuda:
        return values.copy_(values.sort(-1).values)
    values.numpy().sort(axis=-1)
    return values
