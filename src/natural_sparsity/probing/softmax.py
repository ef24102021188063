"""The softmax's output and the loss's gradient by the logits, as wide as the vocabulary: measured, never stored."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from natural_sparsity.model.output_layer import SoftmaxBlock
from natural_sparsity.probing.measures import Measure, rank_weights, sort_

# Passes follow each other over so many values, a thread: on a CPU they stay in its cache. A GPU takes more at a time,
# but no whole block, since its sort takes four times the memory of what is sorted.
CPU_ELEMENTS = 1 << 18
CUDA_ELEMENTS = 1 << 26


class Others:
    """Rows (rows, d) of magnitudes on any scale, with a free place, 0, in each; what measures need to know of them.

    An entry y joins a row by taking the free place. The softmax's output is the other words' probabilities joined by
    the target's; its loss's gradient by the logits is, in magnitude, the same joined by their own sum. So what is
    computed here serves both; and it is computed only when a measure asks for it.

    Sums over d are in the values' precision, all that follows from them in double.

    Args:
        values: is sorted in place, if a measure asks for that.
        places: (rows,), the column of each row's free place.
        total: (rows,), Σo.
    """

    def __init__(self, values: Tensor, places: Tensor, total: Tensor):
        self.values, self.places, self.sum = values, places, total.double()
        self.width = values.shape[1]
        elements = CUDA_ELEMENTS if values.is_cuda else CPU_ELEMENTS * torch.get_num_threads()
        self.rows_at_once = max(1, elements // self.width)

    def over(self, function: Callable[..., Tensor], *by_row: Tensor) -> Tensor:
        """``function`` of the values and of each tensor of ``by_row``, (rows,) as (rows, 1), some rows at a time.

        It is given room of the values' shape first. (rows,), double precision.
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
        """Σo⁴, (rows,). Divided by Σo first: the fourth power of 10⁻¹⁰ vanishes in single precision."""
        scale = self.sum.where(self.sum > 0, 1)

        def norm(room: Tensor, values: Tensor, scale: Tensor) -> Tensor:
            return torch.linalg.vector_norm(torch.div(values, scale, out=room).square_(), dim=1)

        return self.over(norm, scale.to(self.values.dtype)).square() * scale**4

    @cached_property
    def largest(self) -> Tensor:
        """The largest, (rows,)."""
        return self.values.amax(1).double()

    @cached_property
    def ranked_sum(self) -> Tensor:
        """Σ (2k − d − 1)/d · o₍ₖ₎ over the row in ascending order, the free place among them, (rows,)."""
        weights = rank_weights(self.values)
        result = self.over(lambda room, values: sort_(values) @ weights)
        self.places = torch.zeros_like(self.places)
        return result

    def excess(self, entry: Tensor) -> Tensor:
        """Σ max(o − y, 0) for y = ``entry``, (rows,)."""
        if entry is self.sum:  # which no o exceeds
            return torch.zeros_like(entry)
        larger = self.over(
            lambda room, values, y: torch.maximum(values, y, out=room).sum(1), entry.to(self.values.dtype)
        )
        return larger - self.width * entry

    def count_below(self, bound: Tensor) -> Tensor:
        """How many o are below ``bound`` (rows,), which is positive; the free place is not counted. (rows,)."""
        bound = bound.to(self.values.dtype)
        return self.over(lambda room, values, bound: torch.lt(values, bound, out=room).sum(1), bound) - 1

    def measured(self, entry: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """``function`` of the magnitudes with ``entry`` in the free place, their largest 1, as a measure wants them."""

        def joined(room: Tensor, values: Tensor, y: Tensor, places: Tensor) -> Tensor:
            vectors = room.copy_(values).scatter_(1, places, y)
            return function(vectors.div_(vectors.amax(1, keepdim=True)))

        return self.over(joined, entry.to(self.values.dtype), self.places)


class SoftmaxMeasures:
    """What :func:`measure` gives for the softmax's output and for the loss's gradient by the logits.

    Neither is ever stored: the output layer shows its blocks to :meth:`see`, window after window.
    """

    def __init__(self, measures: dict[str, Measure]):
        self.measures = measures
        self.seen: list[Tensor] = []

    def see(self, block: SoftmaxBlock) -> None:
        """Measure the block's rows; ``others`` is overwritten."""
        others = Others(block.others, block.targets, block.other_sum)
        target = block.target.double()
        total = others.sum + target
        self.seen.append(torch.stack([self.joined(others, entry, total) for entry in (target, others.sum)]))

    def joined(self, others: Others, entry: Tensor, total: Tensor) -> Tensor:
        """Norms and measures of the others joined by ``entry``, over ``total``; (rows, 2 + measures)."""
        l1, l2 = (others.sum + entry) / total, (others.square_sum + entry.square()).sqrt() / total
        values = [
            one.joined(others, entry) if one.joined else others.measured(entry, one.function)
            for one in self.measures.values()
        ]
        return torch.stack([l1, l2, *(value.where(l1 > 0, torch.nan) for value in values)], 1)

    def take(self) -> tuple[Tensor, Tensor]:
        """The rows seen since the last time, of the output and of the gradient: (rows, 2 + measures) each."""
        output, gradient = torch.cat(self.seen, 1)
        self.seen = []
        return output, gradient
