"""The softmax's output and its loss's gradient with respect to the logits: measured, never stored."""

import torch
from torch import Tensor

from natural_sparsity.model.output_layer import SoftmaxBlock
from natural_sparsity.probing.measures import Measure
from natural_sparsity.probing.others import Others


class SoftmaxMeasures:
    """Norms and measures, as :func:`measure` gives them, of two vectors as wide as the vocabulary.

    They are the softmax's output and its loss's gradient with respect to the logits. Neither is ever stored: the output
    layer shows its blocks to :meth:`see_block`, window after window.
    """

    def __init__(self, measures: dict[str, Measure]):
        self.measures = measures
        self.rows: list[Tensor] = []

    def see_block(self, block: SoftmaxBlock) -> None:
        """Measure the block's rows; overwrites ``block.others``."""
        others = Others(block.others, block.targets, block.other_sum)
        target = block.target.double()
        total = others.sum + target
        self.rows.append(torch.stack([self.measure_joined(others, entry, total) for entry in (target, others.sum)]))

    def measure_joined(self, others: Others, entry: Tensor, total: Tensor) -> Tensor:
        """Return norms and measures of the others joined by ``entry``, over ``total``: (rows, 2 + measures)."""
        l1, l2 = (others.sum + entry) / total, (others.square_sum + entry.square()).sqrt() / total
        values = [
            one.joined(others, entry) if one.joined else others.measure_joined(entry, one.function)
            for one in self.measures.values()
        ]
        return torch.stack([l1, l2, *(value.where(l1 > 0, torch.nan) for value in values)], 1)

    def take(self) -> tuple[Tensor, Tensor]:
        """Return and forget the rows seen since the last call: of the output, of the gradient; (rows, 2 + measures)."""
        output, gradient = torch.cat(self.rows, 1)
        self.rows = []
        return output, gradient
