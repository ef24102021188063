"""Spaces that hidden units are placed in, and how strongly a weight between two units is penalised there.

Mackey et al., arXiv 2406.06290: the units lie at random points of a space, and a weight between units at distance d is
penalised by the inhibitor K = f(d). The side of the torus and of the Klein bottle has length 10; half a great circle of
the circle and of the sphere has length 5π.
"""

import re

import torch
from torch import Tensor

from natural_sparsity.errors import UserError

SIDE = 10.0
RADIUS = 5.0


def parse(name: str) -> tuple[str, int]:
    """Return the kind and the dimension of a space: ``circle``, ``sphere``, ``klein``, ``torus`` (2) or ``torusN``.

    Raises:
        UserError: there is no such space.
    """
    match = re.fullmatch(r"(circle|sphere|klein|torus)(\d{0,3})", name)
    if match is None or (match[2] and (match[1] != "torus" or int(match[2]) < 1)):
        raise UserError(f"space: {name!r} is unknown; use circle, sphere, klein, torus or torusN, N dimensions")
    dimensions = {"circle": 1, "sphere": 2, "klein": 2, "torus": int(match[2] or 2)}
    return match[1], dimensions[match[1]]


def points(space: str, n: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` points uniformly: coordinates in [0, 10), (n, dimension), or unit vectors, (n, dimension + 1)."""
    kind, dimension = parse(space)
    if kind in ("torus", "klein"):
        return SIDE * torch.rand(n, dimension, generator=generator)
    vectors = torch.randn(n, dimension + 1, generator=generator, dtype=torch.float64)
    return (vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)).float()


def distances(space: str, a: Tensor, b: Tensor) -> Tensor:
    """Compute the distances (len(a), len(b)) between two sets of points of the space.

    The Klein bottle is the plane modulo (x, y) → (x + 10, 10 − y) and (x, y) → (x, y + 10). The nearest image of b is
    among those in the nine cells around it.
    """
    kind, _ = parse(space)
    if kind in ("circle", "sphere"):
        # arccos of the inner product has few correct digits near ±1, and rounding takes it beyond.
        chord, other = (euclidean(a.double(), sign * b.double()) for sign in (1, -1))
        return (2 * RADIUS * torch.atan2(chord, other)).float()
    if kind == "torus":
        apart = (a[:, None] - b[None]).remainder(SIDE)
        return torch.linalg.vector_norm(torch.minimum(apart, SIDE - apart), dim=-1)
    a, b = first_cell(a), first_cell(b)
    return torch.stack([euclidean(a, image) for image in images(kind, b)]).amin(0)


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


INHIBITORS = {"dog": difference_of_gaussians, "diffusion": diffusion}


def inhibition(distance: Tensor, inhibitor: str, inverted: bool) -> Tensor:
    """Compute K (n, n) from the distances; ``inverted`` gives max K − K, which spares what K penalises most.

    Raises:
        UserError: the inhibitor is unknown.
    """
    if inhibitor not in INHIBITORS:
        raise UserError(f"inhibitor: {inhibitor!r} is unknown; use {' or '.join(INHIBITORS)}")
    k = INHIBITORS[inhibitor](distance)
    return k.max() - k if inverted else k


def permuted(k: Tensor, generator: torch.Generator) -> Tensor:
    """Return K with its entries shuffled: as strong, without the geometry."""
    return k.flatten()[torch.randperm(k.numel(), generator=generator)].view_as(k)


def matched(k: Tensor) -> Tensor:
    """Return the mean of K everywhere: an ℓ1 penalty as strong as K is on average."""
    return torch.full_like(k, float(k.mean()))
