"""LSTM layers that give only the gradient with respect to their input, on a CPU.

The probe needs no gradient of a weight. PyTorch's kernel computes those too, which is half of its work in the backward
pass; here the backward pass is one product with each weight matrix.
"""

from torch import Tensor, nn

from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.model.window import FactoredWindow, double_g


def use_input_gradients(model: RecurrentModel) -> nn.ModuleList:
    """Return the model's layers; on a CPU where it is faster, :class:`InputGradientLSTM` replaces each LSTM."""
    if model.output.weight.is_cuda or model.tuning.probe_lstm == "library":
        return model.recurrent
    return nn.ModuleList(InputGradientLSTM(layer) if isinstance(layer, nn.LSTM) else layer for layer in model.recurrent)


class InputGradientLSTM(nn.Module):
    """The values of ``layer`` (one layer, one direction) and their gradient with respect to its input."""

    def __init__(self, layer: nn.LSTM):
        super().__init__()
        weights = {name: double_g(weight.detach()) for name, weight in layer.named_parameters()}
        self.input, self.recurrent = weights["weight_ih_l0"], weights["weight_hh_l0"]
        self.bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As :class:`torch.nn.LSTM`: inputs (steps, batch, width), state (1, batch, hidden) twice."""
        h, c = state
        hidden, h, c = FactoredWindow.apply(inputs, h[0], c[0], self.input, self.recurrent, self.bias)
        return hidden, (h[None], c[None])
