"""Rows as wide as the vocabulary with one entry still free, and the sums from which measures of them follow."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from natural_sparsity.probing.ranks import rank_weights, sort_

# How many values the passes go over at a time, per thread: on a CPU so few that they stay in its cache. A GPU takes
# more, but not a whole block, since its sort needs four times the memory of what it sorts.
CPU_ELEMENTS = 1 << 18
CUDA_ELEMENTS = 1 << 26


class Others:
    """Rows (rows, d) of magnitudes o on any scale, each with a free place that holds 0.

    An entry y joins a row by taking the free place. The softmax's output is the other words' probabilities joined by
    the target's. The gradient of its loss with respect to the logits is, in magnitude, the same row joined by its own
    sum. So both share what is computed here, and it is computed only when a measure asks for it.

    Sums over d are in the values' precision, what follows from them in double.

    Args:
        values: (rows, d); sorted in place if a measure asks for it.
        places: (rows,), the column of each row's free place.
        total: (rows,), Σo.
    """

    def __init__(self, values: Tensor, places: Tensor, total: Tensor):
        self.values, self.places, self.sum = values, places, total.double()
        self.width = values.shape[1]
        elements = CUDA_ELEMENTS if values.is_cuda else CPU_ELEMENTS * torch.get_num_threads()
        self.rows_at_once = max(1, elements // self.width)

    def map_rows(self, function: Callable[..., Tensor], *by_row: Tensor) -> Tensor:
        """Apply ``function`` to some rows at a time: (rows,), double precision.

        It gets a buffer of the values' shape, the values, and each tensor of ``by_row``, (rows,) as (rows, 1).
        """
        results = []
        room = torch.empty_like(self.values[: self.rows_at_once])
        for start in range(0, len(self.values), self.rows_at_once):
            rows = slice(start, start + self.rows_at_once)
            values = self.values[rows]
            results.append(function(room[: len(values)], values, *(one[rows, None] for one in by_row)))
        return torch.cat(results).double()

    @cached_property
    def square_sum(self) -> Tensor:
        """Σo², (rows,)."""
        return torch.linalg.vector_norm(self.values, dim=1).double().square()

    @cached_property
    def fourth_sum(self) -> Tensor:
        """Σo⁴, (rows,). Rows are divided by Σo first: the fourth power of 10⁻¹⁰ vanishes in single precision."""
        scale = self.sum.where(self.sum > 0, 1)

        def norm(room: Tensor, values: Tensor, scale: Tensor) -> Tensor:
            return torch.linalg.vector_norm(torch.div(values, scale, out=room).square_(), dim=1)

        return self.map_rows(norm, scale.to(self.values.dtype)).square() * scale**4

    @cached_property
    def largest(self) -> Tensor:
        """The largest, (rows,)."""
        return self.values.amax(1).double()

    @cached_property
    def ranked_sum(self) -> Tensor:
        """Σ (2k − d − 1)/d · o₍ₖ₎ over the row in ascending order, the free place included, (rows,)."""
        weights = rank_weights(self.values)
        result = self.map_rows(lambda room, values: sort_(values) @ weights)
        self.places = torch.zeros_like(self.places)
        return result

    def excess(self, entry: Tensor) -> Tensor:
        """Return Σ max(o − y, 0) for y = ``entry``, (rows,)."""
        if entry is self.sum:  # which no o exceeds
            return torch.zeros_like(entry)
        larger = self.map_rows(
            lambda room, values, y: torch.maximum(values, y, out=room).sum(1), entry.to(self.values.dtype)
        )
        return larger - self.width * entry

    def count_below(self, bound: Tensor) -> Tensor:
        """Count the o below ``bound`` (rows,), which is positive, without the free place: (rows,)."""
        bound = bound.to(self.values.dtype)
        return self.map_rows(lambda room, values, bound: torch.lt(values, bound, out=room).sum(1), bound) - 1

    def measure_joined(self, entry: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a measure's ``function`` to the rows with ``entry`` in the free place, divided by their largest."""

        def join(room: Tensor, values: Tensor, y: Tensor, places: Tensor) -> Tensor:
            vectors = room.copy_(values).scatter_(1, places, y)
            return function(vectors.div_(vectors.amax(1, keepdim=True)))

        return self.map_rows(join, entry.to(self.values.dtype), self.places)
