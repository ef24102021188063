"""Which units carry the concentration of activations and gradients at a checkpoint, and which of their weights are 0.

At a position, a unit's share of a vector v is |v_u| / ‖v‖₁. The mean over positions of its square is the unit's part in
the concentration: over the units these parts add up to the mean of χ². The mean of |v_u| is its size. A unit of the
embedding is a column of the table; its incoming weights are that column, those of a recurrent unit its rows in the
layer's input and recurrent matrices, in every gate. The outgoing ones are its columns in whatever reads it.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything, select_device, set_precision
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.model.output_layer import OutputLayer, SoftmaxBlock
from natural_sparsity.probing.probe import probe_window
from natural_sparsity.probing.settings import Probe, check_conditions
from natural_sparsity.progress import Progress
from natural_sparsity.settings import json_object, read_block
from natural_sparsity.sparsify.structure import masks_of, reading, settled
from natural_sparsity.training.step import Observation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the stream to probe on")
    parser.add_argument("--parameters", type=Path, required=True, help="safetensors of the checkpoint")
    parser.add_argument("--state", type=Path, required=True, help="JSON of the same")
    parser.add_argument("--probe", type=json_object, required=True, help="JSON, the configuration's block")
    parser.add_argument("--condition", default="frozen", help="the block's name, for the output's metadata")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="out: Parquet, a row a tensor × unit")


class UnitSums:
    """An observer of windows: sums over positions, unit by unit, of |v_u| and of the squared share; double precision.

    ``positions`` in all, and by tensor those where v is not 0, which alone have shares.
    """

    def __init__(self, model: LanguageModel):
        widths = [model.architecture.embedding, *model.architecture.hidden]
        layers = ["h_e", *(f"h_{layer}" for layer in range(1, len(widths)))]
        like = model.output.weight.detach().double()
        self.names = [*layers, *(f"grad_{name}" for name in layers)]
        self.sizes, self.parts = ([like.new_zeros(width) for width in (*widths, *widths)] for _ in range(2))
        self.defined = like.new_zeros(len(self.names))
        self.positions = 0

    def see_block(self, block: SoftmaxBlock) -> None:
        """The softmax has no units of the model's."""

    @torch.no_grad()
    def see_window(self, observation: Observation) -> None:
        """Add the window to the sums."""
        self.positions += observation.targets.numel()
        for i, tensor in enumerate([*observation.outputs, *observation.gradients]):
            magnitudes = tensor.flatten(0, 1).double().abs()
            norms = magnitudes.sum(1, keepdim=True)
            self.sizes[i] += magnitudes.sum(0)
            self.parts[i] += (magnitudes / norms).square().where(norms > 0, 0).sum(0)
            self.defined[i] += (norms > 0).sum()

    def table(self) -> pd.DataFrame:
        """A row a tensor × unit: ``tensor, unit, size, part``; a part is NaN where v was 0 at every position."""
        tables = []
        for name, size, part, defined in zip(self.names, self.sizes, self.parts, self.defined, strict=True):
            columns = {"size": size / self.positions, "part": part / defined}
            numbers = {key: value.cpu().numpy() for key, value in columns.items()}
            tables.append(pd.DataFrame({"tensor": name, "unit": range(len(size)), **numbers}))
        return pd.concat(tables, ignore_index=True)


