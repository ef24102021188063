"""What a checkpoint costs: its size on disk and its latency on a CPU, as it is and with weights in eight bits.

On disk a weight matrix is stored as it is or, where that is smaller, as a bit a weight and the weights that are not 0.
Eight bits: post-training dynamic quantisation by torch, of the recurrent layers and the output layer; embedding and
biases stay in single precision. Exact zeros stay zeros. A model that was trained with quantised weights is measured
with those alone: its own whole numbers and scales, in torch's layers of eight bits; stored in as many bits as it has.
What that training is worth, the same model tells whose weights are rounded to as many bits and not trained after it.
"""

import argparse
import copy
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import select_device
from natural_sparsity.model.language_model import LanguageModel, State
from natural_sparsity.settings import json_object
from natural_sparsity.sparsify.masks import TENSORS, prunable
from natural_sparsity.sparsify.qat import integers, quantise

# A stored tensor's parts: which weights are not 0; their values, or all; of how many bits these are; the shape.
BITS, VALUES, WIDTH, SHAPE = ".bits", ".values", ".width", ".shape"
SCALE = ".scale"
REPEATS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the split's stream")
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="safetensors, one a checkpoint")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="JSON, one a checkpoint")
    parser.add_argument("--batch", type=int, default=10, help="streams")
    parser.add_argument("--window", type=int, default=35, help="steps; they bound memory and change nothing")
    parser.add_argument("--timed-tokens", type=int, default=200, help="tokens, one at a time, that are timed")
    parser.add_argument(
        "--rounded",
        type=json_object,
        nargs="*",
        default=[],
        help="JSON, bits and scope: measure it with weights rounded so, too",
    )
    parser.add_argument("--output", type=Path, required=True, help="out: JSON")


def packed(tensors: Mapping[str, Tensor], bits: int = 8) -> dict[str, Tensor]:
    """The tensors as they are stored: each matrix as bits and values where that takes fewer bytes.

    ``bits`` are those that a whole number of eight bits needs; with fewer, matrices of them take fewer.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        narrow = tensor.dtype == torch.int8 and bits < 8
        width = bits if narrow else 8 * tensor.element_size()
        kept = tensor != 0
        sparse = tensor.numel() + int(kept.sum()) * width < tensor.numel() * width
        if tensor.dim() < 2 or not (sparse or narrow):
            stored[name] = tensor.contiguous()
            continue
        values = tensor[kept] if sparse else tensor.flatten()
        if sparse:
            stored[name + BITS] = torch.from_numpy(np.packbits(kept.numpy()))
        if narrow:
            stored[name + WIDTH] = torch.tensor([bits, len(values)])
        stored[name + VALUES] = narrowed(values, bits) if narrow else values
        stored[name + SHAPE] = torch.tensor(tensor.shape)
    return stored


def unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What :func:`packed` was given, bit for bit (a zero of either sign as 0)."""
    tensors = {name: tensor for name, tensor in stored.items() if not name.endswith((BITS, VALUES, WIDTH, SHAPE))}
    for name in [name.removesuffix(SHAPE) for name in stored if name.endswith(SHAPE)]:
        shape, values = stored[name + SHAPE].tolist(), stored[name + VALUES]
        if name + WIDTH in stored:
            values = widened(values, *stored[name + WIDTH].tolist())
        if name + BITS in stored:
            kept = np.unpackbits(stored[name + BITS].numpy(), count=math.prod(shape)).astype(bool)
            flat = torch.zeros(math.prod(shape), dtype=values.dtype)
            flat[torch.from_numpy(kept)] = values
            values = flat
        tensors[name] = values.view(shape)
    return tensors


def narrowed(values: Tensor, bits: int) -> Tensor:
    """Whole numbers (n,) of int8 as their lowest ``bits`` bits, one number after the other, in bytes."""
    places = np.arange(bits - 1, -1, -1, dtype=np.uint8)
    return torch.from_numpy(np.packbits(values.numpy().view(np.uint8)[:, None] >> places & 1))


