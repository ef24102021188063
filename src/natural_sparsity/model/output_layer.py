"""Compute linear layer, softmax and cross-entropy as one operation over blocks of rows.

The (rows, vocabulary) matrix of logits is by far the largest object of the model. It is never stored as a whole: each
block of rows is computed in a buffer, used for the loss, its gradients or the sparsity statistics, and overwritten by
the next.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Elements in a block's buffer: enough for matrix products to run at their full rate, few enough for the cache.
CPU_BLOCK_ELEMENTS = 1 << 22
CUDA_BLOCK_ELEMENTS = 1 << 28
# Rows of matrices start at multiples of this many elements: fast products on a GPU need 16 bytes at least.
CPU_ALIGNMENT = 1
CUDA_ALIGNMENT = 8


class Gradients(NamedTuple):
    """``losses`` (rows,) in nats; their mean's gradients by ``features`` (rows, width) and by [W, b] (``joint``)."""

    losses: Tensor
    features: Tensor
    joint: Tensor


class SoftmaxBlock(NamedTuple):
    """A block of rows of p = softmax(features·Wᵀ + b), each row unnormalised, as an observer sees it.

    ``others`` (block, vocabulary): p with 0 in the target's place; may be overwritten. ``targets`` (block,): word ids.
    ``target`` (block,): the target's p. ``other_sum`` (block,): Σ others. Divide by target + other_sum to normalise.
    """

    rows: slice
    others: Tensor
    targets: Tensor
    target: Tensor
    other_sum: Tensor


Show = Callable[[SoftmaxBlock], None]


class SoftTargets(NamedTuple):
    """A teacher's prediction for each row, in addition to the target word.

    The loss becomes (1 − w) · cross-entropy + w · T² · KL(softmax(t/T) ‖ softmax(s/T)), where s are the model's logits
    and t = ``queries`` (rows, columns) · ``joint`` (vocabulary, columns)ᵀ are the teacher's.
    """

    queries: Tensor
    joint: Tensor
    weight: float
    temperature: float

    def mix(self, rows: slice, e: Tensor, sums: Tensor) -> Tensor:
        """Mix the teacher into e (block, vocabulary), which is proportional to p; ``sums`` (block,): Σe.

        The result replaces e in the gradient: (1 − w) e + w T Σe (softmax(s/T) − softmax(t/T)). With w = 0 it is e, bit
        for bit.
        """
        taught = torch.mm(self.queries[rows], self.joint.T).div_(self.temperature).softmax(1)
        own = e if self.temperature == 1 else e.pow(1 / self.temperature)
        own = own / own.sum(1, keepdim=True)
        return own.sub_(taught).mul_(sums[:, None] * (self.weight * self.temperature)).add_(e, alpha=1 - self.weight)


def separate_targets(rows: slice, e: Tensor, targets: Tensor) -> SoftmaxBlock:
    """Set ``e`` (block, vocabulary), which is proportional to p, to 0 at ``targets`` (block,); return the block.

    The others are summed directly, not as 1 − p_t: where p_t is close to 1, that difference has no correct digit left.
    """
    columns = targets[:, None]
    target = e.gather(1, columns).squeeze(1)
    e.scatter_(1, columns, 0.0)
    return SoftmaxBlock(rows, e, targets, target, e.sum(1))


