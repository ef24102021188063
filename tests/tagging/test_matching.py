from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from natural_sparsity.tagging.matching import find_matched_ranges

counts = st.lists(st.integers(0, 12), min_size=1, max_size=12).map(lambda values: sorted(values, reverse=True))


def find_by_brute_force(a: list[int], b: list[int], size: int) -> tuple[int, int]:
    def order(pair: tuple[int, int]) -> tuple:
        mean_a = Fraction(sum(a[pair[0] : pair[0] + size]), size)
        mean_b = Fraction(sum(b[pair[1] : pair[1] + size]), size)
        return abs(mean_a - mean_b), -(mean_a + mean_b), *pair

    return min(((i, j) for i in range(len(a) - size + 1) for j in range(len(b) - size + 1)), key=order)


@pytest.mark.integration
@settings(max_examples=500)
@given(counts, counts, st.integers(1, 12))
@example([4], [5, 5], 1)  # the closest sum is larger, and occurs twice
def test_equals_brute_force_in_exact_fractions(a: list[int], b: list[int], size: int) -> None:
    size = min(size, len(a), len(b))
    assert find_matched_ranges(np.array(a), np.array(b), size) == find_by_brute_force(a, b, size)


def test_a_known_answer() -> None:
    # Pair sums: open 180 110 30 12 9; closed 1000+ 111 16 3. Closest: 110 and 111.
    assert find_matched_ranges(np.array([100, 80, 30, 0, 0]), np.array([900, 105, 6, 0]), 2) == (1, 1)


def test_the_most_frequent_of_equally_close_pairs_wins() -> None:
    assert find_matched_ranges(np.array([9, 5, 5, 2]), np.array([20, 5, 5, 2]), 1) == (1, 1)


def test_means_are_compared_exactly_where_float64_would_round() -> None:
    huge = 1 << 60
    assert find_matched_ranges(np.array([huge + 1]), np.array([huge + 3, huge + 2, huge]), 1) == (0, 1)


def test_a_class_below_the_size_gives_none() -> None:
    falling = np.arange(10)[::-1]
    assert find_matched_ranges(falling[:3], falling, 4) is None
    assert find_matched_ranges(falling, falling[:3], 4) is None
    assert find_matched_ranges(falling[:4], falling[:4], 4) == (0, 0)


def test_the_papers_size_is_the_default() -> None:
    assert find_matched_ranges(np.arange(119)[::-1], np.arange(500)[::-1]) is None
    assert find_matched_ranges(np.arange(120)[::-1], np.arange(500)[::-1]) == (0, 380)


def test_unsorted_counts_and_empty_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="sorted"):
        find_matched_ranges(np.array([1, 2]), np.array([2, 1]), 1)
    with pytest.raises(ValueError, match="positive"):
        find_matched_ranges(np.array([2, 1]), np.array([2, 1]), 0)
