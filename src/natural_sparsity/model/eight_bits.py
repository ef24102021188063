"""Models in torch's layers of eight bits: its dynamic quantisation of recurrent and linear layers, on the CPU.

Weights are integers of eight bits; activations are rounded to eight bits while computing. The embedding stays in single
precision.

torch.ao is deprecated: torchao replaces it, but quantises no recurrent layer (torchao 0.18.0 converts linear layers and
embeddings alone). So :func:`to_eight_bits` is the only function that calls torch.ao, until torchao has LSTMs and GRUs.
tests/model/test_torch_ao.py tells when that is, or when a new torch no longer has torch.ao.
"""

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from natural_sparsity.errors import UserError
from natural_sparsity.model.packing import Numbers

LINEAR = ("initial", "output")


def to_eight_bits(model: Any) -> Any:
    """Return a copy of the model with one scale per matrix, as torch chooses it.

    ``model`` has the layers and the architecture of a :class:`natural_sparsity.model.recurrent.RecurrentModel`.

    Raises:
        UserError: torch has no eight-bit form of the model's layers (Elman's).
    """
    if model.architecture.cell == "rnn":
        raise UserError("torch quantises no plain recurrent layer (cell: rnn); quantise an lstm or a gru")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that this function will move
        return torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(model).eval(), {nn.LSTM, nn.GRU, nn.Linear}, dtype=torch.qint8
        )


def read_integers(model: Any) -> Numbers:
    """Return the integers and scales, by parameter, with which torch's dynamic quantisation replaces the weights.

    Raises:
        UserError: as :func:`to_eight_bits`.
    """
    int8 = to_eight_bits(model)
    weights = {f"{name}.weight": getattr(int8, name).weight() for name in LINEAR if getattr(int8, name) is not None}
    for i, layer in enumerate(int8.recurrent):
        weights |= {f"recurrent.{i}.{key}": weight for key, weight in layer.get_weight().items()}
    return {name: (weight.int_repr(), torch.tensor([weight.q_scale()])) for name, weight in weights.items()}


def use_integers(model: Any, numbers: Numbers) -> Any:
    """Return the model with the given integers and scales in its recurrent and linear layers.

    Raises:
        UserError: as :func:`to_eight_bits`.
    """
    int8 = to_eight_bits(model)
    for name in LINEAR:
        if f"{name}.weight" in numbers:
            bias = getattr(model, name).bias
            matrix = to_torch_matrix(*numbers[f"{name}.weight"])
            getattr(int8, name).set_weight_bias(matrix, None if bias is None else bias.detach())
    layers: Any = zip(int8.recurrent, model.recurrent, strict=True)
    for i, (layer, floats) in enumerate(layers):
        biases = [floats.bias_ih_l0.detach(), floats.bias_hh_l0.detach()]
        matrices = [to_torch_matrix(*numbers[f"recurrent.{i}.weight_{kind}_l0"]) for kind in ("ih", "hh")]
        prepacked = [torch.ops.quantized.linear_prepack(*pair) for pair in zip(matrices, biases, strict=True)]
        cell = torch.ops.quantized.make_quantized_cell_params_dynamic(*prepacked, *biases, True)
        layer._all_weight_values[0].param = cell
    return int8


def to_torch_matrix(q: Tensor, scale: Tensor) -> Tensor:
    """Return torch's quantised matrix of integers and scales, (rows,) or (1,)."""
    if len(scale) == 1:
        return torch._make_per_tensor_quantized_tensor(q, float(scale), 0)
    return torch._make_per_channel_quantized_tensor(q, scale.double(), torch.zeros(len(scale), dtype=torch.long), 0)