class OutputLayer:
    """The linear layer ``linear``, of weight (vocabulary, width) and bias (vocabulary,), with its softmax.

    Weight and bias become views of one matrix, keys [W, b] for the queries [h, 1], so that the bias needs no pass of
    its own over the logits; the next call sees any change to them. On a GPU both matrices end in columns of zeros,
    which change nothing.

    All methods take features (rows, width) and targets (rows,), word ids, and record nothing for autograd. The next
    call overwrites the gradients.
    """

    def __init__(self, linear: nn.Linear):
        cuda = linear.weight.is_cuda
        self.width, self.alignment = linear.in_features, CUDA_ALIGNMENT if cuda else CPU_ALIGNMENT
        self.joint = linear.weight.data.new_zeros(linear.out_features, self.align(self.width + 1))
        self.weight, self.bias = self.joint[:, : self.width], self.joint[:, self.width]
        self.weight.copy_(linear.weight.data)
        self.bias.copy_(linear.bias.data)
        linear.weight.data, linear.bias.data = self.weight, self.bias
        self.block_rows = max(16, (CUDA_BLOCK_ELEMENTS if cuda else CPU_BLOCK_ELEMENTS) // len(self.joint))
        self.buffer = self.joint_gradient = self.joint.new_empty(0)

    def align(self, columns: int) -> int:
        """Round a number of columns up to a multiple of the alignment."""
        return -(-columns // self.alignment) * self.alignment

    def queries(self, features: Tensor) -> Tensor:
        """Return [h, 1] (rows, columns of the joint matrix)."""
        ones = features.new_zeros(len(features), self.joint.shape[1] - self.width)
        ones[:, 0] = 1
        return torch.cat([features, ones], 1)

    def exponentials(self, features: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield for each block its rows, e = exp(logits − maximum) (block, vocabulary) and the maxima (block,)."""
        if not len(self.buffer):
            words = len(self.joint)
            self.buffer = features.new_empty(self.block_rows, self.align(words))[:, :words]
        queries = self.queries(features)
        for start in range(0, len(features), self.block_rows):
            rows = slice(start, min(start + self.block_rows, len(features)))
            e = torch.mm(queries[rows], self.joint.T, out=self.buffer[: rows.stop - start])
            maxima = e.amax(1, keepdim=True)
            yield rows, e.sub_(maxima).exp_(), maxima.squeeze(1)

    def target_logits(self, features: Tensor, targets: Tensor) -> Tensor:
        """Compute the targets' logits (rows,) directly, since exp may have underflowed to 0."""
        return (features * self.weight[targets]).sum(1) + self.bias[targets]

    @torch.no_grad()
    def losses(self, features: Tensor, targets: Tensor) -> Tensor:
        """Compute the cross-entropy (rows,) of each row, in nats."""
        log_sums = features.new_empty(len(features))
        for rows, e, maxima in self.exponentials(features):
            log_sums[rows] = e.sum(1).log_().add_(maxima)
        return log_sums - self.target_logits(features, targets)

    @torch.no_grad()
    def gradients(
        self, features: Tensor, targets: Tensor, show: Show | None = None, soft: SoftTargets | None = None
    ) -> Gradients:
        """Compute the losses and the gradients of their mean in one pass; call ``show`` with p, block by block.

        ``soft`` targets change the loss whose gradients are computed; the returned losses are still the cross-entropy.
        p = e / Σe is never formed: the narrow side of each product takes the division and the mean.
        """
        n = len(features)
        if not len(self.joint_gradient):
            self.joint_gradient = torch.empty_like(self.joint)
        log_sums, gradient = features.new_empty(n), torch.empty_like(features)
        queries = self.queries(features)
        for rows, e, maxima in self.exponentials(features):
            sums = e.sum(1)
            log_sums[rows] = sums.log() + maxima
            scale = (1 / (n * sums))[:, None]
            mixed = soft.mix(rows, e, sums) if soft else e
            torch.mm(mixed, self.weight, out=gradient[rows]).mul_(scale)
            self.joint_gradient.addmm_(mixed.T, queries[rows] * scale, beta=1 if rows.start else 0)
            if show:  # after the products, since it changes e
                show(separate_targets(rows, e, targets[rows]))
        words = (1 - soft.weight if soft else 1) / n
        gradient.sub_(self.weight[targets], alpha=words)
        self.joint_gradient.index_add_(0, targets, queries, alpha=-words)
        losses = log_sums - self.target_logits(features, targets)
        return Gradients(losses, gradient, self.joint_gradient)

    @torch.no_grad()
    def direct_gradient(self, features: Tensor, targets: Tensor, show: Show) -> tuple[Tensor, Tensor]:
        """Compute the losses (rows,) and the gradient (rows, width) of their sum by the features, p·W − W[targets].

        Call ``show`` with p, block by block.
        """
        log_sums, other_sums = features.new_empty(2, len(features))
        gradient = torch.empty_like(features)
        for rows, e, maxima in self.exponentials(features):
            block = separate_targets(rows, e, targets[rows])
            total = block.other_sum + block.target
            log_sums[rows] = total.log() + maxima
            other_sums[rows] = block.other_sum / total
            torch.mm(e, self.weight, out=gradient[rows]).div_(total[:, None])
            show(block)
        gradient -= other_sums[:, None] * self.weight[targets]
        return log_sums - self.target_logits(features, targets), gradient
