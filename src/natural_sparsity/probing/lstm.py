"""LSTM layers that are differentiated by their input alone, on a CPU.

The probe needs no gradient of a weight. The library's kernel computes them all the same, which is half of its work on
the way back; here that way is one product with each matrix of weights, and nothing else is computed.
"""

from typing import Any

import torch
from torch import Tensor, nn

Pair = tuple[Tensor, Tensor]


def by_input(layers: nn.ModuleList) -> nn.ModuleList:
    """``layers`` for which only the gradient by the input will be asked; a GPU's kernels and other cells stay."""
    return nn.ModuleList(
        LSTMByInput(layer) if isinstance(layer, nn.LSTM) and not next(layer.parameters()).is_cuda else layer
        for layer in layers
    )


class LSTMByInput(nn.Module):
    """The values of ``layer``, of one direction and one layer, and their gradient by its input."""

    def __init__(self, layer: nn.LSTM):
        super().__init__()
        weights = dict(layer.named_parameters())
        self.input, self.recurrent = ordered(weights["weight_ih_l0"]), ordered(weights["weight_hh_l0"])
        self.bias = ordered(weights["bias_ih_l0"] + weights["bias_hh_l0"])

    def forward(self, inputs: Tensor, state: Pair) -> tuple[Tensor, Pair]:
        """As :class:`torch.nn.LSTM`: inputs (steps, batch, width), state (1, batch, hidden) twice."""
        h, c = state
        hidden, h, c = Window.apply(inputs, h[0], c[0], self.input, self.recurrent, self.bias)
        return hidden, (h[None], c[None])


def ordered(weights: Tensor) -> Tensor:
    """PyTorch's gates i, f, g, o, a quarter of the rows each, as i, f, o, g: those with the same function together."""
    i, f, g, o = weights.detach().chunk(4)
    return torch.cat([i, f, o, g])


class Window(torch.autograd.Function):
    """One layer over one window. The states carry no gradient: backpropagation ends where the window begins."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, h: Tensor, c: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor) -> Any:
        """Hidden states (steps, batch, hidden), and the last h and c (batch, hidden)."""
        steps, batch, _ = inputs.shape
        width = h.shape[1]
        gates = torch.addmm(bias, inputs.flatten(0, 1), w_x.T).view(steps, batch, 4 * width)
        hidden, squashed = inputs.new_empty(2, steps, batch, width)
        cells = torch.cat([c[None], inputs.new_empty(steps, batch, width)])
        for t, gate in enumerate(gates):
            gate.addmm_(h, w_h.T)
            gate[:, : 3 * width].sigmoid_()
            gate[:, 3 * width :].tanh_()
            i, f, o, g = gate.chunk(4, 1)
            torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, g)
            torch.tanh(cells[t + 1], out=squashed[t])
            h = torch.mul(o, squashed[t], out=hidden[t])
        ctx.save_for_backward(gates, cells, squashed, w_x, w_h)
        return hidden, h.clone(), cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, upper: Tensor, *_: Tensor) -> Any:
        """The gradient by the inputs, from that by the hidden states, ``upper`` (steps, batch, hidden)."""
        gates, cells, squashed, w_x, w_h = ctx.saved_tensors
        steps, batch, _ = gates.shape
        i, f, o, g = gates.view(steps, batch, 4, -1).unbind(2)
        # What does not depend on later steps comes first, for all steps at once: by_h = ∂h/∂c, and the gates' slopes.
        by_h = squashed.square().neg_().add_(1).mul_(o)
        slopes = torch.stack([i * (1 - i) * g, f * (1 - f) * cells[:-1], o * (1 - o) * squashed, (1 - g * g) * i], 2)
        upper, by_c = upper.clone(), torch.zeros_like(cells[0])
        for t in reversed(range(steps)):
            if t + 1 < steps:
                upper[t].addmm_(slopes[t + 1].view(batch, -1), w_h)
                by_c = by_c * f[t + 1]
            by_c = by_c.addcmul(upper[t], by_h[t])
            slopes[t, :, :2].mul_(by_c[:, None])
            slopes[t, :, 2].mul_(upper[t])
            slopes[t, :, 3].mul_(by_c)
        return (slopes.flatten(0, 1).flatten(1) @ w_x).view(steps, batch, -1), None, None, None, None, None
