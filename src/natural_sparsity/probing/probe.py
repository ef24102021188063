"""Sparsity of activations and gradients at one checkpoint, averaged over the positions of each word (DESIGN §4, §5)."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything, select_device
from natural_sparsity.model.language_model import LanguageModel, State
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.probing.measures import Norms, norms
from natural_sparsity.progress import Progress
from natural_sparsity.settings import MATMUL_PRECISIONS, json_object, one_of, read_block, some_of

ROLES = ("target", "input")


@dataclass(frozen=True)
class Probe:
    """The probe's conditions: ``batch`` streams, ``window`` steps of backpropagation, ``dropout`` on or off.

    ``measures`` are names of :data:`MEASURES`; ``matmul_precision`` is torch's: highest, high or medium.
    """

    batch: int = 40
    window: int = 35
    dropout: bool = False
    measures: list[str] = some_of("chi")
    matmul_precision: str = one_of(*MATMUL_PRECISIONS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the stream to probe on")
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="safetensors, a file a checkpoint")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="JSON, a file a checkpoint")
    parser.add_argument("--probe", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--condition", default="frozen", help="the block's name, for the outputs' metadata")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--output", type=Path, nargs="+", required=True, help="out: Parquet a checkpoint, a row a word × role × tensor"
    )


def tensor_names(layers: int) -> list[str]:
    """The probed tensors: embedding, recurrent layers, softmax, and the gradients at the same places."""
    activations = ["h_e", *(f"h_{layer}" for layer in range(1, layers + 1)), "x"]
    return activations + [f"grad_{name}" for name in activations]


def probe_window(
    model: LanguageModel, output: OutputLayer, inputs: Tensor, targets: Tensor, state: State
) -> tuple[list[Norms], Tensor, State]:
    """Measure every tensor at every position of one window.

    Only the recurrent layers are differentiated, with respect to their inputs. The softmax's output and the loss's
    gradient by the logits, p − onehot, are never stored: their norms follow from sums over the vocabulary. The gradient
    at an output of the last layer is the one that the softmax hands down; at those below, it has come back through
    time within the window.

    Args:
        output: the model's output layer.
        inputs, targets: (steps, batch) word ids.
        state: of the model before the window.

    Returns:
        The norms in the order of :func:`tensor_names`, each field (steps · batch,), position by position as
        ``inputs.flatten()``; the loss of each position, nats; the state after the window.
    """
    embedded = model.embedding(inputs).detach().requires_grad_()
    with torch.enable_grad():
        outputs, features, next_state = model.layers([embedded], state)
    softmax = output.statistics(features.detach().flatten(0, 1), targets.flatten())
    gradients = torch.autograd.grad(features, outputs, softmax.gradient.view_as(features))
    ones = torch.ones_like(softmax.losses)
    l2 = softmax.square_sum.sqrt()
    x = Norms(l2, ones, l2)  # ‖p‖₁ = 1
    # p − onehot: −(1 − p_t) at the target, p elsewhere, so that ‖·‖₁ = 2(1 − p_t).
    l1, l2 = 2 * softmax.other_sum, (softmax.other_square_sum + softmax.other_sum.square()).sqrt()
    grad_x = Norms(l2 / l1, l1, l2)
    measured = [
        *(norms(h.detach().flatten(0, 1)) for h in outputs),
        x,
        *(norms(g.flatten(0, 1)) for g in gradients),
        grad_x,
    ]
    return measured, softmax.losses, next_state


class WordSums:
    """Sums over the positions of each word, for one role: (vocabulary, tensors, 5) in double precision.

    The five are: positions with a defined χ, Σχ, Σχ², Σ‖·‖₁, Σ‖·‖₂; positions in all are counted beside them.
    """

    def __init__(self, vocabulary: int, tensors: int, device: torch.device):
        self.sums = torch.zeros(vocabulary, tensors * 5, dtype=torch.float64, device=device)
        self.positions = torch.zeros(vocabulary, dtype=torch.float64, device=device)

    def add(self, words: Tensor, values: Tensor) -> None:
        """Add ``values`` (positions, tensors · 5) to the rows of ``words`` (positions,)."""
        self.sums.index_add_(0, words, values)
        self.positions.index_add_(0, words, torch.ones_like(words, dtype=torch.float64))

    def table(self, role: str, names: list[str]) -> pd.DataFrame:
        """The table's rows for this role: words that occurred, tensor by tensor."""
        positions = self.positions.cpu().numpy().astype(np.int64)
        words = np.flatnonzero(positions)
        sums = self.sums.cpu().numpy().reshape(len(positions), len(names), 5)[words]
        defined, chi, chi_square, l1, l2 = np.moveaxis(sums, 2, 0)
        count = np.repeat(positions[words, None], len(names), axis=1)
        with np.errstate(invalid="ignore"):  # a word whose vectors are all zero has no mean χ: NaN
            mean = chi / defined
            variance = np.maximum(chi_square / defined - mean**2, 0)
        return pd.DataFrame(
            {
                "id": np.repeat(words.astype(np.int32), len(names)),
                "role": pd.Categorical([role] * mean.size, categories=ROLES),
                "tensor": pd.Categorical(names * len(words), categories=names),
                "count": count.ravel(),
                "zeros": (count - defined.astype(np.int64)).ravel(),
                "chi_mean": mean.ravel(),
                "chi_variance": variance.ravel(),
                "l1_mean": (l1 / count).ravel(),
                "l2_mean": (l2 / count).ravel(),
            }
        )


