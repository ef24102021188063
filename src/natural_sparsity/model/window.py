"""An LSTM layer over a window, with what PyTorch's layer lacks.

It takes factors of the gates and of the outputs, and computes only the gradients that are asked for: all steps at once
where it can, and without autograd's record of each step. ``model/lstm.py`` is for a GPU.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def double_g(weights: Tensor) -> Tensor:
    """Double the rows of gate g; the gates i, f, g, o have a quarter of the rows each."""
    i, f, g, o = weights.chunk(4)
    return torch.cat([i, f, 2 * g, o])


def split_gates(gates: Tensor) -> Tensor:
    """View (steps, batch, 4 · hidden) as (steps, batch, 4, hidden)."""
    return gates.unflatten(2, (4, -1))


class FactoredWindow(torch.autograd.Function):
    """One layer over one window, whose rows of gate g come doubled (:func:`double_g`).

    tanh z = 2σ(2z) − 1: all gates are then one call of σ on contiguous memory. In place of gate g the code keeps
    s = σ(2z), so that g = 2s − 1. The states after the window carry no gradient.

    Args, besides ``ctx``:
        inputs: (steps, batch, width).
        h, c: the state before the window, (batch, hidden) each.
        by_input, recurrent, bias: the layer's, with (4 · hidden) rows.
        gates: factors of the preactivations without the bias, (batch, 4 · hidden), or None.
        neurons: factors of the outputs, which the recurrence reads, (batch, hidden), or None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        h: Tensor,
        c: Tensor,
        by_input: Tensor,
        recurrent: Tensor,
        bias: Tensor,
        gates: Tensor | None = None,
        neurons: Tensor | None = None,
    ) -> Any:
        """Return the outputs (steps, batch, hidden), and the last h and c (batch, hidden)."""
        steps, batch, _ = inputs.shape
        rows, transposed = inputs.flatten(0, 1), recurrent.T.contiguous()  # a quarter faster than .T with so few rows
        sums = rows @ by_input.T if gates is not None else torch.addmm(bias, rows, by_input.T)
        sums = sums.view(steps, batch, -1)
        squashed = torch.empty_like(sums) if gates is not None else sums
        hidden, tanh_cells = inputs.new_empty(2, steps, *h.shape)
        cells = inputs.new_empty(steps + 1, *c.shape)
        cells[0], before = c, h
        each = zip(sums, squashed, *split_gates(squashed).unbind(2), cells, cells[1:], tanh_cells, hidden, strict=False)
        for total, gate, i, f, s, o, old, cell, tanh_cell, output in each:
            total.addmm_(before, transposed)
            if gates is not None:
                torch.addcmul(bias, total, gates, out=gate)
            gate.sigmoid_()
            torch.mul(f, old, out=cell).addcmul_(i, s, value=2).sub_(i)
            torch.tanh(cell, out=tanh_cell)
            before = torch.mul(o, tanh_cell, out=output)
            if neurons is not None:
                before.mul_(neurons)
        factors = (gates, None if gates is None else sums, neurons)
        ctx.save_for_backward(inputs, h, by_input, recurrent, squashed, cells, tanh_cells, hidden, *factors)
        last = before.clone(), cells[-1].clone()
        ctx.mark_non_differentiable(*last)
        return hidden, *last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upper: Tensor, *_: Tensor) -> Any:
        """Return the gradients that autograd asks for, given that by the outputs (steps, batch, hidden)."""
        inputs, h, by_input, recurrent, squashed, cells, tanh_cells, hidden, gates, sums, neurons = ctx.saved_tensors
        i, f, s, o = split_gates(squashed).unbind(2)
        # First, for all steps at once, what does not depend on later steps. ∂c/∂z for i, f, g and ∂h/∂z for o:
        slopes = torch.addcmul(squashed, squashed, squashed, value=-1)
        for slope, factor in zip(
            split_gates(slopes).unbind(2), (2 * s - 1, cells[:-1], 2 * i, tanh_cells), strict=True
        ):
            slope.mul_(factor)
        by_cell = torch.addcmul(o, o * tanh_cells, tanh_cells, value=-1)  # ∂h/∂c
        # By the sums of inputs and outputs, before their factors.
        by_sums = torch.empty_like(slopes) if gates is not None else slopes
        upper, by_c, later = upper.clone(), torch.zeros_like(cells[0]), None
        each = zip(upper, by_cell, f, slopes, split_gates(slopes), by_sums, strict=True)
        for by_h, cell, forget, slope, gate, by_sum in reversed(list(each)):
            if later is not None:
                by_h.addmm_(later, recurrent)
            by_output = by_h if neurons is None else by_h * neurons
            by_c.addcmul_(by_output, cell)
            gate[:, :3].mul_(by_c[:, None])
            gate[:, 3].mul_(by_output)
            later = slope if gates is None else torch.mul(slope, gates, out=by_sum)
            by_c.mul_(forget)
        rows = by_sums.flatten(0, 1)
        wanted = ctx.needs_input_grad
        before = torch.cat([h[None], hidden[:-1]]) if wanted[4] else hidden
        return (
            (rows @ by_input).view_as(inputs) if wanted[0] else None,
            by_sums[0] @ recurrent if wanted[1] else None,
            by_c if wanted[2] else None,
            rows.T @ inputs.flatten(0, 1) if wanted[3] else None,
            rows.T @ before.flatten(0, 1) if wanted[4] else None,
            slopes.sum((0, 1)) if wanted[5] else None,
            (slopes * sums).sum(0) if gates is not None and wanted[6] else None,
            (upper * (o * tanh_cells)).sum(0) if neurons is not None and wanted[7] else None,
        )
