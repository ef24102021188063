"""LSTM layers that give only the gradient with respect to their input, on a CPU.

The probe needs no gradient of a weight. PyTorch's kernel computes those too, which is half of its work in the backward
pass; here the backward pass is one product with each weight matrix.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from natural_sparsity.model.recurrent import RecurrentModel

Pair = tuple[Tensor, Tensor]


def use_input_gradients(model: RecurrentModel) -> nn.ModuleList:
    """Return the model's layers; on a CPU where it is faster, :class:`InputGradientLSTM` replaces each LSTM."""
    if model.output.weight.is_cuda or model.tuning.probe_lstm == "library":
        return model.recurrent
    return nn.ModuleList(InputGradientLSTM(layer) if isinstance(layer, nn.LSTM) else layer for layer in model.recurrent)


class InputGradientLSTM(nn.Module):
    """The values of ``layer`` (one layer, one direction) and their gradient with respect to its input.

    tanh z = 2σ(2z) − 1: with the weights of gate g doubled, all gates are one call of σ on contiguous memory.
    """

    def __init__(self, layer: nn.LSTM):
        super().__init__()
        weights = {name: double_g(weight.detach()) for name, weight in layer.named_parameters()}
        self.input, self.recurrent = weights["weight_ih_l0"], weights["weight_hh_l0"]
        self.recurrent_transposed = self.recurrent.T.contiguous()  # a quarter faster than .T with so few rows
        self.bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]

    def forward(self, inputs: Tensor, state: Pair) -> tuple[Tensor, Pair]:
        """As :class:`torch.nn.LSTM`: inputs (steps, batch, width), state (1, batch, hidden) twice."""
        h, c = state
        hidden, h, c = Window.apply(inputs, h[0], c[0], self)
        return hidden, (h[None], c[None])


def double_g(weights: Tensor) -> Tensor:
    """Double the rows of gate g; the gates i, f, g, o have a quarter of the rows each."""
    i, f, g, o = weights.chunk(4)
    return torch.cat([i, f, 2 * g, o])


class Window(torch.autograd.Function):
    """One layer over one window. The states carry no gradient: backpropagation ends where the window begins.

    In place of gate g the code keeps s = σ(2z), so that g = 2s − 1.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, h: Tensor, c: Tensor, layer: InputGradientLSTM) -> Any:
        """Return the hidden states (steps, batch, hidden), and the last h and c (batch, hidden)."""
        steps, batch, _ = inputs.shape
        gates = torch.addmm(layer.bias, inputs.flatten(0, 1), layer.input.T).view(steps, batch, -1)
        hidden, squashed = inputs.new_empty(2, steps, *h.shape)
        cells = inputs.new_empty(steps + 1, *c.shape)
        cells[0] = c
        each = zip(gates, *split_gates(gates).unbind(2), cells, cells[1:], squashed, hidden, strict=False)
        for gate, i, f, s, o, before, cell, tanh_cell, output in each:
            gate.addmm_(h, layer.recurrent_transposed).sigmoid_()
            torch.mul(f, before, out=cell).addcmul_(i, s, value=2).sub_(i)
            torch.tanh(cell, out=tanh_cell)
            h = torch.mul(o, tanh_cell, out=output)
        ctx.save_for_backward(gates, cells, squashed)
        ctx.layer = layer
        return hidden, h.clone(), cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upper: Tensor, *_: Tensor) -> Any:
        """Return the gradient by the inputs from ``upper``, that by the hidden states (steps, batch, hidden)."""
        gates, cells, squashed = ctx.saved_tensors
        i, f, s, o = split_gates(gates).unbind(2)
        # First, for all steps at once, what does not depend on later steps. ∂c/∂z for i, f, g and ∂h/∂z for o:
        slopes = torch.addcmul(gates, gates, gates, value=-1)
        for slope, factor in zip(split_gates(slopes).unbind(2), (2 * s - 1, cells[:-1], 2 * i, squashed), strict=True):
            slope.mul_(factor)
        by_cell = torch.addcmul(o, o * squashed, squashed, value=-1)  # ∂h/∂c
        upper, by_c = upper.clone(), torch.zeros_like(cells[0])
        each = zip(upper, by_cell, f, slopes, split_gates(slopes), strict=True)
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


def split_gates(gates: Tensor) -> Tensor:
    """View (steps, batch, 4 · hidden) as (steps, batch, 4, hidden)."""
    return gates.unflatten(2, (4, -1))
