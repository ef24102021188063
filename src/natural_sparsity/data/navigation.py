"""Path integration: find the place at each step of a walk, given its start and its velocities.

Walks are in a square box. The targets are the activities of place cells, whose centres are drawn once, uniformly in the
box: with s the ``width``, softmax(−d²/2s²) − softmax(−d²/4s²) over the cells, moved up by its least value and divided
by its sum. The loss is the cross-entropy of the cells; the decoded place is the mean of the centres of the three that
the answer makes most active, and the error its distance from the true place (Mackey et al., arXiv 2406.06290).
The start is the place cells' activity before the first step. The three most active cells are the nearest only where a
few centres lie within s: 512 cells need 0.12 m, 128 cells 0.24 m; decoding the targets themselves then gives an error
of 4 and 9 cm.
"""

import math
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.config.base import read_block
from natural_sparsity.config.data.navigation import Settings
from natural_sparsity.data.base import Batch, Measure
from natural_sparsity.data.generated import Generated
from natural_sparsity.model.device import generator_of
from natural_sparsity.model.recurrent import Interface

STEP_S = 0.02  # seconds
TURN = 11.52  # rad/s, standard deviation of the angular velocity
SPEED = 0.13 * 2 * math.pi  # m/s, scale of the Rayleigh distribution
WALL = 0.03  # m: closer than this and heading for it, the walk turns parallel to the wall
SLOWER = 0.25  # the factor of the speed there
DECODED = 3  # centres that a place is decoded from


class Navigation(Generated[Settings]):
    """Path integration; see the module."""

    measure = Measure("decoding error (cm)", 2)

    def __init__(self, settings: Settings):
        self.settings = settings
        generator = generator_of("place cells", settings.cells)
        self.centres = (torch.rand(settings.cells, 2, generator=generator) - 0.5) * settings.side
        self.moved: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def interface(self, vocabulary: int | None) -> Interface:
        """A velocity in, the place cells' activities out; the start is their activities before the first step."""
        return Interface(outputs=self.settings.cells, inputs=2, start=self.settings.cells)

    def read(self, features: Tensor, inputs: Tensor) -> Tensor:
        """All features, (steps, batch, width)."""
        return features

    def draw(self, size: int, generator: torch.Generator) -> Batch:
        """Draw walks; inputs are velocities in metres per step, targets the places (steps, batch, 2), m."""
        begin, places = self.walks(size, generator)
        moves = places - torch.cat([begin[None], places[:-1]])
        return Batch(moves, places, self.activities(begin))

    def walks(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Where walks begin (batch, 2), and where they are after each step (steps, batch, 2), m from the middle."""
        half, steps = self.settings.side / 2, self.settings.steps
        place = begin = (torch.rand(size, 2, generator=generator) * 2 - 1) * half
        heading = torch.rand(size, generator=generator) * 2 * math.pi
        turns = torch.randn(steps, size, generator=generator) * TURN * STEP_S
        uniform = torch.rand(steps, size, generator=generator).clamp(min=1e-7)
        speeds = SPEED * (-2 * uniform.log()).sqrt()
        places = []
        for turn, speed in zip(turns, speeds, strict=True):
            heading, near = self.avoid_walls(place, heading)
            pace = torch.where(near, SLOWER * speed, speed) * STEP_S
            # A stride longer than the way to the wall ends there.
            place = (place + pace[:, None] * direction(heading)).clamp(-half, half)
            heading = heading + turn
            places.append(place)
        return begin, torch.stack(places)

    def avoid_walls(self, place: Tensor, heading: Tensor) -> tuple[Tensor, Tensor]:
        """The headings (batch,), turned parallel to a wall that is near and ahead; and which were turned."""
        beyond = place.abs() > self.settings.side / 2 - WALL
        towards = direction(heading)
        against = beyond & (place.sign() * towards > 0)
        # The component towards the wall is dropped; in a corner, where nothing would remain, the walk turns back.
        along = torch.where(against, 0.0, towards)
        along = torch.where(against.all(1, keepdim=True), -towards, along)
        return torch.where(against.any(1), torch.atan2(along[:, 1], along[:, 0]), heading), against.any(1)

    def centres_on(self, like: Tensor) -> Tensor:
        """The cells' centres (cells, 2), moved once to the device of ``like``: a CUDA graph cannot capture a move."""
        place = (like.device, like.dtype)
        if place not in self.moved:
            self.moved[place] = self.centres.to(like)
        return self.moved[place]

    def activities(self, places: Tensor) -> Tensor:
        """The place cells' activities (…, cells) at places (…, 2); they sum to 1."""
        # Coordinate by coordinate: a sum over an axis of two takes longer than all the rest.
        (x, y), (centre_x, centre_y) = places.unbind(-1), self.centres_on(places).unbind(-1)
        squares = (x[..., None] - centre_x).square() + (y[..., None] - centre_y).square()
        centre = (-squares / (2 * self.settings.width**2)).softmax(-1)
        around = (-squares / (4 * self.settings.width**2)).softmax(-1)
        apart = centre - around
        raised = apart - apart.amin(-1, keepdim=True)
        return raised / raised.sum(-1, keepdim=True)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropies (steps, batch), nats."""
        return -(self.activities(batch.targets) * outputs.log_softmax(-1)).sum(-1)

    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Distances (steps, batch) of decoded and true places, cm."""
        decoded = self.centres_on(outputs)[outputs.topk(DECODED, -1).indices].mean(-2)
        return 100 * torch.linalg.vector_norm(decoded - batch.targets, dim=-1)


def direction(heading: Tensor) -> Tensor:
    """The unit vectors (batch, 2) of angles."""
    return torch.stack([heading.cos(), heading.sin()], -1)


def make(block: dict[str, Any]) -> Navigation:
    """Path integration with a block's settings."""
    return Navigation(read_block(Settings, block, "block"))
