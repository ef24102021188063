"""The softmax's output and the loss's gradient by the logits, as wide as the vocabulary: measured, never stored."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from natural_sparsity.model.output_layer import SoftmaxBlock
from natural_sparsity.probing.measures import Measure, rank_weights, sort_


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
        scratch: gives room of the values' shape, to be overwritten.
    """

    def __init__(self, values: Tensor, places: Tensor, total: Tensor, scratch: Callable[[Tensor], Tensor]):
        self.values, self.places, self.sum, self.scratch = values, places, total.double(), scratch
        self.width = values.shape[1]

    @cached_property
    def square_sum(self) -> Tensor:
        """Σo², (rows,)."""
        return torch.linalg.vector_norm(self.values, dim=1).double().square()

    @cached_property
    def fourth_sum(self) -> Tensor:
        """Σo⁴, (rows,). Divided by the largest first: the fourth power of 10⁻¹⁰ vanishes in single precision."""
        scale = self.largest.where(self.largest > 0, 1)
        squares = torch.div(self.values, scale.to(self.values)[:, None], out=self.scratch(self.values)).square_()
        return torch.linalg.vector_norm(squares, dim=1).double().square() * scale**4

    @cached_property
    def largest(self) -> Tensor:
        """The largest, (rows,)."""
        return self.values.amax(1).double()

    @cached_property
    def ranked_sum(self) -> Tensor:
        """Σ (2k − d − 1)/d · o₍ₖ₎ over the row in ascending order, the free place among them, (rows,)."""
        sort_(self.values)
        self.places = self.places.new_zeros(len(self.values))
        return (self.values @ rank_weights(self.values)).double()

    def excess(self, entry: Tensor) -> Tensor:
        """Σ max(o − y, 0) for y = ``entry``, (rows,)."""
        larger = torch.maximum(self.values, entry.to(self.values)[:, None], out=self.scratch(self.values))
        return larger.sum(1).double() - self.width * entry

    def count_below(self, bound: Tensor) -> Tensor:
        """How many o are below ``bound`` (rows,), which is positive; the free place is not counted. (rows,)."""
        below = torch.lt(self.values, bound.to(self.values)[:, None], out=self.scratch(self.values))
        return below.sum(1).double() - 1

    def with_entry(self, entry: Tensor) -> Tensor:
        """The magnitudes (rows, d) with ``entry`` in the free place, their largest 1, as ``function`` wants them."""
        vectors = self.scratch(self.values).copy_(self.values)
        vectors.scatter_(1, self.places[:, None], entry.to(vectors.dtype)[:, None])
        return vectors.div_(vectors.amax(1, keepdim=True))


class SoftmaxMeasures:
    """What :func:`measure` gives for the softmax's output and for the loss's gradient by the logits.

    Neither is ever stored: the output layer shows its blocks to :meth:`see`, window after window.
    """

    def __init__(self, measures: dict[str, Measure]):
        self.measures = measures
        self.seen: list[Tensor] = []
        self.room: Tensor | None = None

    def see(self, block: SoftmaxBlock) -> None:
        """Measure the block's rows; ``others`` is overwritten."""
        others = Others(block.others, block.targets, block.other_sum, self.scratch)
        target = block.target.double()
        total = others.sum + target
        self.seen.append(torch.stack([self.joined(others, entry, total) for entry in (target, others.sum)]))

    def joined(self, others: Others, entry: Tensor, total: Tensor) -> Tensor:
        """Norms and measures of the others joined by ``entry``, over ``total``; (rows, 2 + measures)."""
        l1, l2 = (others.sum + entry) / total, (others.square_sum + entry.square()).sqrt() / total
        values = [
            one.joined(others, entry) if one.joined else one.function(others.with_entry(entry)).double()
            for one in self.measures.values()
        ]
        return torch.stack([l1, l2, *(value.where(l1 > 0, torch.nan) for value in values)], 1)

    def take(self) -> tuple[Tensor, Tensor]:
        """The rows seen since the last time, of the output and of the gradient: (rows, 2 + measures) each."""
        output, gradient = torch.cat(self.seen, 1)
        self.seen = []
        return output, gradient

    def scratch(self, values: Tensor) -> Tensor:
        """Room of the shape of ``values``; the same at each call."""
        if self.room is None or len(self.room) < len(values):
            self.room = values.new_empty(values.shape)
        return self.room[: len(values)]
