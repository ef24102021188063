"""The softmax's output and its loss's gradient with respect to the logits: measured, never stored."""

import torch
from torch import Tensor

from natural_sparsity.model.output_layer import SoftmaxBlock
from natural_sparsity.probing.measures import Measure
from natural_sparsity.probing.others import Others


def measure_softmax(block: SoftmaxBlock, measures: dict[str, Measure]) -> Tensor:
    """Return norms and measures, as :func:`measure` gives them, of two vectors as wide as the vocabulary.

    The vectors are the softmax's output and the gradient of its loss with respect to the logits, at each of the
    block's rows; neither is stored. The result is (2, rows, 2 + measures). Overwrites ``block.others``.
    """
    others = Others(block.others, block.targets, block.other_sum)
    target = block.target.double()
    total = others.sum + target
    return torch.stack([measure_joined(others, entry, total, measures) for entry in (target, others.sum)])


def measure_joined(others: Others, entry: Tensor, total: Tensor, measures: dict[str, Measure]) -> Tensor:
    """Return norms and measures of the others joined by ``entry``, over ``total``: (rows, 2 + measures)."""
    l1, l2 = (others.sum + entry) / total, (others.square_sum + entry.square()).sqrt() / total
    values = [
        one.joined(others, entry) if one.joined else others.measure_joined(entry, one.function)
        for one in measures.values()
    ]
    return torch.stack([l1, l2, *(value.where(l1 > 0, torch.nan) for value in values)], 1)
