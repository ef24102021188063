"""What is left of an LSTM: gates that still read something, neurons that are still read, weights (arXiv 1911.05585).

A gate that no weight leads into is constant, activation(bias); a unit that no weight leads out of is removed, with all
the weights that lead into it. To remove one may take the last weight from another, so that this is repeated until
nothing changes; the paper's authors count after one pass, with the gates as they were before it.
"""

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import select_device
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify import sparse_vd
from natural_sparsity.sparsify.gates import CONSTANT, GATES, READING, REMOVED
from natural_sparsity.tasks.classify import PAD, Examples, outcomes
from natural_sparsity.training.train import held_out_loss, opened


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the stream on which gates are watched")
    parser.add_argument("--parameters", type=Path, nargs="+", required=True, help="safetensors, one a checkpoint")
    parser.add_argument("--state", type=Path, nargs="+", required=True, help="JSON, one a checkpoint")
    parser.add_argument("--batch", type=int, default=10, help="streams")
    parser.add_argument("--window", type=int, default=35, help="steps; they bound memory and change nothing")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="out: JSON")


@dataclass(frozen=True)
class Masks:
    """Which weights are kept, and which groups; all boolean.

    ``embedding`` (words, units); of each layer ``into`` (4 · hidden, width) and ``again`` (4 · hidden, hidden);
    ``output`` (classes, hidden). ``words`` and ``units`` are the embedding's rows and columns, ``neurons`` (hidden,)
    and ``gates`` (4 · hidden,) each layer's.
    """

    embedding: Tensor
    into: list[Tensor]
    again: list[Tensor]
    output: Tensor
    words: Tensor
    units: Tensor
    neurons: list[Tensor]
    gates: list[Tensor]

    def matrices(self) -> list[Tensor]:
        """The masks of weights."""
        return [self.embedding, *self.into, *self.again, self.output]

    def kept(self) -> int:
        """Weights that are kept."""
        return sum(int(mask.sum()) for mask in self.matrices())

    def total(self) -> int:
        """Weights in all."""
        return sum(mask.numel() for mask in self.matrices())


def masks_of(model: LanguageModel, beside: dict[str, Tensor], settings: dict[str, Any]) -> Masks:
    """The masks of a checkpoint: those of its variables, where it has some, else what is not 0."""
    own = sparse_vd.kept(beside, settings["threshold"]) if settings.get("method") == "sparse_vd" else {}

    def weights(name: str) -> Tensor:
        mean = beside.get(sparse_vd.MEAN + name, model.get_parameter(name).detach())
        return own.get(name, mean != 0)

    def group(name: str, size: int) -> Tensor:
        return own.get(name, model.output.weight.new_ones(size, dtype=torch.bool))

    widths = dict(enumerate(model.architecture.hidden))
    return Masks(
        weights("embedding.weight"),
        [weights(f"recurrent.{layer}.weight_ih_l0") for layer in widths],
        [weights(f"recurrent.{layer}.weight_hh_l0") for layer in widths],
        weights("output.weight"),
        group(sparse_vd.VOCABULARY, len(model.embedding.weight)),
        group(sparse_vd.EMBEDDING, model.architecture.embedding),
        [group(f"neurons.{layer}", width) for layer, width in widths.items()],
        [group(f"gates.{layer}", 4 * width) for layer, width in widths.items()],
    )


def passed(masks: Masks) -> Masks:
    """One pass: units that nothing reads, or that have nothing to say, are dead; their weights go.

    A word lives if some weight of its embedding does; an embedding unit if some weight leads into it and out of it; a
    neuron if some weight leads out of it, to its own layer or the one above.
    """
    words = masks.words & masks.embedding.any(1)
    units = masks.units & masks.embedding.any(0) & masks.into[0].any(0)
    above = [*masks.into[1:], masks.output]
    triples = zip(masks.neurons, masks.again, above, strict=True)
    neurons = [kept & (again.any(0) | out.any(0)) for kept, again, out in triples]
    rows = [kept.repeat(len(GATES))[:, None] for kept in neurons]
    below = [units, *neurons]
    into = zip(masks.into, rows, below, strict=False)
    return Masks(
        masks.embedding & words[:, None] & units,
        [mask & row & column for mask, row, column in into],
        [mask & row & column for mask, row, column in zip(masks.again, rows, neurons, strict=True)],
        masks.output & neurons[-1],
        words,
        units,
        neurons,
        masks.gates,
    )


def settled(masks: Masks) -> Masks:
    """What is left when passes change nothing any more; weights into a constant gate are gone from the start."""
    masks = replace(
        masks,
        into=[mask & gates[:, None] for mask, gates in zip(masks.into, masks.gates, strict=True)],
        again=[mask & gates[:, None] for mask, gates in zip(masks.again, masks.gates, strict=True)],
        embedding=masks.embedding & masks.words[:, None],
    )
    while True:
        after = passed(masks)
        if after.kept() == masks.kept():
            return after
        masks = after


def reading(masks: Masks, neurons: list[Tensor]) -> list[Tensor]:
    """Of each layer the gates that some kept weight leads into, of those ``neurons`` that are active (4 · hidden,)."""
    parts = zip(masks.into, masks.again, masks.gates, neurons, strict=True)
    return [(into.any(1) | again.any(1)) & gates & active.repeat(len(GATES)) for into, again, gates, active in parts]


