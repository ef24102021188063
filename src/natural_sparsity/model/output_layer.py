"""Linear layer, softmax and cross-entropy as one operation over row blocks (DESIGN §5).

The (rows, vocabulary) matrix of logits is the largest object of the model by far. It is never stored: a block of rows
is computed in a buffer that stays in cache, used for the loss, its gradients and the sparsity statistics, and
overwritten by the next block.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# A block's buffer on a CPU: large enough for the matrix products, small enough for the cache.
CPU_BLOCK_ELEMENTS = 1 << 20
CUDA_BLOCK_ELEMENTS = 1 << 28


def row_blocks(rows: int, vocabulary: int, device: torch.device) -> Iterator[slice]:
    """Slices of ``rows`` whose logits fill one buffer."""
    elements = CUDA_BLOCK_ELEMENTS if device.type == "cuda" else CPU_BLOCK_ELEMENTS
    step = max(16, elements // vocabulary)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


class CrossEntropy(torch.autograd.Function):
    """Mean cross-entropy, in nats, of softmax(features·Wᵀ + b); gradients are computed along with the loss."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """The loss; its gradients are kept for :meth:`backward`, unless none is needed."""
        rows, vocabulary = len(features), len(weight)
        losses = features.new_empty(rows)
        differentiate = any(ctx.needs_input_grad)
        if differentiate:
            gradient = torch.empty_like(features)
            weight_gradient, bias_gradient = torch.zeros_like(weight), torch.zeros_like(bias)
        buffer = None
        for block in row_blocks(rows, vocabulary, features.device):
            if buffer is None:
                buffer = features.new_empty(block.stop, vocabulary)
            p = torch.addmm(bias, features[block], weight.T, out=buffer[: block.stop - block.start])
            columns = targets[block, None]
            target_logits = p.gather(1, columns)
            maxima = p.amax(1, keepdim=True)
            p.sub_(maxima).exp_()
            sums = p.sum(1, keepdim=True)
            losses[block] = (sums.log() + maxima - target_logits).squeeze(1)
            if not differentiate:
                continue
            p.mul_(1 / (rows * sums))
            p.scatter_add_(1, columns, p.new_full(columns.shape, -1 / rows))
            torch.mm(p, weight, out=gradient[block])
            weight_gradient.addmm_(p.T, features[block])
            bias_gradient += p.sum(0)
        if differentiate:
            ctx.save_for_backward(gradient, weight_gradient, bias_gradient)
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """The kept gradients, scaled by the upstream gradient ()."""
        features, weight, bias = ctx.saved_tensors
        return features * upstream, weight * upstream, bias * upstream, None


def cross_entropy(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats.

    Args:
        features: (..., width); weight: (vocabulary, width); bias: (vocabulary,); targets: (...) word ids.
    """
    return CrossEntropy.apply(features.flatten(0, -2), weight, bias, targets.flatten())


class SoftmaxStatistics(NamedTuple):
    """What the probe needs of the softmax's output p and of the loss's gradient, a row each; see the function."""

    loss: Tensor
    square_sum: Tensor
    other_sum: Tensor
    other_square_sum: Tensor
    gradient: Tensor


@torch.no_grad()
def softmax_statistics(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> SoftmaxStatistics:
    """Sums over the vocabulary of p = softmax(features·Wᵀ + b), with t the target and others all words but t.

    The sums over the others are taken directly, not as 1 − p_t: where p_t is close to 1, the difference would have
    no correct digit left.

    Args:
        features: (rows, width); weight: (vocabulary, width); bias: (vocabulary,); targets: (rows,).

    Returns:
        loss (rows,): −log p_t, nats; square_sum (rows,): Σ p²; other_sum (rows,): 1 − p_t; other_square_sum (rows,):
        Σ p² over the others; gradient (rows, width): of the summed loss by the features, p·W − W[t].
    """
    rows, vocabulary = len(features), len(weight)
    loss, square_sum, other_sum, other_square_sum = features.new_empty(4, rows)
    gradient = torch.empty_like(features)
    buffer = None
    for block in row_blocks(rows, vocabulary, features.device):
        if buffer is None:
            buffer = features.new_empty(block.stop, vocabulary)
        e = torch.addmm(bias, features[block], weight.T, out=buffer[: block.stop - block.start])
        columns = targets[block, None]
        e.sub_(e.amax(1, keepdim=True)).exp_()
        target = e.gather(1, columns)
        e.scatter_(1, columns, 0.0)
        others = e.sum(1, keepdim=True)
        total = others + target
        squares = torch.linalg.vector_norm(e, dim=1, keepdim=True).square()
        other_sum[block] = (others / total).squeeze(1)
        other_square_sum[block] = (squares / total.square()).squeeze(1)
        square_sum[block] = ((squares + target.square()) / total.square()).squeeze(1)
        loss[block] = total.log().sub_(target.log()).squeeze(1)
        torch.mm(e, weight, out=gradient[block])
        gradient[block] /= total
        gradient[block] -= (others / total) * weight[targets[block]]
    return SoftmaxStatistics(loss, square_sum, other_sum, other_square_sum, gradient)
