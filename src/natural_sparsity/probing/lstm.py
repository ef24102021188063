"""LSTM layers that are differentiated by their input alone, on a CPU.

The probe needs no gradient of a weight. The library's kernel computes them all the same, which is half of its work on
the way back; here that way is one product with each matrix of weights.
"""

from typing import Any

import torch
from torch import Tensor, nn

Pair = tuple[Tensor, Tensor]


def by_input(layers: nn.ModuleList) -> nn.ModuleList:
    """``layers`` for which only the gradient by the input will be asked; a GPU's kernels and other cells stay."""
    return nn.ModuleList(
        LSTMByInput(layer) if isinstance(layer, nn.LSTM) and not layer.weight_hh_l0.is_cuda else layer
        for layer in layers
    )


class LSTMByInput(nn.Module):
    """The values of ``layer``, of one direction and one layer, and their gradient by its input.

    tanh z = 2σ(2z) − 1: with the flow's weights doubled, all gates are one call of σ on contiguous memory.
    """

    def __init__(self, layer: nn.LSTM):
        super().__init__()
        weights = {name: doubled(weight.detach()) for name, weight in layer.named_parameters()}
        self.input, self.recurrent = weights["weight_ih_l0"], weights["weight_hh_l0"]
        self.recurrent_transposed = self.recurrent.T.contiguous()  # a quarter faster with so few rows
        self.bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]

    def forward(self, inputs: Tensor, state: Pair) -> tuple[Tensor, Pair]:
        """As :class:`torch.nn.LSTM`: inputs (steps, batch, width), state (1, batch, hidden) twice."""
        h, c = state
        hidden, h, c = Window.apply(inputs, h[0], c[0], self)
        return hidden, (h[None], c[None])


def doubled(weights: Tensor) -> Tensor:
    """``weights`` of the gates i, f, g, o, a quarter of the rows each, with those of g doubled."""
    i, f, g, o = weights.chunk(4)
    return torch.cat([i, f, 2 * g, o])


class Window(torch.autograd.Function):
    """One layer over one window. The states carry no gradient: backpropagation ends where the window begins.

    Where the flow g is meant, s stands for σ(2z), so that g = 2s − 1.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, h: Tensor, c: Tensor, layer: LSTMByInput) -> Any:
        """Hidden states (steps, batch, hidden), and the last h and c (batch, hidden)."""
        steps, batch, _ = inputs.shape
        gates = torch.addmm(layer.bias, inputs.flatten(0, 1), layer.input.T).view(steps, batch, -1)
        hidden, squashed = inputs.new_empty(2, steps, *h.shape)
        cells = inputs.new_empty(steps + 1, *c.shape)
        cells[0] = c
        each = zip(gates, *by_gate(gates).unbind(2), cells, cells[1:], squashed, hidden, strict=False)
        for gate, i, f, s, o, before, cell, tanh_cell, output in each:
            gate.addmm_(h, layer.recurrent_transposed).sigmoid_()
            torch.mul(f, before, out=cell).addcmul_(i, s, value=2).sub_(i)
            torch.tanh(cell, out=tanh_cell)
            h = torch.mul(o, tanh_cell, out=output)
        ctx.save_for_backward(gates, cells, squashed)
        ctx.layer = layer
        return hidden, h.clone(), cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, upper: Tensor, *_: Tensor) -> Any:
        """The gradient by the inputs, from that by the hidden states, ``upper`` (steps, batch, hidden)."""
        gates, cells, squashed = ctx.saved_tensors
        i, f, s, o = by_gate(gates).unbind(2)
        # First, for all steps at once, what does not depend on later ones. ∂c/∂z for i, f, g and ∂h/∂z for o:
        slopes = torch.addcmul(gates, gates, gates, value=-1)
        for slope, factor in zip(by_gate(slopes).unbind(2), (2 * s - 1, cells[:-1], 2 * i, squashed), strict=True):
            slope.mul_(factor)
        by_cell = torch.addcmul(o, o * squashed, squashed, value=-1)  # ∂h/∂c
        upper, by_c = upper.clone(), torch.zeros_like(cells[0])
        each = zip(upper, by_cell, f, slopes, by_gate(slopes), strict=True)
        later = None
        for by_h, cell, forget, slope, gate in reversed(list(each)):
            if later:
                by_h.addmm_(later[0], ctx.layer.recurrent)
                by_c.mul_(later[1])
            by_c.addcmul_(by_h, cell)
            gate[:, :3].mul_(by_c[:, None])
            gate[:, 3].mul_(by_h)
            later = slope, forget
        return (slopes.flatten(0, 1) @ ctx.layer.input).view(*upper.shape[:2], -1), None, None, None


def by_gate(gates: Tensor) -> Tensor:
    """(steps, batch, 4 · hidden) as (steps, batch, 4, hidden)."""
    return gates.unflatten(2, (4, -1))
