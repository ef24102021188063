"""Compute linear layer, softmax and cross-entropy as one operation over blocks of rows.

The (rows, vocabulary) matrix of logits is by far the largest object of the model. It is never stored as a whole: each
block of rows is computed in a buffer, used for the loss, its gradients or the sparsity statistics, and overwritten by
the next.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from natural_sparsity.model import tuning
from natural_sparsity.model.tuning import Blocks

# Rows of matrices start at multiples of this many elements, 64 bytes, for a CPU's vectors; a GPU needs 16 bytes.
ALIGNMENT = 16


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


class Exponentials(NamedTuple):
    """A block of ``rows`` of e = exp(logits − maximum), (block, vocabulary), with the ``maxima`` and ``sums`` of each.

    If the targets are left out, 0 stands in their place, they do not count in ``sums``, and ``target`` (block,) has
    their exponentials.
    """

    rows: slice
    e: Tensor
    maxima: Tensor
    sums: Tensor
    target: Tensor


Results = tuple[Tensor, Tensor, Tensor]


def exponentiate_in_chunks(logits: Tensor, left_out: Tensor | None, chunk: int) -> Results:
    """Replace ``logits`` (rows, vocabulary) by their exponentials; return maxima, sums and left-out values, (rows,).

    ``chunk`` rows at a time, so that what one pass has read or written is still in the cache for the next.
    """
    maxima, sums, values = logits.new_zeros(3, len(logits))
    for start in range(0, len(logits), chunk):
        rows = slice(start, start + chunk)
        e = logits[rows]
        torch.amax(e, 1, out=maxima[rows])
        e.sub_(maxima[rows, None]).exp_()
        if left_out is None:
            torch.sum(e, 1, out=sums[rows])
        else:
            values[rows], sums[rows] = separate_targets(e, left_out[rows])
    return maxima, sums, values


def exponentiate_on_gpu(logits: Tensor, left_out: Tensor | None, chunk: int) -> Results:
    """Do the same in one kernel; ``chunk`` is ignored."""
    from natural_sparsity.model.kernels import exponentiate  # only torch's CUDA builds bring Triton

    return exponentiate(logits, left_out)


def separate_targets(e: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Set ``e`` (rows, vocabulary) to 0 at ``targets`` (rows,); return what was there, and the sums of the others.

    The others are summed directly, not as 1 − p_t: where p_t is close to 1, that difference has no correct digit left.
    """
    columns = targets[:, None]
    target = e.gather(1, columns).squeeze(1)
    e.scatter_(1, columns, 0.0)
    return target, e.sum(1)


