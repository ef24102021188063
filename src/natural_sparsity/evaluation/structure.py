"""What an LSTM has left: gates that still read something, neurons that are still read, weights (arXiv 1911.05585).

A gate that no weight leads into is constant, activation(bias). A unit that no weight leads out of is removed, with all
weights that lead into it. Removing one may take the last weight from another, so this is repeated until nothing
changes. The paper's authors count after one pass, with the gates as they were before it; weights into a gate whose own
variable is dropped count in theirs as left, here they do not.
"""

import argparse
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from natural_sparsity import files
from natural_sparsity.data.base import Data, Split
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation.subject import (
    Subject,
    add_device_arguments,
    add_split_arguments,
    open_subject,
    require_lstm,
)
from natural_sparsity.methods.base import kept_masks
from natural_sparsity.model.device import select_device
from natural_sparsity.model.gates import CONSTANT, GATES, READING, REMOVED
from natural_sparsity.model.recurrent import RecurrentModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_split_arguments(parser)
    add_device_arguments(parser, default="cpu")


def run(args: argparse.Namespace) -> None:
    """Write the structure of a checkpoint.

    Raises:
        UserError: a model of other cells.
    """
    device = select_device(args.device, args.threads)
    subject = open_subject(args.checkpoint, device, args.expect)
    require_lstm(subject, "has gates to count")
    files.write_json(
        args.output, measure_structure(subject, subject.open_split("test", args.test, args.batch, args.window))
    )


@dataclass(frozen=True)
class Masks:
    """Which weights are kept, and which groups of weights; all boolean.

    Weights: ``embedding`` (words, units); ``initial`` (neurons of the first layer, width of the start); of each layer
    ``input`` (4 · neurons, width) and ``recurrent`` (4 · neurons, neurons); ``output`` (outputs, neurons). Without a
    vocabulary the embedding has no words, and its units are the data's inputs. Without a start, ``initial`` has no
    columns.

    Groups: ``words`` and ``units`` of the embedding; of each layer ``neurons`` (neurons,) and ``gates`` (4 · neurons,).
    """

    embedding: Tensor
    initial: Tensor
    input: list[Tensor]
    recurrent: list[Tensor]
    output: Tensor
    words: Tensor
    units: Tensor
    neurons: list[Tensor]
    gates: list[Tensor]

    def list_weights(self) -> list[Tensor]:
        """Return the masks of weights."""
        return [self.embedding, self.initial, *self.input, *self.recurrent, self.output]

    def count_kept(self) -> int:
        """Count the weights that are kept."""
        return sum(int(mask.sum()) for mask in self.list_weights())

    def count_all(self) -> int:
        """Count all weights."""
        return sum(mask.numel() for mask in self.list_weights())


def read_masks(model: RecurrentModel, tensors: dict[str, Tensor], settings: dict[str, Any]) -> Masks:
    """Return the masks of a checkpoint: its method's own where it has some, else which weights are not 0."""
    own, parameters = kept_masks(settings, tensors), dict(model.named_parameters())

    def ones(*shape: int) -> Tensor:
        return model.output.weight.new_ones(*shape, dtype=torch.bool)

    def weights(name: str, *shape: int) -> Tensor:
        return own.get(name, parameters[name].detach() != 0) if name in parameters else ones(*shape)

    def group(name: str, size: int) -> Tensor:
        return own.get(name, ones(size))

    widths = dict(enumerate(model.architecture.hidden))
    units = model.interface.inputs if model.embedding is None else model.architecture.embedding
    words = 0 if model.embedding is None else len(model.embedding.weight)
    return Masks(
        weights("embedding.weight", 0, units),
        weights("initial.weight", widths[0], 0),
        [weights(f"recurrent.{layer}.weight_ih_l0") for layer in widths],
        [weights(f"recurrent.{layer}.weight_hh_l0") for layer in widths],
        weights("output.weight"),
        group("vocabulary", words),
        group("neurons.embedding", units),
        [group(f"neurons.{layer}", width) for layer, width in widths.items()],
        [group(f"gates.{layer}", len(GATES) * width) for layer, width in widths.items()],
    )