def widened(packed: Tensor, bits: int, count: int) -> Tensor:
    """What :func:`narrowed` was given, ``count`` numbers; the highest bit is the sign's."""
    digits = np.unpackbits(packed.numpy(), count=count * bits).reshape(count, bits).astype(np.int16)
    numbers = digits @ (1 << np.arange(bits - 1, -1, -1)).astype(np.int16)
    return torch.from_numpy((numbers - (digits[:, 0] << bits)).astype(np.int8))


def in_eight_bits(model: LanguageModel) -> Any:
    """The model with recurrent and output layers of torch's dynamic quantisation, one scale a matrix.

    Raises:
        UserError: a layer that torch has no eight-bit form of: Elman's.
    """
    if model.architecture.cell == "rnn":
        raise UserError("torch quantises no plain recurrent layer (cell: rnn); compress an lstm or a gru")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch means to move it elsewhere
        return torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(model).eval(), {nn.LSTM, nn.GRU, nn.Linear}, dtype=torch.qint8
        )


def quantised(model: LanguageModel) -> tuple[LanguageModel, dict[str, Tensor]]:
    """The model with recurrent and output layers in eight bits, and the tensors that it takes to store it.

    Raises:
        UserError: as :func:`in_eight_bits`.
    """
    int8 = in_eight_bits(model)
    tensors = {"embedding.weight": model.embedding.weight.detach()}
    for name, layer in [*int8.recurrent.named_children(), ("output", int8.output)]:
        weights = {"weight": layer.weight()} if name == "output" else layer.get_weight()
        biases = {"bias": layer.bias()} if name == "output" else layer.get_bias()
        for key, weight in weights.items():
            tensors[f"{name}.{key}"] = weight.int_repr()
            tensors[f"{name}.{key}{SCALE}"] = torch.tensor(weight.q_scale())
        tensors |= {f"{name}.{key}": bias.detach() for key, bias in biases.items()}
    return int8, tensors


def with_integers(
    model: LanguageModel, numbers: Mapping[str, tuple[Tensor, Tensor]]
) -> tuple[LanguageModel, dict[str, Tensor]]:
    """The model with the whole numbers and scales that it was trained with, and the tensors that it takes to store it.

    The embedding is a table: its rows, looked up, are the trained ones in single precision.

    Raises:
        UserError: as :func:`in_eight_bits`.
    """
    int8 = in_eight_bits(model)
    int8.output.set_weight_bias(as_torch_has_it(*numbers["output.weight"]), model.output.bias.detach())
    layers: Any = zip(int8.recurrent, model.recurrent, strict=True)
    for i, (layer, floats) in enumerate(layers):
        biases = [floats.bias_ih_l0.detach(), floats.bias_hh_l0.detach()]
        matrices = [as_torch_has_it(*numbers[f"recurrent.{i}.weight_{kind}_l0"]) for kind in ("ih", "hh")]
        prepacked = [torch.ops.quantized.linear_prepack(*pair) for pair in zip(matrices, biases, strict=True)]
        cell = torch.ops.quantized.make_quantized_cell_params_dynamic(*prepacked, *biases, True)
        layer._all_weight_values[0].param = cell
    tensors = {name: p.detach() for name, p in model.named_parameters() if name not in numbers}
    for name, (q, scale) in numbers.items():
        tensors |= {name: q, name + SCALE: scale}
    return int8, tensors


def rounded(model: LanguageModel, bits: int, scope: str) -> tuple[LanguageModel, dict[str, Tensor]]:
    """The model with every weight matrix rounded to so many bits, as it is; as :func:`with_integers`."""
    model, numbers = copy.deepcopy(model), {}
    for name, weight in prunable(model, list(TENSORS)).items():
        values, scale = quantise(weight, bits, scope)
        weight.copy_(values)
        numbers[name] = (values / scale[:, None]).round().to(torch.int8), scale
    return with_integers(model, numbers)


def as_torch_has_it(q: Tensor, scale: Tensor) -> Tensor:
    """A quantised matrix of torch's from whole numbers and scales, (rows,) or (1,)."""
    if len(scale) == 1:
        return torch._make_per_tensor_quantized_tensor(q, float(scale), 0)
    return torch._make_per_channel_quantized_tensor(q, scale.double(), torch.zeros(len(scale), dtype=torch.long), 0)


