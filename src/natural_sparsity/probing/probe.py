"""Sparsity of activations and gradients at checkpoints, averaged over the positions of each word."""

import argparse
import math
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from natural_sparsity import files, registry
from natural_sparsity.config.base import read_block
from natural_sparsity.config.probe import Probe
from natural_sparsity.config.training import Training
from natural_sparsity.data.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_run, check_tokens, name_checkpoint
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything, select_device, set_precision
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.probing.gathering import Gathering
from natural_sparsity.probing.lstm import use_input_gradients
from natural_sparsity.probing.measures import choose
from natural_sparsity.probing.windows import probe_windows, replay_windows
from natural_sparsity.progress import Progress
from natural_sparsity.settings import add_expect_option, check_distinct, parse_json_object
from natural_sparsity.training.observation import Observer
from natural_sparsity.training.retrace import Repetition


class LossObserver(Observer, Protocol):
    """An observer that sums the ``loss`` over the positions that it sees, nats."""

    loss: Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--tokens", type=Path, required=True, help=".npy, the token stream to probe on")
    parser.add_argument("--checkpoint", type=Path, nargs="+", required=True, help="folders of the checkpoints")
    parser.add_argument("--probe", type=parse_json_object, required=True, help="JSON, the probe's block")
    parser.add_argument("--condition", default="frozen", help="the block's name, for the outputs' metadata")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads; with frozen weights, each takes windows of its own"
    )
    parser.add_argument(
        "--output",
        type=Path,
        nargs="+",
        required=True,
        help="out: a Parquet file per checkpoint, a row per word, role and tensor",
    )
    parser.add_argument(
        "--named", nargs="+", metavar="NAME", help="which checkpoint each is (init, step64, epoch3), to check"
    )
    add_expect_option(parser)
    moving = parser.add_argument_group("for weights: training")
    moving.add_argument(
        "--from",
        type=Path,
        nargs="*",
        default=[],
        dest="before",
        help="folders of the checkpoints of the epochs before",
    )
    moving.add_argument("--teacher", type=Path, help="folder of the checkpoint that a student learns from")
    moving.add_argument("--training", type=parse_json_object, default={}, help="JSON, the model's training block")


def run(args: argparse.Namespace) -> None:
    """Probe each checkpoint in turn; its file is written as soon as it is done.

    Raises:
        UserError: the numbers of files differ, or a checkpoint cannot be probed.
    """
    settings = read_block(Probe, args.probe, "probe")
    moving = settings.weights == "training"
    training = read_block(Training, args.training, "training") if moving else None
    given = {"--checkpoint": args.checkpoint, "--output": args.output} | ({"--from": args.before} if moving else {})
    named = given | ({"--named": args.named} if args.named else {})
    if len(set(map(len, named.values()))) > 1:
        numbers = ", ".join(f"{len(values)} {option}" for option, values in named.items())
        raise UserError(f"{numbers}: give one of each for every checkpoint")
    check_distinct("--output", args.output)
    device = select_device(args.device, args.threads)
    if not moving:
        torch.set_num_threads(1)  # threads work on different windows, so that their number changes no bit
    set_precision((training or settings).matmul_precision)
    for i, (folder, output, *before) in enumerate(zip(*given.values(), strict=True)):
        state = checkpoint.read_state(folder)
        name = name_checkpoint(state)
        check_kind(folder, state)
        expected = args.expect | ({"checkpoint": args.named[i]} if args.named else {})
        check_run(folder, {**state, "checkpoint": name}, expected)
        tokens = check_tokens(args.tokens, folder, state, settings.split)
        if training:
            gathering = gather_in_training(args.tokens, settings, training, before[0], folder, device, args.teacher)
        else:
            gathering = gather_frozen(args.tokens, settings, folder, device, args.threads)
        loss = float(gathering.loss) / gathering.positions
        if not math.isfinite(loss):
            raise UserError(f"{folder}: the loss is not finite; the checkpoint cannot be probed")
        metadata = {
            **{key: state[key] for key in ("data", "model", "seed", "epoch", "steps", "examples")},
            "checkpoint": name,
            "condition": args.condition,
            "measures": settings.measures,
            "loss": loss,
            "positions": gathering.positions,
            "probe": args.probe,
            "checkpoints": {name: state["parameters"]},
            "vocabulary": state["vocabulary"],
            "tokens": tokens,
        }
        files.write_parquet(output, gathering.table(static=not moving), metadata)


@torch.no_grad()
def gather_frozen(tokens: Path, settings: Probe, folder: Path, device: torch.device, threads: int) -> Gathering:
    """Probe every position of the stream with the checkpoint's parameters as they are."""
    model, state = checkpoint.load(folder, device)
    streams = open_streams(tokens, settings, folder, state)
    gathering = Gathering(model, choose(settings.measures, settings))
    model.recurrent = use_input_gradients(model)
    observe_frozen(model, streams, settings, gathering, state, f"probe of {name_checkpoint(state)}", threads)
    return gathering


def open_streams(tokens: Path, settings: Probe, folder: Path, state: dict[str, Any]) -> Streams:
    """Open the token stream that the checkpoint in ``folder`` is probed on.

    Raises:
        UserError: its kind of data has no words to average over.
    """
    check_kind(folder, state)
    return Streams(tokens, settings.batch, settings.window, state["interface"]["vocabulary"])


def check_kind(folder: Path, state: dict[str, Any]) -> None:
    """Refuse a checkpoint whose kind of data is not probed.

    Raises:
        UserError: a line that names the kind.
    """
    kind = state["kind"]
    if not registry.load(registry.DATA[kind].settings).Settings.probed:
        raise UserError(f"{folder}: its data are of kind {kind}; only models of running text are probed")


def observe_frozen(
    model: RecurrentModel,
    streams: Streams,
    settings: Probe,
    observer: LossObserver,
    state: dict[str, Any],
    label: str,
    threads: int = 1,
) -> None:
    """Show every window of the streams to ``observer``, with parameters that stay as they are.

    ``state`` is the checkpoint's: dropout, if it is on, depends on its seed and epoch alone.
    """
    model.requires_grad_(False).train(settings.dropout)
    model.recurrent.train()  # they have no dropout of their own; cuDNN differentiates only in this mode
    seed_everything(state["seed"], state["epoch"], "probe")
    device, progress = model.output.weight.device, Progress(label, streams.tokens)
    show = replay_windows if device.type == "cuda" else partial(probe_windows, threads=threads)
    for positions in show(model, streams.windows(device), streams.batch, observer):
        progress.advance(positions)
        if progress.due():
            progress.show(float(observer.loss) / progress.done)
    progress.close()


def gather_in_training(
    tokens: Path,
    settings: Probe,
    training: Training,
    before: Path,
    folder: Path,
    device: torch.device,
    teacher: Path | None = None,
) -> Gathering:
    """Repeat the epoch that ended in a checkpoint and observe it: weights move, dropout is the training's.

    Args:
        tokens: the training stream.
        settings: the measures.
        training: as the checkpoint was trained.
        before, folder: the checkpoints before and after the epoch.
        device: where the checkpoint was trained.
        teacher: the checkpoint that a student learns from.

    Raises:
        UserError: as :class:`Repetition` and its ``train``.
    """
    repetition = Repetition(before, folder, tokens, training, device, teacher)
    gathering = Gathering(repetition.model, choose(settings.measures, settings))
    repetition.train(gathering)
    return gathering
