"""Spaces that hidden units are placed in, and how strongly a weight between two units is penalised there.

Mackey et al., arXiv 2406.06290: the units lie at random points of a space, and a weight between units at distance d is
penalised by the inhibitor K = f(d). The side of the torus and of the Klein bottle has length 10; half a great circle of
the circle and of the sphere has length 5π. (For the sphere of three dimensions, the authors' code has 5π or 10π.)
"""

import functools
import re
from typing import NamedTuple

import torch
from torch import Tensor

from natural_sparsity.errors import UserError

SIDE = 10.0
RADIUS = 5.0
ROUND = ("circle", "sphere")


class Factor(NamedTuple):
    """A space, or one of those whose product is the space."""

    kind: str
    dimension: int

    @property
    def coordinates(self) -> int:
        """The numbers per point; a point of a circle or a sphere is a unit vector."""
        return self.dimension + (self.kind in ROUND)


def parse(name: str) -> list[Factor]:
    """Return what a space is the product of: ``circle``, ``klein``, ``sphere`` and ``torus``, joined by hyphens.

    A number of dimensions may follow ``sphere`` and ``torus``, which have two without.

    Raises:
        UserError: there is no such space.
    """
    factors = []
    for part in name.split("-"):
        match = re.fullmatch("(circle|klein|sphere|torus)([1-9][0-9]{0,2})?", part)
        if match is None or (match[2] and (match[1] in ("circle", "klein") or part == "sphere1")):
            raise UserError(
                f"space: {name!r} is unknown; use circle, klein, sphere, torus, sphereN or torusN with N dimensions, or"
                " a product such as sphere-torus"
            )
        factors.append(Factor(match[1], 1 if match[1] == "circle" else int(match[2] or 2)))
    return factors


def points(space: str, n: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` points uniformly, (n, coordinates): in [0, 10), or unit vectors of one coordinate more."""
    return torch.cat([draw(factor, n, generator) for factor in parse(space)], 1)


def draw(factor: Factor, n: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` points of a space that is no product."""
    if factor.kind not in ROUND:
        return SIDE * torch.rand(n, factor.dimension, generator=generator)
    vectors = torch.randn(n, factor.coordinates, generator=generator, dtype=torch.float64)
    return (vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)).float()


def distances(space: str, a: Tensor, b: Tensor) -> Tensor:
    """Compute the distances (len(a), len(b)) between two sets of points of the space.

    In a product, the square of the distance is the sum of the factors' squares.
    """
    factors = parse(space)
    widths = [factor.coordinates for factor in factors]
    apart = map(between, factors, a.split(widths, 1), b.split(widths, 1))
    return functools.reduce(torch.hypot, apart)


def between(factor: Factor, a: Tensor, b: Tensor) -> Tensor:
    """Compute the distances in a space that is no product.

    The Klein bottle is the plane modulo (x, y) → (x + 10, 10 − y) and (x, y) → (x, y + 10). The nearest image of b is
    among those in the nine cells around it.
    """
    if factor.kind in ROUND:
        # arccos of the inner product has few correct digits near ±1, and rounding takes it beyond.
        chord, other = (euclidean(a.double(), sign * b.double()) for sign in (1, -1))
        return (2 * RADIUS * torch.atan2(chord, other)).float()
    if factor.kind == "torus":
        apart = (a[:, None] - b[None]).remainder(SIDE)
        return torch.linalg.vector_norm(torch.minimum(apart, SIDE - apart), dim=-1)
    a, b = first_cell(a), first_cell(b)
    return torch.stack([euclidean(a, image) for image in images(factor.kind, b)]).amin(0)


def images(kind: str, p: Tensor) -> list[Tensor]:
    """Return the images of points (n, 2) of the torus or the Klein bottle in the nine cells around the square."""
    seen = []
    for i in (-1, 0, 1):
        y = SIDE - p[:, 1] if kind == "klein" and i else p[:, 1]
        seen += [torch.stack([p[:, 0] + SIDE * i, y + SIDE * j], 1) for j in (-1, 0, 1)]
    return seen


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """Compute the Euclidean distances (len(a), len(b)), without cancellation."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def first_cell(p: Tensor) -> Tensor:
    """Map points of the Klein bottle's plane to their images in [0, 10)²."""
    p = p.remainder(p.new_tensor([2 * SIDE, SIDE]))
    beyond = p[:, 0] >= SIDE
    y = torch.where(beyond, SIDE - p[:, 1], p[:, 1]).remainder(SIDE)
    return torch.stack([torch.where(beyond, p[:, 0] - SIDE, p[:, 0]), y], 1)


def difference_of_gaussians(d: Tensor) -> Tensor:
    """Compute 100 (exp(−d²/5) − exp(−4d²)): 0 at 0, at most 81.142, at 0.8879, and towards 0 far away."""
    return 100 * (torch.exp(-d.square() / 5) - torch.exp(-4 * d.square()))


def diffusion(d: Tensor) -> Tensor:
    """Compute d²."""
    return d.square()


def gauss(d: Tensor) -> Tensor:
    """Compute 100 exp(−d²/3)."""
    return 100 * torch.exp(-d.square() / 3)


def ripple(d: Tensor) -> Tensor:
    """Compute 50 + 50 cos(2d)."""
    return 50 + 50 * torch.cos(2 * d)


INHIBITORS = {"dog": difference_of_gaussians, "diffusion": diffusion, "gauss": gauss, "ripple": ripple}


def inhibition(distance: Tensor, inhibitor: str, inverted: bool) -> Tensor:
    """Compute K (n, n) from the distances; ``inverted`` gives max K − K, which spares what K penalises most.

    Raises:
        UserError: the inhibitor is unknown.
    """
    if inhibitor not in INHIBITORS:
        raise UserError(f"inhibitor: {inhibitor!r} is unknown; use {', '.join(INHIBITORS)}")
    k = INHIBITORS[inhibitor](distance)
    return k.max() - k if inverted else k


def permuted(k: Tensor, generator: torch.Generator) -> Tensor:
    """Return K with its entries shuffled: as strong, without the geometry."""
    return k.flatten()[torch.randperm(k.numel(), generator=generator)].view_as(k)


def matched(k: Tensor) -> Tensor:
    """Return the mean of K everywhere: an ℓ1 penalty as strong as K is on average."""
    return torch.full_like(k, float(k.mean()))