def remove_dead(masks: Masks) -> Masks:
    """Return what is left once a pass changes nothing; weights into a dropped gate are removed first."""
    masks = replace(
        masks,
        input=[mask & gates[:, None] for mask, gates in zip(masks.input, masks.gates, strict=True)],
        recurrent=[mask & gates[:, None] for mask, gates in zip(masks.recurrent, masks.gates, strict=True)],
        embedding=masks.embedding & masks.words[:, None],
    )
    while True:
        after = remove_dead_once(masks)
        if after.count_kept() == masks.count_kept():
            return after
        masks = after


def remove_dead_once(masks: Masks) -> Masks:
    """Remove, in one pass, the units that nothing reads or that read nothing, with their weights.

    A word lives if some weight of its embedding does; an embedding unit if some weight leads into it and out of it; a
    neuron if some weight leads out of it, to its own layer or the one above. The inputs of data without a vocabulary
    are given, so they all live.
    """
    words, units = masks.words & masks.embedding.any(1), masks.units
    if len(words):
        units = units & masks.embedding.any(0) & masks.input[0].any(0)
    above = [*masks.input[1:], masks.output]
    triples = zip(masks.neurons, masks.recurrent, above, strict=True)
    neurons = [kept & (recurrent.any(0) | out.any(0)) for kept, recurrent, out in triples]
    rows = [kept.repeat(len(GATES))[:, None] for kept in neurons]
    below = [units, *neurons]
    triples = zip(masks.input, rows, below, strict=False)
    return Masks(
        masks.embedding & words[:, None] & units,
        masks.initial & neurons[0][:, None],
        [mask & row & column for mask, row, column in triples],
        [mask & row & column for mask, row, column in zip(masks.recurrent, rows, neurons, strict=True)],
        masks.output & neurons[-1],
        words,
        units,
        neurons,
        masks.gates,
    )


def find_reading_gates(masks: Masks, neurons: list[Tensor]) -> list[Tensor]:
    """Return, for each layer, which gates (4 · neurons,) of the living ``neurons`` some kept weight leads into."""
    parts = zip(masks.input, masks.recurrent, masks.gates, neurons, strict=True)
    return [
        (inputs.any(1) | recurrent.any(1)) & gates & living.repeat(len(GATES))
        for inputs, recurrent, gates, living in parts
    ]


@torch.no_grad()
def measure_gate_ranges(model: RecurrentModel, data: Data, split: Split) -> list[tuple[Tensor, Tensor]]:
    """Return, for each layer, the least and the greatest value of every gate over the split, (4 · neurons,) each."""
    model.eval()
    state = model.zero_state(split.batch)
    ranges: list[tuple[Tensor, Tensor]] = []
    for batch in split.batches(model.output.weight.device):
        if not data.carries_state:
            state = model.initial_state(batch.inputs.shape[1], batch.start)
        outputs, _, after = model(batch.inputs, state)
        gates = [
            compute_gates(layer, outputs[i], outputs[i + 1], state[i][0]) for i, layer in enumerate(model.recurrent)
        ]
        # In padding, where nothing is read, gates would still move.
        read = data.mask_padding(batch.inputs)
        gates = [values[read][None] for values in gates]
        new = [(values.amin((0, 1)), values.amax((0, 1))) for values in gates]
        pairs = zip(ranges or new, new, strict=True)
        ranges = [(low.minimum(a), high.maximum(b)) for (low, high), (a, b) in pairs]
        state = after
    return ranges