@torch.no_grad()
def gate_ranges(model: LanguageModel, streams: Streams | Examples) -> list[tuple[Tensor, Tensor]]:
    """Of each layer the smallest and largest value of every gate over all positions, (4 · hidden,) each."""
    model.eval()
    state = model.zero_state(streams.batch)
    found: list[tuple[Tensor, Tensor]] = []
    for inputs, _ in streams.windows(model.output.weight.device):
        if isinstance(streams, Examples):
            state = model.zero_state(inputs.shape[1])  # of every text its own
        outputs, _, after = model(inputs, state)
        ranges = [gates_of(layer, outputs[i], outputs[i + 1], state[i][0]) for i, layer in enumerate(model.recurrent)]
        if isinstance(streams, Examples):
            ranges = [values[inputs != PAD][None] for values in ranges]  # (1, words of the texts, gates)
        new = [(values.amin((0, 1)), values.amax((0, 1))) for values in ranges]
        old = found or new
        found = [(a.minimum(c), b.maximum(d)) for (a, b), (c, d) in zip(old, new, strict=True)]
        state = after
    return found


def gates_of(layer: nn.Module, inputs: Tensor, outputs: Tensor, first: Tensor) -> Tensor:
    """The gates i, f, g, o (steps, batch, 4 · hidden) that a layer gave ``outputs`` with; its first h was ``first``."""
    assert isinstance(layer, nn.LSTM)
    [[weight_ih, weight_hh, bias_ih, bias_hh]] = layer.all_weights
    before = torch.cat([first, outputs[:-1]])
    preactivation = functional.linear(inputs, weight_ih) + functional.linear(before, weight_hh) + bias_ih + bias_hh
    i, f, g, o = preactivation.chunk(len(GATES), 2)
    return torch.cat([i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()], 2)


def described(
    model: LanguageModel, beside: dict[str, Tensor], state: dict[str, Any], streams: Streams | Examples
) -> dict[str, Any]:
    """The structure of a checkpoint, with the loss on the streams and the range of every gate on them.

    Raises:
        UserError: a gate that should be constant is not.
    """
    first = masks_of(model, beside, state.get("sparsify", {}))
    left, once = settled(first), reading(first, passed(first).neurons)
    gates, ranges = reading(left, left.neurons), gate_ranges(model, streams)
    loss = held_out_loss(model, streams)
    layers = []
    for i, (low, high) in enumerate(ranges):
        status = torch.where(gates[i], READING, torch.where(left.neurons[i].repeat(len(GATES)), CONSTANT, REMOVED))
        moved = torch.nonzero((status == CONSTANT) & (low != high)).flatten().tolist()
        if moved:
            gate, neuron = divmod(moved[0], model.architecture.hidden[i])
            raise UserError(
                f"layer {i + 1}, neuron {neuron}: no weight leads into gate {GATES[gate]}, but it is not constant:"
                f" {float(low[moved[0]])} to {float(high[moved[0]])}"
            )
        by_gate = dict(zip(GATES, status.chunk(len(GATES)), strict=True))
        layers.append(
            {
                "neurons": len(left.neurons[i]),
                "neurons_left": int(left.neurons[i].sum()),
                "reading": {name: int((part == READING).sum()) for name, part in by_gate.items()},
                "constant": {name: int((part == CONSTANT).sum()) for name, part in by_gate.items()},
                "reading_single_pass": int(once[i].sum()),
                "weights_left": {"input": int(left.into[i].sum()), "recurrent": int(left.again[i].sum())},
                "status": {name: part.tolist() for name, part in by_gate.items()},
                "low": {name: part.tolist() for name, part in zip(GATES, low.chunk(len(GATES)), strict=True)},
                "high": {name: part.tolist() for name, part in zip(GATES, high.chunk(len(GATES)), strict=True)},
            }
        )
    return {
        **{key: state[key] for key in ("epoch", "seed", "sha256")},
        "sparsify": state.get("sparsify", {}),
        "loss": loss,
        **scored(model, streams, loss),
        "weights": left.total(),
        "weights_left": left.kept(),
        "compression": left.total() / max(1, left.kept()),
        "words": len(left.words),
        "words_left": int(left.words.sum()),
        "units": len(left.units),
        "units_left": int(left.units.sum()),
        "embedding_left": int(left.embedding.sum()),
        "output_left": int(left.output.sum()),
        "layers": layers,
    }


def scored(model: LanguageModel, streams: Streams | Examples, loss: float) -> dict[str, float]:
    """What is reported of a model: the perplexity of a language model, the accuracy of a classifier."""
    if isinstance(streams, Examples):
        return {"accuracy": outcomes(model, streams)[1]}
    return {"perplexity": math.exp(loss)}


def run(args: argparse.Namespace) -> None:
    """Write the structure of each checkpoint.

    Raises:
        UserError: not as many states as parameters, or a model without LSTMs.
    """
    if len(args.parameters) != len(args.state):
        raise UserError(f"--parameters names {len(args.parameters)} files and --state {len(args.state)}; give as many")
    device = select_device(args.device, args.threads)
    found = []
    for parameters, state_path in zip(args.parameters, args.state, strict=True):
        model, state = checkpoint.load(parameters, state_path, device)
        if model.architecture.cell != "lstm":
            raise UserError(f"{state_path}: its cell is {model.architecture.cell}; only an LSTM's gates are counted")
        streams = opened(args.tokens, args.batch, args.window, state)
        found.append(described(model, checkpoint.load_beside(parameters, device), state, streams))
    files.write_json(args.output, {"structures": found})
