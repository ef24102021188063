"""What folding gains: weights, bytes and time of a sparsified LSTM and of its folded form, measured in one process.

Times are of a CPU, one thread, dense arithmetic; both models take turns, so that what slows one turn down slows both.
The time of the unfolded model is the dense model's, which has the same shapes.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import select_device
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.tasks.classify import Examples
from natural_sparsity.training.train import opened

TOLERANCE = 1e-5
REPEATS = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the split's stream")
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="safetensors, one a checkpoint")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="JSON, one a checkpoint")
    parser.add_argument("--folded-parameters", type=Path, nargs="+", required=True, help="safetensors of each, folded")
    parser.add_argument("--folded-state", type=Path, nargs="+", required=True, help="JSON of each, folded")
    parser.add_argument("--batch", type=int, default=10, help="streams of a window")
    parser.add_argument("--window", type=int, default=35, help="steps of a window")
    parser.add_argument("--timed-tokens", type=int, default=200, help="tokens, one at a time, that are timed")
    parser.add_argument("--output", type=Path, required=True, help="out: JSON")


@torch.no_grad()
def difference(one: LanguageModel, other: LanguageModel, inputs: Tensor) -> float:
    """The largest difference of their logits for ``inputs`` (steps, batch), as a share of the largest logit or of 1."""
    logits = []
    for model in (one, other):
        _, features, _ = model.eval()(inputs, model.zero_state(inputs.shape[1]))
        logits.append(model.output(features))
    return float((logits[0] - logits[1]).abs().max() / logits[0].abs().max().clamp(min=1))


@torch.no_grad()
def in_turns(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[float, float, float]:
    """The least seconds of each, and how many times longer ``one`` takes: the median over turns."""
    times = np.empty((REPEATS, 2))
    for turn in times:
        for i, function in enumerate((one, other)):
            begun = time.perf_counter()
            function()
            turn[i] = time.perf_counter() - begun
    return *times.min(0).tolist(), float(np.median(times[:, 0] / times[:, 1]))


def word_by_word(model: LanguageModel, words: Tensor) -> Callable[[], None]:
    """A pass over ``words``, one after the other, output layer and all."""

    def run() -> None:
        state = model.zero_state(1)
        for word in words:
            _, features, state = model(word.view(1, 1), state)
            model.output(features)

    return run


def recurrence(model: LanguageModel, inputs: Tensor) -> Callable[[], Any]:
    """A pass of embedding and recurrent layers over a window."""
    return lambda: model(inputs, model.zero_state(inputs.shape[1]))


def measured(model: LanguageModel, small: LanguageModel, streams: Streams | Examples, timed: int) -> dict[str, Any]:
    """Weights, bytes (as they are stored, whole) and times of both, and how far apart their logits are.

    Raises:
        UserError: the two do not give the same.
    """
    inputs, _ = next(streams.windows(torch.device("cpu")))
    apart = difference(model, small, inputs)
    if apart > TOLERANCE:
        raise UserError(f"the folded model's logits differ by {apart:g} of the largest; delete it and run again")
    words = (
        inputs.T.flatten()
        if isinstance(streams, Examples)
        else torch.from_numpy(streams.columns[0, :timed].astype(np.int64))
    )
    words = words[:timed]
    whole, folded, speedup = in_turns(word_by_word(model, words), word_by_word(small, words))
    *_, of_recurrence = in_turns(recurrence(model, inputs), recurrence(small, inputs))

    def size(of: LanguageModel) -> dict[str, int]:
        tensors = {name: parameter.detach().contiguous() for name, parameter in of.named_parameters()}
        weights = sum(tensor.numel() for tensor in tensors.values() if tensor.dim() > 1)
        return {"weights": weights, "bytes": len(safetensors.torch.save(tensors))}

    return {
        "difference": apart,
        "whole": {**size(model), "hidden": model.architecture.hidden, "seconds_per_token": whole / len(words)},
        "folded": {**size(small), "hidden": small.architecture.hidden, "seconds_per_token": folded / len(words)},
        "speedup": speedup,
        "speedup_recurrence": of_recurrence,
    }


def run(args: argparse.Namespace) -> None:
    """Write what folding gains, a checkpoint after the other.

    Raises:
        UserError: not as many of one as of the other, or a folded model that is not of its checkpoint.
    """
    given = [args.parameters, args.state, args.folded_parameters, args.folded_state]
    if len(set(map(len, given))) > 1:
        raise UserError(f"{' + '.join(str(len(paths)) for paths in given)} files; give as many of each of the four")
    cpu, found = select_device("cpu", 1), []
    for parameters, state_path, small_parameters, small_state in zip(*given, strict=True):
        model, state = checkpoint.load(parameters, state_path, cpu)
        small, of = checkpoint.load(small_parameters, small_state, cpu)
        if of.get("folded_from") != state["sha256"]:
            raise UserError(f"{small_state}: not folded from {state_path}; delete it and run again")
        streams = opened(args.tokens, args.batch, args.window, state)
        found.append({"seed": state["seed"], **measured(model, small, streams, args.timed_tokens)})
    files.write_json(args.output, {"foldings": found})
