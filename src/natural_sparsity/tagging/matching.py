"""Choose frequency-matched samples: ranges of each class's frequency-sorted words, with means as close as possible."""

import numpy as np


def find_matched_ranges(open_counts: np.ndarray, closed_counts: np.ndarray, size: int = 120) -> tuple[int, int] | None:
    """Find the two ranges of ``size`` consecutive words whose mean counts are closest (Saphra & Lopez 2019, §4).

    The comparison is exact: means over equally many words are compared as integer sums. Among equally close pairs the
    one with the largest joint mean wins, because frequent words are measured best; then the one with the lowest
    ``open_start``, then with the lowest ``closed_start``.

    Args:
        open_counts: (n_open,) occurrences of each open-class word, falling.
        closed_counts: (n_closed,) occurrences of each closed-class word, falling.
        size: words in each sample.

    Returns:
        ``(open_start, closed_start)``: the samples are ``open[open_start : open_start + size]``, and likewise for
        closed. ``None`` if a class has fewer than ``size`` words: a smaller sample would measure something else.

    Raises:
        ValueError: the counts do not fall, or ``size`` is not positive.
    """
    if size < 1:
        raise ValueError(f"size {size} is not positive")
    if min(len(open_counts), len(closed_counts)) < size:
        return None
    a, b = sum_ranges(open_counts, size), sum_ranges(closed_counts, size)
    # The sums fall too. For each a, compare the largest b that is no larger and the smallest b that is larger; of equal
    # values, the first.
    below = np.searchsorted(-b, -a)
    above = np.searchsorted(-b, -b[np.maximum(below - 1, 0)])
    i = np.concatenate([np.arange(len(a))] * 2)
    j = np.concatenate([np.minimum(below, len(b) - 1), above])
    best = np.lexsort((j, i, -(a[i] + b[j]), np.abs(a[i] - b[j])))[0]
    return int(i[best]), int(j[best])


def sum_ranges(counts: np.ndarray, size: int) -> np.ndarray:
    """Sum every ``size`` consecutive counts: (n - size + 1,) int64."""
    counts = np.asarray(counts, np.int64)
    if (np.diff(counts) > 0).any():
        raise ValueError("counts must be sorted, falling")
    ends = np.concatenate([[0], np.cumsum(counts)])
    return ends[size:] - ends[:-size]
