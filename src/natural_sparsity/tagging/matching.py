"""Choose open and closed words of like frequency: a range of each class, and pairs of nearest frequency."""

import numpy as np
from scipy.optimize import linear_sum_assignment

# Two means are close if they differ by less than one part in so many of the smaller.
PARTS = 100
# The counts of a pair differ by at most one part in so many of the smaller.
NEAR = 10


def find_matched_ranges(open_counts: np.ndarray, closed_counts: np.ndarray, size: int = 120) -> tuple[int, int] | None:
    """Find two ranges of ``size`` consecutive words with close means and like spreads (Saphra & Lopez 2019, §4).

    The paper does not say how it chose. The two ranges with the closest means can have very different spreads, and over
    a narrow range of frequencies a correlation with frequency is small. So this takes, of all pairs of ranges whose
    means differ by less than one part in :data:`PARTS`, the pair whose standard deviations are in the ratio nearest
    to 1. If several are, the closest means decide, then the largest, because frequent words are measured best, then the
    lowest ``open_start``, then the lowest ``closed_start``. Means are compared exactly, as integer sums.

    Args:
        open_counts: (n_open,) occurrences of each open-class word, falling.
        closed_counts: (n_closed,) occurrences of each closed-class word, falling.
        size: words in each sample.

    Returns:
        ``(open_start, closed_start)``: the samples are ``open[open_start : open_start + size]``, and likewise for
        closed. ``None`` if a class has fewer than ``size`` words, since a smaller sample would measure something else,
        or if no two means are so close.

    Raises:
        ValueError: the counts do not fall, or ``size`` is not positive.
    """
    if size < 1:
        raise ValueError(f"size {size} is not positive")
    if min(len(open_counts), len(closed_counts)) < size:
        return None
    (a, variance_a), (b, variance_b) = (measure_ranges(counts, size) for counts in (open_counts, closed_counts))
    best: list[tuple[float, int, int, int, int]] = []
    for j in range(len(b)):
        distance = np.abs(a - b[j])
        i = np.flatnonzero(distance <= (np.minimum(a, b[j]) - 1) // PARTS)
        if len(i):
            wide, narrow = np.maximum(variance_a[i], variance_b[j]), np.minimum(variance_a[i], variance_b[j])
            # Equal counts correlate with nothing: a range of these is chosen only if there is no other.
            ratio = np.divide(wide, narrow, out=np.full(len(i), np.inf), where=narrow > 0)
            k = np.lexsort((i, -a[i], distance[i], ratio))[0]
            best.append((ratio[k], int(distance[i[k]]), -int(a[i[k]] + b[j]), int(i[k]), j))
    return min(best)[-2:] if best else None


def measure_ranges(counts: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum (int64) and the variance, times ``size``², (float64) of every ``size`` consecutive counts."""
    counts = np.asarray(counts, np.int64)
    if (np.diff(counts) > 0).any():
        raise ValueError("counts must be sorted, falling")
    # Python's integers: squares of large counts overflow, and differences of rounded sums would cancel.
    exact = counts.astype(object)
    sums, squares = (np.concatenate([[0], np.cumsum(terms)]) for terms in (exact, exact**2))
    total, square = sums[size:] - sums[:-size], squares[size:] - squares[:-size]
    return total.astype(np.int64), (size * square - total**2).astype(float)


def pair_words(open_counts: np.ndarray, closed_counts: np.ndarray) -> np.ndarray:
    """Pair closed-class words with open-class words of nearest frequency, none twice.

    The counts of a pair differ by at most one part in :data:`NEAR` of the smaller: the most frequent closed-class words
    have no counterpart, and stay without. There are as many pairs as there can be, with the least sum of
    |log count − log count|. Of several such pairings, this takes one that keeps the order of frequency and, of equally
    frequent words, the first.

    Args:
        open_counts: (n_open,) occurrences of each open-class word, falling and positive.
        closed_counts: (n_closed,) the same of closed-class words.

    Returns:
        (pairs, 2) places in ``open_counts`` and ``closed_counts``, the most frequent pair first.
    """
    x, y = np.asarray(open_counts, np.int64), np.asarray(closed_counts, np.int64)[:, None]
    near = np.abs(x - y) <= np.minimum(x, y) // NEAR
    # A pair that is not near costs more than all near ones together.
    rows, columns = linear_sum_assignment(np.where(near, np.abs(np.log(x) - np.log(y)), len(y)))
    paired = near[rows, columns]
    return np.stack([take_first(x, columns[paired]), take_first(y[:, 0], rows[paired])], 1)


def take_first(counts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """As many places in falling ``counts`` of each count as ``places`` are of it, but the first, ascending."""
    chosen = -counts[np.sort(places)]
    return np.searchsorted(-counts, chosen) + np.arange(len(chosen)) - np.searchsorted(chosen, chosen)