def stack(measured: list[Norms]) -> Tensor:
    """What :class:`WordSums` adds: (positions, tensors · 5), double precision."""
    columns = []
    for chi, l1, l2 in measured:
        defined = ~chi.isnan()
        chi = chi.double().nan_to_num(0.0)
        columns += [defined.double(), chi, chi.square(), l1.double(), l2.double()]
    return torch.stack(columns, 1)


def run(args: argparse.Namespace) -> None:
    """Probe each checkpoint in turn; a file is written as soon as its checkpoint is done."""
    settings = read_block(Probe, args.probe)
    numbers = {"--parameters": len(args.parameters), "--state": len(args.state), "--output": len(args.output)}
    if len(set(numbers.values())) > 1:
        given = ", ".join(f"{n} {option}" for option, n in numbers.items())
        raise UserError(f"{given}: give one of each for every checkpoint")
    device = select_device(args.device, args.threads)
    torch.set_float32_matmul_precision(settings.matmul_precision)
    for parameters, state_path, output in zip(args.parameters, args.state, args.output, strict=True):
        model, state = checkpoint.load(parameters, state_path, device)
        streams = Streams(args.tokens, settings.batch, settings.window, state["vocabulary"])
        seed_everything(state["seed"], state["epoch"], "probe")  # for dropout, if it is on
        table, loss = probe_checkpoint(model, streams, settings.dropout, f"probe of epoch {state['epoch']}")
        if not math.isfinite(loss):
            raise UserError(f"{parameters}: the loss is not finite; the checkpoint cannot be probed")
        metadata = {
            "epoch": state["epoch"],
            "seed": state["seed"],
            "condition": args.condition,
            "measures": settings.measures,
            "loss": loss,
            "positions": streams.tokens,
            "probe": args.probe,
            "checkpoint": state["sha256"],
        }
        files.write_parquet(output, table, metadata)


@torch.no_grad()
def probe_checkpoint(model: LanguageModel, streams: Streams, dropout: bool, label: str) -> tuple[pd.DataFrame, float]:
    """Probe every position of the streams; the parameters are frozen.

    Returns:
        The table of both roles, and the mean loss, nats.
    """
    model.requires_grad_(False).train(dropout)
    model.recurrent.train()  # they have no dropout of their own; cuDNN differentiates only in this mode
    device, names = model.output.weight.device, tensor_names(len(model.recurrent))
    sums = {role: WordSums(len(model.output.weight), len(names), device) for role in ROLES}
    loss = torch.zeros((), dtype=torch.float64, device=device)
    output = OutputLayer(model.output)
    hidden = model.zero_state(streams.batch)
    progress = Progress(label, streams.tokens)
    for inputs, targets in streams.windows(device):
        measured, losses, hidden = probe_window(model, output, inputs, targets, hidden)
        values = stack(measured)
        sums["target"].add(targets.flatten(), values)
        sums["input"].add(inputs.flatten(), values)
        loss += losses.double().sum()
        progress.advance(targets.numel())
        if progress.due():
            progress.show(float(loss) / progress.done)
    progress.close()
    table = pd.concat([sums[role].table(role, names) for role in ROLES], ignore_index=True)
    return table, float(loss) / streams.tokens