def weights_of(model: LanguageModel) -> pd.DataFrame:
    """Of each layer's units, how many weights come in and go out, and how many are not 0.

    ``layer`` (``h_e``, ``h_1``, …), ``unit``, ``incoming``, ``incoming_kept``, ``outgoing``, ``outgoing_kept``. A
    recurrent unit's weight to itself is on both sides. Of LSTMs also what :mod:`natural_sparsity.sparsify.structure`
    counts: ``gates`` (4; 0 of the embedding's units) and ``gates_kept``, those that read; ``neuron`` (1) and
    ``neuron_kept``, 0 of a unit that is removed. Of other cells all of them are 0.
    """
    weights: dict[str, Tensor] = {name: p.detach() for name, p in model.named_parameters()}
    widths = [model.architecture.embedding, *model.architecture.hidden]
    tables = []
    left = structured_units(model)
    for layer, width in enumerate(widths):
        incoming, outgoing = [weights["embedding.weight"].T], []
        if layer:
            own = [weights[f"recurrent.{layer - 1}.weight_{kind}_l0"] for kind in ("ih", "hh")]
            # Rows lie gate under gate: (gates, units, columns) to a row a unit.
            incoming = [matrix.view(-1, width, matrix.shape[1]).transpose(0, 1).flatten(1) for matrix in own]
            outgoing = [own[1].T]
        last = layer == len(widths) - 1
        outgoing += [weights["output.weight" if last else f"recurrent.{layer}.weight_ih_l0"].T]
        columns: dict[str, Any] = {"layer": f"h_{layer or 'e'}", "unit": range(width)}
        for side, matrices in (("incoming", incoming), ("outgoing", outgoing)):
            rows = torch.cat(matrices, 1)
            columns |= {side: rows.shape[1], f"{side}_kept": rows.count_nonzero(1).cpu().numpy()}
        for name, total, kept in left[layer]:
            columns |= {name: total, f"{name}_kept": kept.cpu().numpy()}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def structured_units(model: LanguageModel) -> list[list[tuple[str, int, Tensor]]]:
    """Of the embedding and of each layer: the name, the number, and how many of them each unit has left."""
    widths = [model.architecture.embedding, *model.architecture.hidden]
    if model.architecture.cell != "lstm":
        return [[(name, 0, torch.zeros(width)) for name in ("gates", "neuron")] for width in widths]
    left = settled(masks_of(model, {}, {}))
    gates = [torch.zeros(widths[0]), *(row.view(4, -1).sum(0) for row in reading(left, left.neurons))]
    neurons = [left.units, *left.neurons]
    return [
        [("gates", 4 if layer else 0, of_gates), ("neuron", 1, kept.long())]
        for layer, (of_gates, kept) in enumerate(zip(gates, neurons, strict=True))
    ]


@torch.no_grad()
def run(args: argparse.Namespace) -> None:
    """Gather unit by unit over every position of the stream.

    Raises:
        UserError: a condition whose weights move, in which a unit has no one set of weights.
    """
    check_conditions("probe", args.probe)
    settings = read_block(Probe, args.probe)
    if settings.weights != "frozen":
        raise UserError(f"probe {args.condition}: units are told by the weights of a checkpoint; take weights: frozen")
    device = select_device(args.device, args.threads)
    set_precision(settings.matmul_precision)
    model, state = checkpoint.load(args.parameters, args.state, device)
    weights = weights_of(model)
    streams = Streams(args.tokens, settings.batch, settings.window, state["vocabulary"])
    model.requires_grad_(False).train(settings.dropout)
    model.recurrent.train()  # they have no dropout of their own; cuDNN differentiates only in this mode
    seed_everything(state["seed"], state["epoch"], "probe")
    sums, output, hidden = UnitSums(model), OutputLayer(model.output), model.zero_state(streams.batch)
    progress = Progress(f"units of epoch {state['epoch']}", streams.tokens)
    for inputs, targets in streams.windows(device):
        hidden = probe_window(model, output, sums, inputs, targets, hidden)
        progress.advance(targets.numel())
    progress.close()
    table = sums.table()
    table["layer"] = table["tensor"].str.removeprefix("grad_")
    metadata = {key: state[key] for key in ("epoch", "seed")} | {"sparsify": state.get("sparsify", {})}
    metadata |= {"condition": args.condition, "probe": args.probe, "checkpoint": state["sha256"]}
    files.write_parquet(args.output, table.merge(weights, on=["layer", "unit"], validate="many_to_one"), metadata)
