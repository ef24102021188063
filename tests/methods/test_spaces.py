"""Distances and inhibitors against brute force and the published numbers."""

import math
import re
from itertools import product

import pytest
import torch

from natural_sparsity.config.methods.moduli import Settings
from natural_sparsity.errors import UserError
from natural_sparsity.methods import spaces
from natural_sparsity.methods.spaces import distances, inhibition, matched, permuted, points

# Half a great circle of radius 5; half the diagonal of the cube of side 10.
BOUNDS = {"circle": 5 * math.pi, "sphere": 5 * math.pi, "torus": 5 * math.sqrt(2), "torus1": 5.0}
BOUNDS |= {"torus6": 5 * math.sqrt(6), "klein": 5 * math.sqrt(2), "sphere3": 5 * math.pi}
BOUNDS |= {"sphere-torus": math.hypot(5 * math.pi, 5 * math.sqrt(2))}


def draw(space, n=200, seed=0):
    return points(space, n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("space", BOUNDS)
def test_distances_are_a_metric_within_the_spaces_bound(space):
    d = distances(space, draw(space), draw(space))
    assert torch.equal(d.diagonal(), torch.zeros(200)), "a unit is at distance 0 from itself, exactly"
    assert torch.allclose(d, d.T, atol=1e-5)
    assert bool((d >= 0).all())
    assert float(d.max()) <= BOUNDS[space] + 1e-4
    through = (d[:, :, None] + d[None]).amin(1)
    assert bool((d <= through + 1e-4).all()), "the triangle inequality"


@pytest.mark.parametrize(
    ("space", "mean", "greatest"),
    [
        ("torus", 3.82, 7.07),
        ("torus6", 6.94, 11.8),
        ("klein", 3.79, 7.01),
        ("circle", 7.85, 15.71),
        ("sphere", 7.85, 15.7),
        ("sphere3", 7.85, 15.6),
    ],
)
def test_means_and_maxima_are_the_published_ones(space, mean, greatest):
    d = distances(space, draw(space, 1500), draw(space, 1500))
    assert float(d.mean()) == pytest.approx(mean, rel=0.03)
    assert float(d.max()) == pytest.approx(greatest, rel=0.03)


def test_the_torus_wraps_around():
    a, b = draw("torus6", 50), draw("torus6", 60, seed=1)
    d = distances("torus6", a, b)
    for coordinate in range(6):
        moved = b.clone()
        moved[:, coordinate] += 10
        assert torch.allclose(distances("torus6", a, moved), d, atol=1e-4)
    assert torch.allclose(distances("torus6", a - 20, b), d, atol=1e-4)
    assert float(distances("torus", torch.tensor([[0.5, 5.0]]), torch.tensor([[9.5, 5.0]]))) == pytest.approx(1.0)


def test_the_klein_bottle_turns_over():
    a, b = draw("klein", 50), draw("klein", 60, seed=1)
    d = distances("klein", a, b)
    turned = torch.stack([b[:, 0] + 10, 10 - b[:, 1]], 1)
    assert torch.allclose(distances("klein", a, turned), d, atol=1e-4)
    assert torch.allclose(distances("klein", turned, a), d.T, atol=1e-4)
    # Against every image of a much larger part of the plane.
    images = [
        torch.stack([b[:, 0] + 10 * i, (b[:, 1] if i % 2 == 0 else 10 - b[:, 1]) + 10 * j], 1)
        for i, j in product(range(-4, 5), repeat=2)
    ]
    brute = torch.stack([torch.cdist(a.double(), image.double()) for image in images]).amin(0)
    assert torch.allclose(d.double(), brute, atol=1e-4)
    assert not torch.allclose(d, distances("torus", a, b), atol=0.1)


def test_the_sphere_is_arccos():
    a, b = draw("sphere", 50), draw("sphere", 60, seed=1)
    assert torch.allclose(distances("sphere", a, b).double(), 5 * torch.arccos(a.double() @ b.double().T), atol=1e-4)
    opposite = distances("circle", torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]]))
    assert float(opposite) == pytest.approx(5 * math.pi)


