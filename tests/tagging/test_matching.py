"""Samples of like frequency, against a search through all pairs and all pairings."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from natural_sparsity.tagging.matching import find_matched_ranges, pair_words

counts = st.lists(st.integers(0, 400), min_size=1, max_size=12).map(lambda values: sorted(values, reverse=True))


def variance(values: list[int]) -> Fraction:
    mean = Fraction(sum(values), len(values))
    return sum(((value - mean) ** 2 for value in values), Fraction(0)) / len(values)


def find_by_brute_force(a: list[int], b: list[int], size: int) -> tuple[int, int] | None:
    def order(pair: tuple[int, int]) -> tuple:
        one, other = a[pair[0] : pair[0] + size], b[pair[1] : pair[1] + size]
        means = [Fraction(sum(part), size) for part in (one, other)]
        if not abs(means[0] - means[1]) < min(means) / 100:
            return (math.inf,)
        narrow, wide = sorted(map(variance, (one, other)))
        ratio = math.inf if narrow == 0 else wide / narrow
        return 0, ratio, abs(means[0] - means[1]), -sum(means), *pair

    pairs = ((i, j) for i in range(len(a) - size + 1) for j in range(len(b) - size + 1))
    best = min(pairs, key=order)
    return None if order(best) == (math.inf,) else best


@pytest.mark.integration
@settings(max_examples=500)
@given(counts, counts, st.integers(1, 12))
@example([200, 200, 100, 60, 50], [130, 100, 70, 60, 40], 2)
@example([9, 5, 5, 2], [20, 5, 5, 2], 1)
@example([9, 9, 3, 3], [9, 9, 3, 3], 2)
def test_ranges_equal_brute_force_in_exact_fractions(a: list[int], b: list[int], size: int) -> None:
    size = min(size, len(a), len(b))
    assert find_matched_ranges(np.array(a), np.array(b), size) == find_by_brute_force(a, b, size)


def test_spreads_decide_among_close_means() -> None:
    """The last ranges have equal means, 60, but deviations of 1 and 24; the first have 400.3 and 400, and 82 both."""
    open_counts, closed_counts = np.array([500, 401, 300, 61, 60, 59]), np.array([500, 400, 300, 90, 60, 30])
    assert find_matched_ranges(open_counts, closed_counts, 3) == (0, 0)
    assert find_matched_ranges(open_counts[3:], closed_counts, 3) == (0, 3)


# The most frequent open and closed words of the Wikipedia excerpt of the default configuration.
OPEN = """
285 269 264 247 237 235 203 193 187 187 187 184 184 182 177 156 153 144 144 142 135 132 131 125 122 120 119 117 114
112 110 107 105 103 101 101 101 99 98 98 98 97 96 96 93 91 91 90 89 89 89 88 87 86 86 85 84 84 84 83 82 82 81 80 79 79
79 77 76 75 74 74 74 73 73 73 73 72 72 72 71 71 71 71 70 68 68 68 67 67 67 66 66 66 66 65 65 65 65 65 65 65 64 64 64
64 64 63 63 63 62 62 62 61 61 61 61 60 60 60 60 60 59 59 59 58 58 58 58 58 58 57 57 56 55 54 54 54 53 53 53 53 53 53
"""
CLOSED = """
8829 4627 3089 3009 2500 2061 1515 942 924 810 790 783 763 721 678 609 578 542 473 472 454 426 402 397 396 374 371 369
331 312 280 279 246 238 233 233 233 229 228 213 206 172 169 167 163 163 158 152 148 130 128 121 116 115 109 106 104
100 99 97 96 95 92 90 86 85 83 83 81 79 77 76 75 74 74 74 72 70 62 59 55 54 54 52 52 52 52 48 48 47 47 46 45 42 41 40
38 37 34 34 33 31 31 31
"""


def test_samples_of_real_words_are_alike_in_mean_and_spread() -> None:
    """The ranges with the closest means, 103.875 both, have deviations of 16.7 (84 to 144) and 33.7 (55 to 172)."""
    open_counts, closed_counts = (np.array(text.split(), int) for text in (OPEN, CLOSED))
    i, j = find_matched_ranges(open_counts, closed_counts, 40)
    one, other = open_counts[i : i + 40], closed_counts[j : j + 40]
    assert abs(one.mean() - other.mean()) < 0.01 * min(one.mean(), other.mean())
    assert max(one.std(), other.std()) < 1.25 * min(one.std(), other.std())
    assert (one.max(), one.min(), other.max(), other.min()) == (285, 98, 312, 81)
    i, j = pair_words(open_counts, closed_counts).T
    one, other = open_counts[i], closed_counts[j]
    assert len(one) == 54 and other.max() == 280
    assert one.mean() == pytest.approx(other.mean(), rel=0.01) and one.std() == pytest.approx(other.std(), rel=0.02)


def test_equal_counts_are_taken_only_if_there_is_no_other_range() -> None:
    """The last ranges have no spread at all, so that nothing can correlate with their counts."""
    open_counts, closed_counts = np.array([40, 30, 20, 5, 5, 5]), np.array([45, 30, 15, 5, 5, 5])
    assert find_matched_ranges(open_counts, closed_counts, 3) == (0, 0)
    assert find_matched_ranges(open_counts[3:], closed_counts[3:], 3) == (0, 0)


def test_means_that_are_a_hundredth_apart_are_not_close() -> None:
    assert find_matched_ranges(np.array([102]), np.array([101]), 1) == (0, 0)
    assert find_matched_ranges(np.array([101]), np.array([100]), 1) is None
    assert find_matched_ranges(np.array([0]), np.array([0]), 1) is None


def test_the_most_frequent_of_equally_close_pairs_wins() -> None:
    assert find_matched_ranges(np.array([9, 5, 5, 2]), np.array([20, 5, 5, 2]), 1) == (1, 1)


def test_counts_are_compared_exactly_where_float64_would_round() -> None:
    huge = 1 << 60
    assert find_matched_ranges(np.array([huge + 1]), np.array([huge + 3, huge + 2, huge]), 1) == (0, 1)
    # The spreads are 1 and 2, and 1 and 1.
    assert find_matched_ranges(np.array([huge + 1, huge]), np.array([huge + 3, huge + 1, huge]), 2) == (0, 1)


def test_a_class_below_the_size_gives_none() -> None:
    falling = np.arange(1, 11)[::-1]
    assert find_matched_ranges(falling[:3], falling, 4) is None
    assert find_matched_ranges(falling, falling[:3], 4) is None
    assert find_matched_ranges(falling[:4], falling[:4], 4) == (0, 0)


def test_the_papers_size_is_the_default() -> None:
    assert find_matched_ranges(np.arange(119)[::-1], np.arange(500)[::-1]) is None
    assert find_matched_ranges(np.arange(120)[::-1], np.arange(500)[::-1]) == (0, 380)


def order_pairing(a: list[int], b: list[int], pairs: list[tuple[int, int]]) -> tuple[int, float]:
    """The more pairs the better, then the nearer."""
    gaps = [abs(math.log(a[i]) - math.log(b[j])) for i, j in pairs]
    return -len(pairs), sum(gaps)


def find_best_pairing(a: list[int], b: list[int]) -> tuple[int, float]:
    """Of all pairings of words whose counts differ by at most a tenth."""
    best = (0, 0.0)
    shorter, longer = (a, b) if len(a) <= len(b) else (b, a)
    for places in itertools.permutations(range(len(longer)), len(shorter)):
        near = [
            (i, j) for i, j in enumerate(places) if max(shorter[i], longer[j]) * 10 <= min(shorter[i], longer[j]) * 11
        ]
        best = min(best, order_pairing(shorter, longer, near))
    return best


falling = st.lists(st.integers(18, 32), max_size=6).map(lambda values: sorted(values, reverse=True))


@pytest.mark.integration
@settings(max_examples=300)
@given(falling, falling)
def test_pairs_are_as_many_and_as_near_as_can_be(a: list[int], b: list[int]) -> None:
    pairs = pair_words(np.array(a, int), np.array(b, int)).tolist()
    assert order_pairing(a, b, pairs) == pytest.approx(find_best_pairing(a, b))
    for (i, j), (later_i, later_j) in itertools.pairwise(pairs):
        assert i < later_i and j < later_j, "none twice, in the order of frequency"
    for counts, places in ((a, [i for i, _ in pairs]), (b, [j for _, j in pairs])):
        skipped = [k for k in range(len(counts)) if k not in places and k + 1 in places]
        assert all(counts[k] > counts[k + 1] for k in skipped), "the first of equals"


def test_a_word_without_a_counterpart_stays_alone_and_displaces_none() -> None:
    """The, at 8829, would take 285 and push 300 down to 250."""
    assert pair_words(np.array([285, 250, 20]), np.array([8829, 300, 21, 10])).tolist() == [[0, 1], [2, 2]]
    assert pair_words(np.array([285]), np.array([], int)).shape == (0, 2)


def test_unsorted_counts_and_empty_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="sorted"):
        find_matched_ranges(np.array([1, 2]), np.array([2, 1]), 1)
    with pytest.raises(ValueError, match="positive"):
        find_matched_ranges(np.array([2, 1]), np.array([2, 1]), 0)
