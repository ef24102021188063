"""Which units carry the concentration of activations and gradients at a checkpoint, and which of their weights are 0.

At a position, a unit's share of a vector v is |v_u| / ‖v‖₁. The mean over positions of its square is the unit's part in
the concentration: over the units these parts add up to the mean of χ². The mean of |v_u| is its size. A unit of the
embedding is a column of the table, and that column is its incoming weights. A recurrent unit's incoming weights are its
rows in the layer's input and recurrent matrices, for every gate. Outgoing weights are its columns in whatever reads it.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.config.base import read_block
from natural_sparsity.config.probe import Probe
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation.structure import find_reading_gates, read_masks, remove_dead
from natural_sparsity.identity import check_run, check_tokens, name_checkpoint
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import select_device, set_precision
from natural_sparsity.model.output_layer import SoftmaxBlock
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.probing.probe import check_kind, observe_frozen, open_streams
from natural_sparsity.settings import add_expect_option, parse_json_object
from natural_sparsity.training.observation import Observation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the token stream to probe on")
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--probe", type=parse_json_object, required=True, help="JSON, the probe's block")
    parser.add_argument("--condition", default="frozen", help="the block's name, for the output's metadata")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; each takes windows of its own")
    parser.add_argument("--output", type=Path, required=True, help="out: Parquet, a row per tensor and unit")
    add_expect_option(parser)


def run(args: argparse.Namespace) -> None:
    """Gather sizes and parts over every position of the stream, and count weights, unit by unit.

    Raises:
        UserError: a condition whose weights move, so that a unit has no single set of weights.
    """
    settings = read_block(Probe, args.probe, "probe")
    if settings.weights != "frozen":
        raise UserError(f"probe {args.condition}: units need the weights of one checkpoint; give weights: frozen")
    device = select_device(args.device, args.threads)
    torch.set_num_threads(1)  # threads work on different windows, so that their number changes no bit
    set_precision(settings.matmul_precision)
    model, state = checkpoint.load(args.checkpoint, device)
    check_kind(args.checkpoint, state)
    check_run(args.checkpoint, state, args.expect)
    tokens = check_tokens(args.tokens, args.checkpoint, state, settings.split)
    streams = open_streams(args.tokens, settings, args.checkpoint, state)
    weights, sums = count_weights(model), UnitSums(model)
    observe_frozen(model, streams, settings, sums, state, f"units of {name_checkpoint(state)}", args.threads)
    table = sums.table()
    table["layer"] = table["tensor"].str.removeprefix("grad_")
    metadata = {
        **{key: state[key] for key in ("data", "model", "seed", "epoch", "sparsify")},
        "condition": args.condition,
        "probe": args.probe,
        "checkpoint": state["parameters"],
        "tokens": tokens,
    }
    files.write_parquet(args.output, table.merge(weights, on=["layer", "unit"], validate="many_to_one"), metadata)


class UnitSums:
    """An observer that sums over positions, unit by unit, |v_u| and the squared share, in double precision.

    ``positions`` counts all, ``defined`` for each tensor those where v is not 0, which alone have shares; ``loss`` is
    summed over the positions. All are tensors, since a GPU replays recorded work without Python.
    """

    def __init__(self, model: RecurrentModel):
        widths = layer_widths(model)
        layers = ["h_e", *(f"h_{layer}" for layer in range(1, len(widths)))]
        like = model.output.weight.detach().double()
        self.names = [*layers, *(f"grad_{name}" for name in layers)]
        self.sizes, self.parts = ([like.new_zeros(width) for width in (*widths, *widths)] for _ in range(2))
        self.defined = like.new_zeros(len(self.names))
        self.loss, self.positions = like.new_zeros(2)

    def see_block(self, block: SoftmaxBlock) -> None:
        """Ignore the softmax, which has no units of the model's."""

    @torch.no_grad()
    def see_window(self, observation: Observation) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
        """Return the window's losses and its sums of each tensor."""
        sums = []
        for tensor in (*observation.outputs, *observation.gradients):
            magnitudes = tensor.flatten(0, 1).double().abs()
            norms = magnitudes.sum(1, keepdim=True)
            parts = (magnitudes / norms).square().where(norms > 0, 0).sum(0)
            sums.append((magnitudes.sum(0), parts, (norms > 0).sum()))
        return observation.losses.double(), sums

    def add(self, seen: tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]) -> None:
        """Add a window to the sums."""
        losses, sums = seen
        self.positions += len(losses)
        self.loss += losses.sum()
        for i, (sizes, parts, defined) in enumerate(sums):
            self.sizes[i] += sizes
            self.parts[i] += parts
            self.defined[i] += defined

    def table(self) -> pd.DataFrame:
        """Return a row per tensor and unit: ``tensor, unit, size, part``; the part is NaN if v was always 0."""
        tables = []
        for name, size, part, defined in zip(self.names, self.sizes, self.parts, self.defined, strict=True):
            columns = {"size": size / self.positions, "part": part / defined}
            numbers = {key: value.cpu().numpy() for key, value in columns.items()}
            tables.append(pd.DataFrame({"tensor": name, "unit": range(len(size)), **numbers}))
        return pd.concat(tables, ignore_index=True)


