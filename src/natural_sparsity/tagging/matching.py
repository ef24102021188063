"""Frequency-matched samples: a range of each class's frequency-sorted words, with means as close as possible."""

import numpy as np


def matched_ranges(open_counts: np.ndarray, closed_counts: np.ndarray, size: int = 120) -> tuple[int, int] | None:
    """Find the two ranges of ``size`` consecutive words whose mean counts are closest (Saphra & Lopez 2019, §4).

    The comparison is exact: means over equally many words are compared as integer sums. Among equally close pairs the
    one with the largest joint mean wins, because frequent words are the best measured; then the lowest
    ``open_start``, then the lowest ``closed_start``.

    Args:
        open_counts: (n_open,) occurrences of each open-class word, falling.
        closed_counts: (n_closed,) occurrences of each closed-class word, falling.
        size: words in each sample.

    Returns:
        ``(open_start, closed_start)``: the samples are ``open[open_start : open_start + size]`` and likewise for
        closed. ``None`` if a class has fewer than ``size`` words: a smaller sample would be another measurement.

    Raises:
        ValueError: the counts do not fall, or ``size`` is not positive.
    """
    if size < 1:
        raise ValueError(f"size {size} is not positive")
    if min(len(open_counts), len(closed_counts)) < size:
        return None
    a, b = _range_sums(open_counts, size), _range_sums(closed_counts, size)
    # The sums fall too. For each a: the largest b that is no larger, and the smallest b that is larger; of equal
    # values, the first.
    below = np.searchsorted(-b, -a)
    above = np.searchsorted(-b, -b[np.maximum(below - 1, 0)])
    i = np.concatenate([np.arange(len(a))] * 2)
    j = np.concatenate([np.minimum(below, len(b) - 1), above])
    best = np.lexsort((j, i, -(a[i] + b[j]), np.abs(a[i] - b[j])))[0]
    return int(i[best]), int(j[best])


def _range_sums(counts: np.ndarray, size: int) -> np.ndarray:
    """Sums (n - size + 1,) int64 of every ``size`` consecutive counts."""
    counts = np.asarray(counts, np.int64)
    if (np.diff(counts) > 0).any():
        raise ValueError("counts must be sorted, falling")
    ends = np.concatenate([[0], np.cumsum(counts)])
    return ends[size:] - ends[:-size]