def align(columns: int) -> int:
    """Round a number of columns up to a multiple of the alignment."""
    return -(-columns // ALIGNMENT) * ALIGNMENT


class OutputLayer:
    """The linear layer ``linear``, of weight (vocabulary, width) and bias (vocabulary,), with its softmax.

    Weight and bias become views of one matrix, keys [W, b] for the queries [h, 1], so that the bias needs no pass of
    its own over the logits; the next call sees any change to them. Both matrices end in columns of zeros, which change
    nothing.

    ``blocks``: how many logits are computed at a time, on a CPU; by default, what is best here for training.

    All methods take features (rows, width) and targets (rows,), word ids, and record nothing for autograd. The next
    call overwrites the gradients.
    """

    def __init__(self, linear: nn.Linear, blocks: Blocks | None = None):
        words, self.width = linear.weight.shape
        cuda = linear.weight.is_cuda
        if cuda or blocks is None:
            blocks = tuning.choose(words, "cuda" if cuda else None).training
        self.joint = linear.weight.data.new_zeros(words, align(self.width + 1))
        self.weight, self.bias = self.joint[:, : self.width], self.joint[:, self.width]
        self.weight.copy_(linear.weight.data)
        self.bias.copy_(linear.bias.data)
        linear.weight.data, linear.bias.data = self.weight, self.bias
        self.block_rows = max(16, blocks.product // words)
        self.chunk_rows = max(1, blocks.chunk * torch.get_num_threads() // words)
        self.buffer = self.joint_gradient = self.joint.new_empty(0)

    def copy(self) -> "OutputLayer":
        """Return the same layer with buffers of its own, for another thread."""
        copied = copy.copy(self)
        copied.buffer = copied.joint_gradient = self.joint.new_empty(0)
        return copied

    def queries(self, features: Tensor) -> Tensor:
        """Return [h, 1] (rows, columns of the joint matrix)."""
        ones = features.new_zeros(len(features), self.joint.shape[1] - self.width)
        ones[:, 0] = 1
        return torch.cat([features, ones], 1)

    def exponentials(self, features: Tensor, targets: Tensor | None = None) -> Iterator[Exponentials]:
        """Yield the exponentials of each block's logits, without the ``targets``' (rows,) if they are given."""
        queries, words = self.queries(features), len(self.joint)
        if len(self.buffer) < min(self.block_rows, len(features)):
            room = features.new_empty(min(self.block_rows, len(features)), align(words))
            self.buffer = room[:, :words]
        exponentiate = exponentiate_on_gpu if features.is_cuda else exponentiate_in_chunks
        for start in range(0, len(features), self.block_rows):
            rows = slice(start, min(start + self.block_rows, len(features)))
            logits = torch.mm(queries[rows], self.joint.T, out=self.buffer[: rows.stop - start])
            left_out = None if targets is None else targets[rows]
            yield Exponentials(rows, logits, *exponentiate(logits, left_out, self.chunk_rows))

    def show_chunks(self, show: Show, block: SoftmaxBlock) -> None:
        """Show a block, as many rows at a time as fit in the cache."""
        start, _, *parts = block.rows.start, *block
        for first in range(0, len(block.targets), self.chunk_rows):
            chunk = slice(first, first + self.chunk_rows)
            rows = slice(start + first, start + min(chunk.stop, len(block.targets)))
            show(SoftmaxBlock(rows, *(part[chunk] for part in parts)))

    def target_logits(self, features: Tensor, targets: Tensor) -> Tensor:
        """Compute the targets' logits (rows,) directly, since exp may have underflowed to 0."""
        return (features * self.weight[targets]).sum(1) + self.bias[targets]

    @torch.no_grad()
    def losses(self, features: Tensor, targets: Tensor) -> Tensor:
        """Compute the cross-entropy (rows,) of each row, in nats."""
        log_sums = features.new_empty(len(features))
        for rows, _, maxima, sums, _ in self.exponentials(features):
            log_sums[rows] = sums.log_().add_(maxima)
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
        for rows, e, maxima, sums, _ in self.exponentials(features):
            log_sums[rows] = sums.log() + maxima
            scale = (1 / (n * sums))[:, None]
            mixed = soft.mix(rows, e, sums) if soft else e
            torch.mm(mixed, self.weight, out=gradient[rows]).mul_(scale)
            self.joint_gradient.addmm_(mixed.T, queries[rows] * scale, beta=1 if rows.start else 0)
            if show:  # after the products, since it changes e
                target, others = separate_targets(e, targets[rows])
                self.show_chunks(show, SoftmaxBlock(rows, e, targets[rows], target, others))
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
        for rows, others, maxima, sums, target in self.exponentials(features, targets):
            total = sums + target
            log_sums[rows] = total.log() + maxima
            other_sums[rows] = sums / total
            torch.mm(others, self.weight, out=gradient[rows]).div_(total[:, None])
            self.show_chunks(show, SoftmaxBlock(rows, others, targets[rows], target, sums))
        gradient -= other_sums[:, None] * self.weight[targets]
        return log_sums - self.target_logits(features, targets), gradient


class GivenGradient(torch.autograd.Function):
    """A scalar whose gradient with respect to the features is given."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, gradient: Tensor) -> Tensor:
        """Store the gradient; the scalar's value means nothing."""
        ctx.save_for_backward(gradient)
        return features.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor, None]:
        """Return the gradient."""
        return ctx.saved_tensors[0], None


def backpropagate(features: Tensor, wanted: Sequence[Tensor], gradient: Tensor) -> list[Tensor]:
    """Compute the loss's gradients with respect to what the features are made of, from its gradient at the features.

    Equal to ``torch.autograd.grad(features, wanted, gradient)``, bit for bit. That call imports sympy, though, which
    takes longer than many steps of a small model (torch 2.13).
    """
    with torch.enable_grad():
        given = GivenGradient.apply(features, gradient)
    return list(torch.autograd.grad(given, wanted))
