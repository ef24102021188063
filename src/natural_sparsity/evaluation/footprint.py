"""The footprint of a language model: size on disk and latency on a CPU, as it is and with weights of eight bits.

On disk a weight matrix is stored as it is or, where that is smaller, as one bit per weight and the nonzero weights.
Eight bits: torch's post-training dynamic quantisation of the recurrent layers and the output layer; embedding and
biases stay in single precision. Exact zeros stay zeros. A model trained with quantised weights is measured with those
alone: its own integers and scales, in torch's layers of eight bits, stored in as many bits as it has. Its control is
the dense model with its weights rounded to the same number of bits and not trained afterwards.
"""

import argparse
import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from natural_sparsity import files
from natural_sparsity.data.base import Split
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation.latency import first_steps, step_by_step, time_in_turns
from natural_sparsity.evaluation.subject import Subject, add_split_arguments, open_subject
from natural_sparsity.methods.masks import TENSORS, prunable
from natural_sparsity.methods.qat import integers, quantise
from natural_sparsity.model.device import select_device
from natural_sparsity.model.recurrent import RecurrentModel, State
from natural_sparsity.settings import parse_json_object, parse_positive

# Parts of a stored tensor: which weights are not 0; the values, of these or of all; their bits and number; the shape.
BITS, VALUES, WIDTH, SHAPE = ".bits", ".values", ".width", ".shape"
SCALE = ".scale"
REPEATS = 5
Stored = tuple[RecurrentModel, dict[str, Tensor]]  # a model, and the tensors that it takes to store it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_split_arguments(parser)
    parser.add_argument("--timed-tokens", type=parse_positive, default=200, help="tokens that are timed, one at a time")
    parser.add_argument(
        "--rounded",
        type=parse_json_object,
        nargs="*",
        default=[],
        help="JSON, bits and scope: measure the model with weights rounded so, too",
    )


def run(args: argparse.Namespace) -> None:
    """Write the footprint of a checkpoint, on one CPU thread.

    Raises:
        UserError: a model of other data than running text.
    """
    subject = open_subject(args.checkpoint, select_device("cpu", 1), args.expect)
    check_kind(subject)
    split = subject.open_test(args.test, args.batch, args.window)
    rows = measure_footprints(subject, split, args.timed_tokens, args.rounded)
    files.write_json(args.output, subject.identify() | {"footprints": rows})


def check_kind(subject: Subject) -> None:
    """Refuse a model that does not read running text, token by token.

    Raises:
        UserError: a line that names the kind of its data.
    """
    if subject.model.embedding is None or not subject.data.carries_state:
        raise UserError(
            f"{subject.folder}: its data are of kind {subject.state['kind']}; footprint takes models of running text,"
            " which read token by token"
        )