def test_a_product_adds_the_squares_of_its_factors_distances():
    a, b = draw("sphere-torus", 50), draw("sphere-torus", 60, seed=1)
    round_part = 5 * torch.arccos(a[:, :3].double() @ b[:, :3].double().T)
    apart = (a[:, None, 3:].double() - b[None, :, 3:].double()).abs()
    flat = torch.minimum(apart, 10 - apart).square().sum(-1)
    assert torch.allclose(distances("sphere-torus", a, b).double(), (round_part.square() + flat).sqrt(), atol=1e-4)


@pytest.mark.parametrize(
    ("inhibitor", "values"), [("gauss", [100, 100 / math.e, 0]), ("ripple", [100, 50 + 50 * math.cos(2 * 3**0.5), 50])]
)
def test_inhibitors_have_their_published_values(inhibitor, values):
    d = torch.tensor([[0.0, 3**0.5, 12.25 * math.pi]])
    assert inhibition(d, inhibitor, inverted=False).tolist()[0] == pytest.approx(values, abs=1e-3)


def test_the_difference_of_gaussians_has_its_published_maximum():
    d = torch.linspace(0, 20, 200_001, dtype=torch.float64)
    f = spaces.difference_of_gaussians(d)
    assert float(f[0]) == 0
    assert float(f.max()) == pytest.approx(81.142, abs=1e-3)
    assert float(d[f.argmax()]) == pytest.approx(0.8879, abs=1e-3)


def test_inversion_spares_the_ring_around_each_unit():
    d = distances("torus", draw("torus", 1500), draw("torus", 1500))
    k = inhibition(d, "dog", inverted=True)
    assert float(k.min()) == 0
    assert float(k.diagonal().mean()) == pytest.approx(81.1, abs=0.1)
    assert float(k.mean()) == pytest.approx(66, abs=1)
    assert float((k < 60).float().mean()) == pytest.approx(0.24, abs=0.02)
    assert float(inhibition(d, "diffusion", inverted=False).mean()) == pytest.approx(16.7, abs=0.7)
    ring = (d > 0.7) & (d < 1.1)
    assert float(k[ring].mean()) < 5 < float(k[d > 4].mean())


def test_the_controls_are_as_strong_without_the_geometry():
    k = inhibition(distances("torus", draw("torus"), draw("torus")), "dog", inverted=True)
    shuffled = permuted(k, torch.Generator().manual_seed(1))
    assert torch.equal(shuffled.flatten().sort().values, k.flatten().sort().values)
    assert not torch.equal(shuffled, k)
    assert torch.equal(matched(k), torch.full_like(k, float(k.mean())))


def test_a_constant_k_is_nothing_once_inverted_so_the_matched_control_is_taken_after_it():
    d = distances("torus", draw("torus"), draw("torus"))
    assert not inhibition(torch.full((3, 3), 2.0), "dog", inverted=True).any()
    assert float(matched(inhibition(d, "dog", inverted=True)).min()) > 50


@pytest.mark.parametrize("name", ["plane", "torus0", "circle3", "sphere1", "Torus", "sphere-", "-torus", ""])
def test_unknown_spaces_are_refused(name):
    with pytest.raises(UserError, match="space"):
        points(name, 3, torch.Generator())


def test_an_unknown_inhibitor_is_refused():
    with pytest.raises(UserError, match="inhibitor"):
        inhibition(torch.zeros(2, 2), "waves", inverted=False)


@pytest.mark.parametrize(
    "name", [*BOUNDS, "plane", "torus0", "circle3", "sphere1", "sphere10", "sphere-", "klein-circle"]
)
def test_the_configuration_takes_the_same_names(name):
    pattern = Settings.model_json_schema()["properties"]["space"]["pattern"]
    try:
        spaces.parse(name)
    except UserError:
        assert not re.search(pattern, name)
    else:
        assert re.search(pattern, name)
