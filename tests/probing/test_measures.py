"""The measures of sparsity against loops, SciPy and vectors whose values are known; Hurley & Rickard's criteria."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch

from natural_sparsity.probing.measures import choose, load, measure
from natural_sparsity.registry import MEASURES

ROOT = Path(__file__).parents[2]
SETTINGS = SimpleNamespace(epsilon=0.1)


def naive_chi(c):
    return math.sqrt(sum(x * x for x in c)) / sum(abs(x) for x in c)


def naive_hoyer(c):
    return (math.sqrt(len(c)) - 1 / naive_chi(c)) / (math.sqrt(len(c)) - 1)


def naive_gini(c):
    """Half the mean absolute difference of all pairs, over the mean."""
    c = np.abs(c)
    return np.abs(c[:, None] - c[None, :]).sum() / (2 * len(c) ** 2 * c.mean())


def naive_kurtosis(c):
    """By SciPy: with each entry's negative added, the mean is 0; SciPy's is then 2d times ours, for 2d entries."""
    return scipy.stats.kurtosis(np.concatenate([c, -c]), fisher=False) / len(c)


def naive_l0(c):
    return sum(abs(x) < SETTINGS.epsilon * max(abs(x) for x in c) for x in c) / len(c)


NAIVE = {"chi": naive_chi, "hoyer": naive_hoyer, "gini": naive_gini, "kurtosis": naive_kurtosis, "l0": naive_l0}


def values_of(vectors, name):
    """The measure ``name`` of each row."""
    return measure(torch.as_tensor(vectors), choose([name], SETTINGS))[:, 2].numpy()


def test_every_measure_has_a_reference():
    assert list(NAIVE) == list(MEASURES)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)], ids=["f64", "f32"])
@pytest.mark.parametrize("d", [2, 7, 200])
def test_against_loops_and_scipy(name, dtype, tolerance, d):
    generator = torch.Generator().manual_seed(d)
    vectors = torch.randn(20, d, generator=generator, dtype=dtype) ** 3
    vectors[:5, d // 2 :] = 0  # ties, and zeros
    expected = [NAIVE[name](row) for row in vectors.double().numpy()]
    np.testing.assert_allclose(values_of(vectors, name), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", MEASURES)
def test_bounds_are_met_by_the_sparsest_and_the_densest(name):
    d = 16
    one, equal = torch.zeros(1, d, dtype=torch.float64), torch.full((1, d), -0.3, dtype=torch.float64)
    one[0, 3] = -2.0
    low, high = load(name).bounds(d)
    assert values_of(one, name) == pytest.approx(high, abs=1e-15)
    assert values_of(equal, name) == pytest.approx(low, abs=1e-15)
    between = values_of(torch.randn(100, d, dtype=torch.float64), name)
    assert (low <= between).all()
    assert (between <= high).all()


@pytest.mark.parametrize("name", MEASURES)
def test_scale_and_signs_do_not_count_even_where_squares_vanish(name):
    torch.manual_seed(0)
    vectors = torch.randn(5, 200)
    expected = values_of(vectors, name)
    for scale in (-1, 1e-30, 1e-20, 1e20):
        np.testing.assert_allclose(values_of(vectors * scale, name), expected, rtol=1e-5)
    np.testing.assert_allclose(values_of(vectors.flip(1), name), expected, rtol=1e-5)


@pytest.mark.parametrize("name", MEASURES)
def test_zero_vectors_are_undefined(name):
    values = measure(torch.tensor([[0.0, 0.0], [3.0, -4.0]]), choose([name], SETTINGS))
    np.testing.assert_allclose(values[:, :2], [[0, 0], [7, 5]])
    assert values[0, 2].isnan()
    assert values[1, 2].isfinite()


def test_known_values():
    vectors = torch.tensor([[3.0, 0, -4, 0]], dtype=torch.float64)
    known = {"chi": 5 / 7, "hoyer": (2 - 7 / 5) / 1, "gini": 15 / 28, "kurtosis": (81 + 256) / 625, "l0": 0.5}
    for name, value in known.items():
        # Gini: 1 − 2 (3/7 · 1.5/4 + 4/7 · 0.5/4)
        assert values_of(vectors, name) == pytest.approx([value], abs=1e-15), name


# Hurley & Rickard's criteria: of a change that makes a vector sparser or leaves it as it is. Each yields pairs
# (before, after) of vectors without signs; "more" asks that the measure rises, "same" that it does not change.


def robin_hood(c, generator):
    """What the rich give to the poor makes less sparse; so here the reverse is asked for."""
    poor, rich = np.sort(generator.choice(len(c), 2, replace=False))
    i, j = np.argsort(c)[[rich, poor]]
    alpha = generator.uniform(0.05, 0.45) * (c[i] - c[j])
    after = c.copy()
    after[i] -= alpha
    after[j] += alpha
    return after, c


def scaling(c, generator):
    return c, c * generator.uniform(0.1, 10)


def rising_tide(c, generator):
    return c + generator.uniform(0.05, 1), c


def cloning(c, generator):
    return c, np.tile(c, 2)


def bill_gates(c, generator):
    """Once an entry is large enough, each further gain makes sparser."""
    before, after = c.copy(), c.copy()
    before[0] += 10 * len(c) * c.max()
    after[0] = before[0] * generator.uniform(1.1, 3)
    return before, after


def babies(c, generator):
    return c, np.append(c, 0)


CRITERIA = {
    "Robin Hood": (robin_hood, "more"),
    "Scaling": (scaling, "same"),
    "Rising tide": (rising_tide, "more"),
    "Cloning": (cloning, "same"),
    "Bill Gates": (bill_gates, "more"),
    "Babies": (babies, "more"),
}


def satisfied(name, criterion):
    """Whether the measure keeps the criterion on each of 300 random vectors."""
    change, wanted = CRITERIA[criterion]
    generator = np.random.default_rng(1)
    for _ in range(300):
        c = np.abs(generator.standard_normal(generator.integers(3, 30))) ** generator.uniform(0.5, 4)
        before, after = (values_of(v[None], name)[0] for v in change(c, generator))
        if not (after > before + 1e-12 if wanted == "more" else abs(after - before) < 1e-12):
            return False
    return True


@pytest.mark.integration
def test_the_table_of_criteria_is_what_the_measures_do():
    text = (ROOT / "docs/method.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    header = next(row for row in rows if row[-len(CRITERIA) :] == list(CRITERIA))
    table = {row[0].strip("`"): row[1:] for row in rows[rows.index(header) + 2 :][: len(MEASURES)]}
    found = {name: ["yes" if satisfied(name, criterion) else "no" for criterion in CRITERIA] for name in MEASURES}
    assert found == table
    assert found["gini"] == ["yes"] * 6, "the one measure that meets all"