@torch.no_grad()
def measure_footprints(
    subject: Subject, split: Split, timed: int, roundings: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return loss (nats per token), nonzero weights, bytes and seconds per token: a row per precision.

    Precisions are single precision and, of an LSTM or GRU, int8; of a model trained with quantised weights, these
    alone. Each of ``roundings``, bits and scope, adds a row.
    """
    model, sparsify = subject.model.eval(), subject.state["sparsify"]
    numbers = integers(model, subject.tensors)
    bits: dict[str, int] = {}
    if numbers:
        models = {f"int{sparsify['bits']}, trained": use_integers(model, numbers)}
        bits = dict.fromkeys(models, sparsify["bits"])
    else:
        models = {"float32": (model, {name: p.detach() for name, p in model.named_parameters()})}
        if model.architecture.cell != "rnn":  # torch has no layer of eight bits for it
            models["int8"] = quantise_dynamically(model)
    for rounding in roundings:
        scope = "" if rounding["scope"] == "channel" else " by tensor"
        name = f"int{rounding['bits']}, rounded{scope}"
        models[name], bits[name] = round_weights(model, rounding["bits"], rounding["scope"]), rounding["bits"]
    steps = first_steps(split, timed)
    one, many = model.zero_state(1), model.zero_state(split.batch)
    times = time_in_turns([step_by_step(each, steps, one) for each, _ in models.values()], REPEATS)
    return [
        {
            "precision": precision,
            "loss": measure_loss(each, split, many),
            "nonzero": sum(int(t.count_nonzero()) for t in tensors.values() if t.dim() > 1),
            "bytes": len(safetensors.torch.save(pack(tensors, bits.get(precision, 8)))),
            "seconds_per_token": float(seconds / len(steps)),
        }
        for seconds, (precision, (each, tensors)) in zip(times.min(0), models.items(), strict=True)
    ]


@torch.no_grad()
def measure_loss(model: RecurrentModel, split: Split, state: State) -> float:
    """Return the mean loss over the split, nats, from ``state`` on.

    It uses the model's own output layer, since torch's eight-bit layer has no weight matrix for the fused softmax.
    """
    total = 0.0
    for batch in split.batches(torch.device("cpu")):
        _, features, state = model(batch.inputs, state)
        logits = model.output(features.flatten(0, 1))
        total += float(functional.cross_entropy(logits, batch.targets.flatten(), reduction="sum").double())
    return total / split.examples


def pack(tensors: Mapping[str, Tensor], bits: int = 8) -> dict[str, Tensor]:
    """Return the tensors as they are stored: each matrix as bits and values where that takes fewer bytes.

    ``bits`` is how many an integer (int8) needs; with fewer than eight, matrices of integers take fewer.
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
        stored[name + VALUES] = pack_integers(values, bits) if narrow else values
        stored[name + SHAPE] = torch.tensor(tensor.shape)
    return stored


def pack_integers(values: Tensor, bits: int) -> Tensor:
    """Return integers (n,) of int8 as their lowest ``bits`` bits, one number after the other, in bytes."""
    places = np.arange(bits - 1, -1, -1, dtype=np.uint8)
    return torch.from_numpy(np.packbits(values.numpy().view(np.uint8)[:, None] >> places & 1))


def to_eight_bits(model: RecurrentModel) -> Any:
    """Return the model with recurrent and output layers of torch's dynamic quantisation, one scale per matrix.

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


def quantise_dynamically(model: RecurrentModel) -> Stored:
    """Return the model with recurrent and output layers in eight bits, and the tensors that it takes to store it.

    Raises:
        UserError: as :func:`to_eight_bits`.
    """
    int8 = to_eight_bits(model)
    tensors = {"embedding.weight": model.get_parameter("embedding.weight").detach()}
    for name, layer in [*int8.recurrent.named_children(), ("output", int8.output)]:
        weights = {"weight": layer.weight()} if name == "output" else layer.get_weight()
        biases = {"bias": layer.bias()} if name == "output" else layer.get_bias()
        for key, weight in weights.items():
            tensors[f"{name}.{key}"] = weight.int_repr()
            tensors[f"{name}.{key}{SCALE}"] = torch.tensor(weight.q_scale())
        tensors |= {f"{name}.{key}": bias.detach() for key, bias in biases.items()}
    return int8, tensors


def use_integers(model: RecurrentModel, numbers: Mapping[str, tuple[Tensor, Tensor]]) -> Stored:
    """Return the model with the given integers and scales, and the tensors that it takes to store it.

    ``numbers``: q and s of each weight matrix by name, as :func:`natural_sparsity.methods.qat.integers` gives them. The
    embedding is a table: its rows, looked up, are the trained ones in single precision.

    Raises:
        UserError: as :func:`to_eight_bits`.
    """
    int8 = to_eight_bits(model)
    int8.output.set_weight_bias(to_torch_matrix(*numbers["output.weight"]), model.output.bias.detach())
    layers: Any = zip(int8.recurrent, model.recurrent, strict=True)
    for i, (layer, floats) in enumerate(layers):
        biases = [floats.bias_ih_l0.detach(), floats.bias_hh_l0.detach()]
        matrices = [to_torch_matrix(*numbers[f"recurrent.{i}.weight_{kind}_l0"]) for kind in ("ih", "hh")]
        prepacked = [torch.ops.quantized.linear_prepack(*pair) for pair in zip(matrices, biases, strict=True)]
        cell = torch.ops.quantized.make_quantized_cell_params_dynamic(*prepacked, *biases, True)
        layer._all_weight_values[0].param = cell
    tensors = {name: p.detach() for name, p in model.named_parameters() if name not in numbers}
    for name, (q, scale) in numbers.items():
        tensors |= {name: q, name + SCALE: scale}
    return int8, tensors


def round_weights(model: RecurrentModel, bits: int, scope: str) -> Stored:
    """Return the model with every weight matrix rounded to so many bits, untrained; as :func:`use_integers`."""
    model, numbers = copy.deepcopy(model), {}
    for name, weight in prunable(model, list(TENSORS)).items():
        values, scale = quantise(weight, bits, scope)
        weight.copy_(values)
        numbers[name] = (values / scale[:, None]).round().to(torch.int8), scale
    return use_integers(model, numbers)


def to_torch_matrix(q: Tensor, scale: Tensor) -> Tensor:
    """Return torch's quantised matrix of integers and scales, (rows,) or (1,)."""
    if len(scale) == 1:
        return torch._make_per_tensor_quantized_tensor(q, float(scale), 0)
    return torch._make_per_channel_quantized_tensor(q, scale.double(), torch.zeros(len(scale), dtype=torch.long), 0)
