"""Linear layer, softmax and cross-entropy as one operation over row blocks (DESIGN §5).

The (rows, vocabulary) matrix of logits is the largest object of the model by far. It is never stored: a block of rows
is computed in a buffer, used for the loss, its gradients or the sparsity statistics, and overwritten by the next.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

# A block's buffer: large enough for the matrix products to run at their full rate, small enough for the cache.
CPU_BLOCK_ELEMENTS = 1 << 22
CUDA_BLOCK_ELEMENTS = 1 << 28


class SoftmaxStatistics(NamedTuple):
    """What the probe needs of p = softmax(features·Wᵀ + b), with t the target and others all words but t.

    ``losses`` (rows,): −log p_t, nats; ``square_sum`` (rows,): Σp²; ``other_sum`` (rows,): 1 − p_t;
    ``other_square_sum`` (rows,): Σp² over the others; ``gradient`` (rows, width): of the summed loss by the features,
    p·W − W[t].
    """

    losses: Tensor
    square_sum: Tensor
    other_sum: Tensor
    other_square_sum: Tensor
    gradient: Tensor


class Gradients(NamedTuple):
    """``losses`` (rows,), nats; the gradients of their mean by the features (rows, width) and, ``joint``, by [W, b].

    ``statistics``: of the same rows, if asked for.
    """

    losses: Tensor
    features: Tensor
    joint: Tensor
    statistics: SoftmaxStatistics | None


class Sums(NamedTuple):
    """Of a block of e = exp(logits − their maximum): ``target`` e_t and ``total`` Σe; the rest as in the statistics."""

    target: Tensor
    total: Tensor
    square_sum: Tensor
    other_sum: Tensor
    other_square_sum: Tensor


def take_targets(e: Tensor, columns: Tensor) -> Sums:
    """The sums of a block ``e`` (rows, vocabulary), which it leaves with 0 at the targets, ``columns`` (rows, 1).

    The sums over the others are taken directly, not as 1 − p_t: where p_t is close to 1, the difference would have no
    correct digit left.
    """
    target = e.gather(1, columns).squeeze(1)
    e.scatter_(1, columns, 0.0)
    others = e.sum(1)
    total = others + target
    squares = torch.linalg.vector_norm(e, dim=1).div_(total).square_()
    return Sums(target, total, squares + (target / total).square(), others / total, squares)


class OutputLayer:
    """The linear layer ``linear``, of weight (vocabulary, width) and bias (vocabulary,), with its softmax.

    Weight and bias become views of one matrix, keys [W, b] for the queries [h, 1], so that the bias costs no pass of
    its own over the logits; what changes them is seen at the next call. All methods take features (rows, width) and
    targets (rows,), word ids, and record nothing for autograd. The gradients are overwritten by the next call.
    """

    def __init__(self, linear: nn.Linear):
        self.width = linear.in_features
        self.joint = torch.cat([linear.weight.data, linear.bias.data[:, None]], 1)
        self.weight, self.bias = self.joint[:, : self.width], self.joint[:, self.width]
        linear.weight.data, linear.bias.data = self.weight, self.bias
        elements = CUDA_BLOCK_ELEMENTS if self.joint.is_cuda else CPU_BLOCK_ELEMENTS
        self.block_rows = max(16, elements // len(self.joint))
        self.buffer = self.joint_gradient = self.joint.new_empty(0)

    def exponentials(self, features: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield, block by block, the rows, e = exp(logits − their maximum) (block, vocabulary), and the maximum."""
        if not len(self.buffer):
            self.buffer = features.new_empty(self.block_rows, len(self.joint))
        queries = with_ones(features)
        for start in range(0, len(features), self.block_rows):
            rows = slice(start, min(start + self.block_rows, len(features)))
            e = torch.mm(queries[rows], self.joint.T, out=self.buffer[: rows.stop - start])
            maxima = e.amax(1, keepdim=True)
            yield rows, e.sub_(maxima).exp_(), maxima.squeeze(1)

    def target_logits(self, features: Tensor, targets: Tensor) -> Tensor:
        """The targets' logits (rows,), computed by themselves: exp may have taken theirs to 0."""
        return (features * self.weight[targets]).sum(1) + self.bias[targets]

    @torch.no_grad()
    def losses(self, features: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy of each row (rows,), nats."""
        log_sums = features.new_empty(len(features))
        for rows, e, maxima in self.exponentials(features):
            log_sums[rows] = e.sum(1).log_().add_(maxima)
        return log_sums - self.target_logits(features, targets)

    @torch.no_grad()
    def gradients(self, features: Tensor, targets: Tensor, observed: bool = False) -> Gradients:
        """The losses and the gradients of their mean, in one pass; if ``observed``, the statistics too.

        p = e / Σe is not formed: the division and the mean go to the narrow side of each product.
        """
        n = len(features)
        if not len(self.joint_gradient):
            self.joint_gradient = torch.empty_like(self.joint)
        log_sums, gradient = features.new_empty(n), torch.empty_like(features)
        queries = with_ones(features)
        measured: list[Sums] = []
        for rows, e, maxima in self.exponentials(features):
            if observed:
                columns = targets[rows, None]
                measured.append(take_targets(e, columns))
                e.scatter_(1, columns, measured[-1].target[:, None])
            sums = e.sum(1)
            log_sums[rows] = sums.log() + maxima
            scale = (1 / (n * sums))[:, None]
            torch.mm(e, self.weight, out=gradient[rows]).mul_(scale)
            self.joint_gradient.addmm_(e.T, queries[rows] * scale, beta=1 if rows.start else 0)
        gradient.sub_(self.weight[targets], alpha=1 / n)
        self.joint_gradient.index_add_(0, targets, queries, alpha=-1 / n)
        losses = log_sums - self.target_logits(features, targets)
        statistics = None
        if observed:
            _, _, square_sum, other_sum, other_square_sum = map(torch.cat, zip(*measured, strict=True))
            statistics = SoftmaxStatistics(losses, square_sum, other_sum, other_square_sum, gradient * n)
        return Gradients(losses, gradient, self.joint_gradient, statistics)

    @torch.no_grad()
    def statistics(self, features: Tensor, targets: Tensor) -> SoftmaxStatistics:
        """Sums over the vocabulary of p and of the gradient by the logits."""
        log_sums, square_sum, other_sum, other_square_sum = features.new_empty(4, len(features))
        gradient = torch.empty_like(features)
        for rows, e, maxima in self.exponentials(features):
            _, total, square_sum[rows], other_sum[rows], other_square_sum[rows] = take_targets(e, targets[rows, None])
            log_sums[rows] = total.log() + maxima
            torch.mm(e, self.weight, out=gradient[rows]).div_(total[:, None])
        gradient -= other_sum[:, None] * self.weight[targets]
        losses = log_sums - self.target_logits(features, targets)
        return SoftmaxStatistics(losses, square_sum, other_sum, other_square_sum, gradient)


def with_ones(features: Tensor) -> Tensor:
    """[h, 1] (rows, width + 1)."""
    return torch.cat([features, features.new_ones(len(features), 1)], 1)
