"""Sorted rows and the weights of their ranks, which the Gini index is made of."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

from torch import Tensor, arange, get_num_threads


def rank_weights(values: Tensor) -> Tensor:
    """Return (2k − d − 1)/d for the ranks k = 1 … d of ``values`` (…, d), in their precision."""
    d = values.shape[-1]
    return arange(1 - d, d, 2, dtype=values.dtype, device=values.device) / d


def sort_(values: Tensor) -> Tensor:
    """Sort the rows of ``values`` (…, d), contiguous, in ascending order, in place.

    On a CPU by numpy's vectorised sort, which is twenty times as fast as torch's, in as many threads as torch has.
    """
    if values.is_cuda:
        return values.copy_(values.sort(-1).values)
    threads = get_num_threads()
    parts = values.view(-1, values.shape[-1]).chunk(threads)
    list((thread_pool(threads).map if threads > 1 else map)(lambda part: part.numpy().sort(axis=1), parts))
    return values


@cache
def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Return the threads to sort in; the same pool at every call."""
    return ThreadPoolExecutor(threads)