@torch.no_grad()
def held_out_loss(model: LanguageModel, streams: Streams, state: State) -> float:
    """The mean loss over the streams' tokens, nats, from ``state`` on, by the model's own output layer."""
    total = 0.0
    for inputs, targets in streams.windows(torch.device("cpu")):
        _, features, state = model(inputs, state)
        logits = model.output(features.flatten(0, 1))
        total += float(functional.cross_entropy(logits, targets.flatten(), reduction="sum").double())
    return total / streams.tokens


@torch.no_grad()
def seconds_per_token(models: list[LanguageModel], words: Tensor, state: State) -> list[float]:
    """Of each model, one token after the other; the least of several passes, taken in turns."""
    times = np.full((REPEATS, len(models)), np.inf)
    for repeat in range(REPEATS):
        for i, model in enumerate(models):
            hidden, begun = state, time.perf_counter()
            for word in words:
                _, features, hidden = model(word.view(1, 1), hidden)
                model.output(features)
            times[repeat, i] = (time.perf_counter() - begun) / len(words)
    return times.min(0).tolist()


def run(args: argparse.Namespace) -> None:
    """Write what each checkpoint costs, on one CPU thread.

    Raises:
        UserError: not as many states as parameters.
    """
    if len(args.parameters) != len(args.state):
        raise UserError(f"--parameters names {len(args.parameters)} files and --state {len(args.state)}; give as many")
    cpu = select_device("cpu", 1)
    rows: list[dict[str, Any]] = []
    for parameters, state_path in zip(args.parameters, args.state, strict=True):
        model, state = checkpoint.load(parameters, state_path, cpu)
        streams = Streams(args.tokens, args.batch, args.window, state["vocabulary"])
        beside = checkpoint.load_beside(parameters, cpu)
        rows += costs(model.eval(), beside, state, streams, args.timed_tokens, args.rounded)
    files.write_json(args.output, {"costs": rows})


@torch.no_grad()
def costs(
    model: LanguageModel,
    beside: Mapping[str, Tensor],
    state: dict[str, Any],
    streams: Streams,
    timed: int,
    roundings: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Loss (nats per token), weights that are not 0, bytes and seconds per token, a row a precision.

    That is single precision and, of an LSTM or GRU, int8; of a model that was trained with quantised weights, these
    alone. Each of ``roundings``, bits and scope, is a row more.
    """
    sparsify = state.get("sparsify", {})
    numbers, bits = integers(model, beside), {}
    if numbers:
        models = {f"int{sparsify['bits']}, trained": with_integers(model, numbers)}
        bits = dict.fromkeys(models, sparsify["bits"])
    else:
        floats = {name: p.detach() for name, p in model.named_parameters()}
        models = {"float32": (model, floats)}
        if model.architecture.cell != "rnn":  # of which torch has no layer of eight bits
            models["int8"] = quantised(model)
    for rounding in roundings:
        by = "" if rounding["scope"] == "channel" else " by tensor"
        name = f"int{rounding['bits']}, rounded{by}"
        models[name], bits[name] = rounded(model, rounding["bits"], rounding["scope"]), rounding["bits"]
    one, many = model.zero_state(1), model.zero_state(streams.batch)
    words = torch.from_numpy(streams.columns[0, :timed].astype(np.int64))
    times = seconds_per_token([each for each, _ in models.values()], words, one)
    of = {key: state[key] for key in ("epoch", "seed")} | {"sparsify": sparsify}
    return [
        of
        | {"precision": precision, "loss": held_out_loss(each, streams, many), "seconds_per_token": seconds}
        | {"nonzero": sum(int(t.count_nonzero()) for t in tensors.values() if t.dim() > 1)}
        | {"bytes": len(safetensors.torch.save(packed(tensors, bits.get(precision, 8))))}
        for seconds, (precision, (each, tensors)) in zip(times, models.items(), strict=True)
    ]
