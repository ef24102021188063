"""χ and its norms on vectors whose values are known."""

import math

import numpy as np
import torch

from natural_sparsity.probing.measures import norms


def test_known_values():
    d = 16
    vectors = torch.zeros(3, d, dtype=torch.float64)
    vectors[0, 3] = -2.0  # one entry: as concentrated as can be
    vectors[1] = 0.5  # all equal: as spread as can be
    vectors[2, :2] = torch.tensor([3.0, 4.0])
    chi, l1, l2 = norms(vectors)
    np.testing.assert_allclose(chi, [1, 1 / math.sqrt(d), 5 / 7], rtol=1e-15)
    np.testing.assert_allclose(l1, [2, 8, 7], rtol=1e-15)
    np.testing.assert_allclose(l2, [2, 2, 5], rtol=1e-15)


def test_zero_vector_is_undefined():
    chi, l1, l2 = norms(torch.zeros(1, 4))
    assert chi.isnan().all()
    assert l1 == 0
    assert l2 == 0


def test_chi_does_not_depend_on_scale_even_where_squares_vanish():
    torch.manual_seed(0)
    vectors = torch.randn(5, 200)
    for scale in (1e-30, 1e-20, 1e20):
        torch.testing.assert_close(norms(vectors * scale).chi, norms(vectors).chi, rtol=1e-5, atol=0)
