"""A dense model with as many weights as a pruned one has left: "small-dense" against "large-sparse".

Zhu & Gupta 2017 (arXiv 1710.01878) compare the two.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.errors import UserError
from natural_sparsity.methods.masks import TENSORS, prunable
from natural_sparsity.model.recurrent import RecurrentModel

# Halvings of the factor between widths: more than the widest layer needs.
HALVINGS = 30


def count_left(model: RecurrentModel, masks: Mapping[str, Tensor]) -> int:
    """The weights of ``model`` that the ``masks`` keep; where a tensor has no mask, all. Biases do not count."""
    weights = prunable(model, list(TENSORS))
    return sum(int(masks[name].sum()) if name in masks else weight.numel() for name, weight in weights.items())


def shrink(model: RecurrentModel, weights: int) -> RecurrentModel:
    """Draw a smaller model: embedding and layers narrower by one factor, with nearly this number of ``weights``.

    The factor is the largest that does not exceed the number. Then, from the embedding upwards, each width grows by one
    where that comes nearer to it. The embedding starts at random, since given vectors have another width.

    Raises:
        UserError: even layers of one unit have more weights.
    """
    plain = model.architecture.model_copy(update={"vectors": None})
    widths = [plain.embedding, *plain.hidden]

    def narrow(widths: list[int]) -> Architecture:
        return plain.model_copy(update={"embedding": widths[0], "hidden": widths[1:]})

    def count(widths: list[int]) -> int:
        with torch.device("meta"):
            return count_left(RecurrentModel(model.interface, narrow(widths), model.tuning), {})

    def scale(factor: float) -> list[int]:
        return [max(1, round(factor * width)) for width in widths]

    low, high = 0.0, 1.0
    if (least := count(scale(low))) > weights:
        raise UserError(
            f"sparsify.controls: equal_size: {weights:,} weights are left, but a dense model has at least {least:,};"
            " give fewer levels, or leave equal_size out"
        )
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if count(scale(middle)) <= weights else (low, middle)
    chosen = scale(low)
    for i in range(len(chosen)):
        wider = [width + (i == j) for j, width in enumerate(chosen)]
        if abs(count(wider) - weights) < abs(count(chosen) - weights):
            chosen = wider
    return RecurrentModel(model.interface, narrow(chosen), model.tuning)
