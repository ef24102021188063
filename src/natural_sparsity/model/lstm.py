"""An LSTM layer over a whole window in one kernel on a GPU, where the library launches four kernels per step.

At the paper's size (40 streams, 200 units), the launches and the waiting between them are two thirds of a training
step. Here, each program holds the recurrent weights of a few units in registers for all steps; after each step, the
programs that share rows wait for each other.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Units and rows of a program, and the widest layer whose weights fit in its registers.
UNITS, ROWS, WIDEST = 16, 16, 256


def run(layer: nn.Module, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Return what ``layer(inputs, state)`` returns; an LSTM's window is one kernel on a GPU, if it fits."""
    if not isinstance(layer, nn.LSTM) or not fits(inputs, layer.hidden_size):
        result: tuple[Tensor, Any] = layer(inputs, state)
        return result
    weights = (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    hidden, h, c = Window.apply(inputs, state[0][0], state[1][0], *weights)
    return hidden, (h[None], c[None])


def fits(inputs: Tensor, hidden: int) -> bool:
    """Return whether to use the kernel: all its programs must run at once, since they wait for each other.

    Where products are in single precision throughout, the library's layer is faster, so the answer is no.
    """
    if not inputs.is_cuda or inputs.dtype != torch.float32 or hidden > WIDEST:
        return False
    if torch.get_float32_matmul_precision() == "highest":
        return False
    units, rows = count_programs(hidden, inputs.shape[1])
    return units * rows <= torch.cuda.get_device_properties(inputs.device).multi_processor_count


def count_programs(hidden: int, batch: int) -> tuple[int, int]:
    """Return how many programs share the units, and how many share the rows."""
    return -(-hidden // UNITS), -(-batch // ROWS)


class Window(torch.autograd.Function):
    """One layer over one window."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> Any:
        """Return the hidden states (steps, batch, hidden), and the last h and c (batch, hidden)."""
        from natural_sparsity.model.lstm_kernels import run_steps  # only torch's CUDA builds bring Triton

        by_input, recurrent, bias, other = weights
        steps, batch, width = inputs.shape
        gates = torch.addmm(bias + other, inputs.reshape(-1, width), by_input.T).view(steps, batch, -1)
        hidden, cells = inputs.new_empty(2, steps + 1, batch, h.shape[1])
        hidden[0], cells[0] = h, c
        run_steps(gates, recurrent, hidden, cells)
        ctx.save_for_backward(inputs, gates, hidden, cells, by_input, recurrent)
        return hidden[1:], hidden[-1].clone(), cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upper: Tensor, by_h: Tensor, by_c: Tensor) -> Any:
        """Return the gradients by inputs, state and weights, where autograd asks for them."""
        from natural_sparsity.model.lstm_kernels import run_steps_back

        inputs, gates, hidden, cells, by_input, recurrent = ctx.saved_tensors
        units = gates.shape[2]
        upper = upper.contiguous().clone()
        upper[-1] += by_h
        by_gates = torch.empty_like(gates)
        by_cell = by_c.contiguous().clone()
        run_steps_back(upper, gates, cells, recurrent, by_gates, by_cell)
        rows = by_gates.view(-1, units)
        wanted = ctx.needs_input_grad
        bias = rows.sum(0) if any(wanted[5:]) else None
        return (
            (rows @ by_input).view_as(inputs) if wanted[0] else None,
            by_gates[0] @ recurrent if wanted[1] else None,
            by_cell if wanted[2] else None,
            rows.T @ inputs.reshape(len(rows), -1) if wanted[3] else None,
            rows.T @ hidden[:-1].reshape(len(rows), -1) if wanted[4] else None,
            bias,
            None if bias is None else bias.clone(),  # of its own, since a method may change gradients in place
        )