def compute_gates(layer: nn.Module, inputs: Tensor, outputs: Tensor, first: Tensor) -> Tensor:
    """Return the gates i, f, g, o (steps, batch, 4 · neurons) with which a layer gave ``outputs`` from ``inputs``.

    ``first`` is its hidden state before the first step, (1, batch, neurons).
    """
    assert isinstance(layer, nn.LSTM)
    [[weight_ih, weight_hh, bias_ih, bias_hh]] = layer.all_weights
    before = torch.cat([first, outputs[:-1]])
    preactivation = functional.linear(inputs, weight_ih) + functional.linear(before, weight_hh) + bias_ih + bias_hh
    i, f, g, o = preactivation.chunk(len(GATES), 2)
    return torch.cat([i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()], 2)


def measure_structure(subject: Subject, split: Split) -> dict[str, Any]:
    """Return the structure of a checkpoint, with the score on the split and the range of every gate there.

    Raises:
        UserError: a gate that should be constant is not.
    """
    model = subject.model
    masks = read_masks(model, subject.tensors, subject.state["sparsify"])
    left = remove_dead(masks)
    once = remove_dead_once(masks)
    single_pass = find_reading_gates(masks, once.neurons)
    ranges = measure_gate_ranges(model, subject.data, split)
    scores = subject.score(split)
    layers = [
        describe_layer(number, left, gates, once, *bounds)
        for number, (gates, once, bounds) in enumerate(
            zip(find_reading_gates(left, left.neurons), single_pass, ranges, strict=True)
        )
    ]
    return {
        **subject.identify(),
        **scores,
        "weights": left.count_all(),
        "weights_left": left.count_kept(),
        "compression": left.count_all() / max(1, left.count_kept()),
        "compression_single_pass": once.count_all() / max(1, once.count_kept()),
        "words": len(left.words),
        "words_left": int(left.words.sum()),
        "units": len(left.units),
        "units_left": int(left.units.sum()),
        "embedding_left": int(left.embedding.sum()) + int(left.initial.sum()),
        "output_left": int(left.output.sum()),
        "layers": layers,
    }


def describe_layer(
    number: int, left: Masks, reading: Tensor, single_pass: Tensor, low: Tensor, high: Tensor
) -> dict[str, Any]:
    """Return what is ``left`` of layer ``number``, counted from 0, and the status and range of each of its gates.

    Args:
        number: of the layer.
        left: of the whole model.
        reading: the gates that read something, (4 · neurons,).
        single_pass: the same, as the paper's authors count.
        low, high: the range of each gate, (4 · neurons,).

    Raises:
        UserError: a gate that should be constant is not.
    """
    neurons = left.neurons[number]
    status = torch.where(reading, READING, torch.where(neurons.repeat(len(GATES)), CONSTANT, REMOVED))
    moving = torch.nonzero((status == CONSTANT) & (low != high)).flatten().tolist()
    if moving:
        gate, neuron = divmod(moving[0], len(neurons))
        raise UserError(
            f"layer {number + 1}, neuron {neuron}: no weight leads into gate {GATES[gate]}, but it is not constant:"
            f" {float(low[moving[0]])} to {float(high[moving[0]])}"
        )
    by_gate = split_gates(status)
    return {
        "neurons": len(neurons),
        "neurons_left": int(neurons.sum()),
        "reading": {name: int((part == READING).sum()) for name, part in by_gate.items()},
        "constant": {name: int((part == CONSTANT).sum()) for name, part in by_gate.items()},
        "reading_single_pass": int(single_pass.sum()),
        "weights_left": {
            "input": int(left.input[number].sum()),
            "recurrent": int(left.recurrent[number].sum()),
        },
        "status": {name: part.tolist() for name, part in by_gate.items()},
        "low": {name: part.tolist() for name, part in split_gates(low).items()},
        "high": {name: part.tolist() for name, part in split_gates(high).items()},
    }


def split_gates(values: Tensor) -> dict[str, Tensor]:
    """Split (4 · neurons,) by gate."""
    return dict(zip(GATES, values.chunk(len(GATES)), strict=True))