def layer_widths(model: RecurrentModel) -> list[int]:
    """Return the number of units of the embedding and of each recurrent layer."""
    return [model.architecture.embedding, *model.architecture.hidden]


def count_weights(model: RecurrentModel) -> pd.DataFrame:
    """Count each unit's incoming and outgoing weights, and those that are not 0: a row per layer and unit.

    Columns: ``layer`` (``h_e``, ``h_1``, …), ``unit``, ``incoming``, ``incoming_kept``, ``outgoing``,
    ``outgoing_kept``. A recurrent unit's weight to itself is on both sides. For LSTMs also what
    :mod:`natural_sparsity.evaluation.structure` counts: ``gates`` (4; 0 for the embedding's units) and ``gates_kept``,
    those that read; ``neuron`` (1) and ``neuron_kept``, 0 for a removed unit. For other cells these are all 0.
    """
    weights: dict[str, Tensor] = {name: p.detach() for name, p in model.named_parameters()}
    widths = layer_widths(model)
    tables = []
    structure = count_structure(model)
    for layer, width in enumerate(widths):
        incoming, outgoing = [weights["embedding.weight"].T], []
        if layer:
            own = [weights[f"recurrent.{layer - 1}.weight_{kind}_l0"] for kind in ("ih", "hh")]
            # The gates' rows lie one gate below the other: (gates, units, columns) to a row per unit.
            incoming = [matrix.view(-1, width, matrix.shape[1]).transpose(0, 1).flatten(1) for matrix in own]
            outgoing = [own[1].T]
        last = layer == len(widths) - 1
        outgoing += [weights["output.weight" if last else f"recurrent.{layer}.weight_ih_l0"].T]
        columns: dict[str, Any] = {"layer": f"h_{layer or 'e'}", "unit": range(width)}
        for side, matrices in (("incoming", incoming), ("outgoing", outgoing)):
            rows = torch.cat(matrices, 1)
            columns |= {side: rows.shape[1], f"{side}_kept": rows.count_nonzero(1).cpu().numpy()}
        for name, total, kept in structure[layer]:
            columns |= {name: total, f"{name}_kept": kept.cpu().numpy()}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def count_structure(model: RecurrentModel) -> list[list[tuple[str, int, Tensor]]]:
    """Return, per layer (embedding first), ``gates`` and ``neuron``: how many a unit has, and how many are left."""
    widths = layer_widths(model)
    if model.architecture.cell != "lstm":
        return [[(name, 0, torch.zeros(width)) for name in ("gates", "neuron")] for width in widths]
    left = remove_dead(read_masks(model, {}, {}))
    reading = find_reading_gates(left, left.neurons)
    gates = [torch.zeros(widths[0]), *(row.view(4, -1).sum(0) for row in reading)]
    neurons = [left.units, *left.neurons]
    return [
        [("gates", 4 if layer else 0, unit_gates), ("neuron", 1, kept.long())]
        for layer, (unit_gates, kept) in enumerate(zip(gates, neurons, strict=True))
    ]
