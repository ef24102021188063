"""What a checkpoint costs: its size on disk and its latency on a CPU, as it is and with weights in eight bits.

On disk a weight matrix is stored as it is or, where that is smaller, as a bit a weight and the weights that are not 0.
Eight bits: post-training dynamic quantisation by torch, of the recurrent layers and the output layer; embedding and
biases stay in single precision. Exact zeros stay zeros.
"""

import argparse
import copy
import math
import time
import warnings
from collections.abc import Mapping
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

BITS, VALUES, SHAPE, SCALE = ".bits", ".values", ".shape", ".scale"
REPEATS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the split's stream")
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="safetensors, one a checkpoint")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="JSON, one a checkpoint")
    parser.add_argument("--batch", type=int, default=10, help="streams")
    parser.add_argument("--window", type=int, default=35, help="steps; they bound memory and change nothing")
    parser.add_argument("--timed-tokens", type=int, default=200, help="tokens, one at a time, that are timed")
    parser.add_argument("--output", type=Path, required=True, help="out: JSON")


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they are stored: each matrix as bits and values where that takes fewer bytes."""
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kept = tensor != 0
        sparse = math.ceil(tensor.numel() / 8) + int(kept.sum()) * tensor.element_size()
        if tensor.dim() < 2 or sparse >= tensor.numel() * tensor.element_size():
            stored[name] = tensor.contiguous()
            continue
        stored[name + BITS] = torch.from_numpy(np.packbits(kept.numpy()))
        stored[name + VALUES] = tensor[kept]
        stored[name + SHAPE] = torch.tensor(tensor.shape)
    return stored


def unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What :func:`packed` was given, bit for bit (a zero of either sign as 0)."""
    tensors = {name: tensor for name, tensor in stored.items() if not name.endswith((BITS, VALUES, SHAPE))}
    for name in [name.removesuffix(BITS) for name in stored if name.endswith(BITS)]:
        shape = stored[name + SHAPE].tolist()
        kept = torch.from_numpy(np.unpackbits(stored[name + BITS].numpy(), count=math.prod(shape)).astype(bool))
        flat = torch.zeros(math.prod(shape), dtype=stored[name + VALUES].dtype)
        flat[kept] = stored[name + VALUES]
        tensors[name] = flat.view(shape)
    return tensors


def quantised(model: LanguageModel) -> tuple[LanguageModel, dict[str, Tensor]]:
    """The model with recurrent and output layers in eight bits, and the tensors that it takes to store it.

    Raises:
        UserError: a layer that torch has no eight-bit form of: Elman's.
    """
    if model.architecture.cell == "rnn":
        raise UserError("torch quantises no plain recurrent layer (cell: rnn); compress an lstm or a gru")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch means to move it elsewhere
        int8 = torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(model).eval(), {nn.LSTM, nn.GRU, nn.Linear}, dtype=torch.qint8
        )
        tensors = {"embedding.weight": model.embedding.weight.detach()}
        for name, layer in [*int8.recurrent.named_children(), ("output", int8.output)]:
            weights = {"weight": layer.weight()} if name == "output" else layer.get_weight()
            biases = {"bias": layer.bias()} if name == "output" else layer.get_bias()
            for key, weight in weights.items():
                tensors[f"{name}.{key}"] = weight.int_repr()
                tensors[f"{name}.{key}{SCALE}"] = torch.tensor(weight.q_scale())
            tensors |= {f"{name}.{key}": bias.detach() for key, bias in biases.items()}
    return int8, tensors


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
        UserError: not as many states as parameters, or a cell that cannot be quantised.
    """
    if len(args.parameters) != len(args.state):
        raise UserError(f"--parameters names {len(args.parameters)} files and --state {len(args.state)}; give as many")
    cpu = select_device("cpu", 1)
    rows: list[dict[str, Any]] = []
    for parameters, state_path in zip(args.parameters, args.state, strict=True):
        model, state = checkpoint.load(parameters, state_path, cpu)
        streams = Streams(args.tokens, args.batch, args.window, state["vocabulary"])
        rows += costs(model.eval(), state, streams, args.timed_tokens)
    files.write_json(args.output, {"costs": rows})


def costs(model: LanguageModel, state: dict[str, Any], streams: Streams, timed: int) -> list[dict[str, Any]]:
    """Loss (nats per token), weights that are not 0, bytes and seconds per token, in single precision and in int8."""
    int8, in_int8 = quantised(model)
    models = {"float32": (model, {name: p.detach() for name, p in model.named_parameters()}), "int8": (int8, in_int8)}
    one, many = model.zero_state(1), model.zero_state(streams.batch)
    words = torch.from_numpy(streams.columns[0, :timed].astype(np.int64))
    times = seconds_per_token([each for each, _ in models.values()], words, one)
    of = {key: state[key] for key in ("epoch", "seed")} | {"sparsify": state.get("sparsify", {})}
    return [
        of
        | {"precision": precision, "loss": held_out_loss(each, streams, many), "seconds_per_token": seconds}
        | {"nonzero": sum(int(t.count_nonzero()) for t in tensors.values() if t.dim() > 1)}
        | {"bytes": len(safetensors.torch.save(packed(tensors)))}
        for seconds, (precision, (each, tensors)) in zip(times, models.items(), strict=True)
    ]
