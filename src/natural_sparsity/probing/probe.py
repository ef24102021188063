"""Sparsity of activations and gradients at checkpoints, averaged over the positions of each word (DESIGN §4, §5)."""

import argparse
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything, select_device, set_precision
from natural_sparsity.model.language_model import LanguageModel, State
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.probing.gather import Gathering
from natural_sparsity.probing.lstm import by_input
from natural_sparsity.probing.measures import choose
from natural_sparsity.probing.settings import Probe, check_conditions
from natural_sparsity.progress import Progress
from natural_sparsity.settings import json_object, read_block
from natural_sparsity.sparsify.method import Place
from natural_sparsity.training.settings import Training
from natural_sparsity.training.step import Observation, Observer, Step
from natural_sparsity.training.train import Checkpoint, load_method, train_epoch


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
    of_training = parser.add_argument_group("for weights: training")
    of_training.add_argument(
        "--from-parameters", type=Path, nargs="*", default=[], help="safetensors of the epoch before each checkpoint"
    )
    of_training.add_argument(
        "--from-state", type=Path, nargs="*", default=[], help="JSON of the epoch before each checkpoint"
    )
    of_training.add_argument("--teacher-parameters", type=Path, help="safetensors of a student's teacher")
    of_training.add_argument("--teacher-state", type=Path, help="JSON of the same")
    of_training.add_argument("--training", type=json_object, default={}, help="JSON, the model's training block")


def probe_window(
    model: LanguageModel, output: OutputLayer, observer: Observer, inputs: Tensor, targets: Tensor, state: State
) -> State:
    """Show one window to the observer.

    Only the recurrent layers are differentiated, with respect to their inputs. The gradient at an output of the last
    layer is the one that the softmax hands down; at those below, it has come back through time within the window.

    Args:
        output: the model's output layer.
        inputs, targets: (steps, batch) word ids.
        state: of the model before the window.

    Returns:
        The state after the window.
    """
    embedded = model.embedding(inputs).detach().requires_grad_()
    with torch.enable_grad():
        outputs, features, next_state = model.layers([embedded], state)
    losses, direct = output.direct_gradient(features.detach().flatten(0, 1), targets.flatten(), observer.see_block)
    gradients = torch.autograd.grad(features, outputs, direct.view_as(features))
    observer.see_window(Observation(inputs, targets, [h.detach() for h in outputs], list(gradients), losses))
    return next_state


def run(args: argparse.Namespace) -> None:
    """Probe each checkpoint in turn; a file is written as soon as its checkpoint is done."""
    check_conditions("probe", args.probe)
    settings = read_block(Probe, args.probe)
    training = read_block(Training, args.training)
    moving = settings.weights == "training"
    options = ["--parameters", "--state", "--output"] + (["--from-parameters", "--from-state"] if moving else [])
    given = [vars(args)[option[2:].replace("-", "_")] for option in options]
    if len(set(map(len, given))) > 1:
        numbers = ", ".join(f"{len(paths)} {option}" for option, paths in zip(options, given, strict=True))
        raise UserError(f"{numbers}: give one of each for every checkpoint")
    device = select_device(args.device, args.threads)
    set_precision((training if moving else settings).matmul_precision)
    for parameters, state_path, output, *before in zip(*given, strict=True):
        at = (parameters, state_path)
        if moving:
            came_from = (before[0], before[1])
            teacher = (args.teacher_parameters, args.teacher_state) if args.teacher_parameters else None
            gathering, state = gather_in_training(args.tokens, settings, training, came_from, at, device, teacher)
        else:
            gathering, state = gather_frozen(args.tokens, settings, at, device)
        table, loss = gathering.table(), float(gathering.loss) / gathering.positions
        if not math.isfinite(loss):
            raise UserError(f"{parameters}: the loss is not finite; the checkpoint cannot be probed")
        metadata = {
            "epoch": state["epoch"],
            "seed": state["seed"],
            "condition": args.condition,
            "measures": settings.measures,
            "loss": loss,
            "positions": gathering.positions,
            "probe": args.probe,
            "checkpoint": state["sha256"],
        }
        files.write_parquet(output, table, metadata)


@torch.no_grad()
def gather_frozen(
    tokens: Path, settings: Probe, at: Checkpoint, device: torch.device
) -> tuple[Gathering, dict[str, Any]]:
    """Probe every position of the stream with the checkpoint's parameters.

    Returns:
        What was gathered, and the checkpoint's state.
    """
    model, state = checkpoint.load(*at, device)
    streams = Streams(tokens, settings.batch, settings.window, state["vocabulary"])
    model.requires_grad_(False).train(settings.dropout)
    model.recurrent.train()  # they have no dropout of their own; cuDNN differentiates only in this mode
    model.recurrent = by_input(model.recurrent)
    seed_everything(state["seed"], state["epoch"], "probe")  # for dropout, if it is on
    gathering = Gathering(model, choose(settings.measures, settings))
    output, hidden = OutputLayer(model.output), model.zero_state(streams.batch)
    progress = Progress(f"probe of epoch {state['epoch']}", streams.tokens)
    for inputs, targets in streams.windows(device):
        hidden = probe_window(model, output, gathering, inputs, targets, hidden)
        progress.advance(targets.numel())
        if progress.due():
            progress.show(float(gathering.loss) / progress.done)
    progress.close()
    return gathering, state


def gather_in_training(
    tokens: Path,
    settings: Probe,
    training: Training,
    before: Checkpoint,
    at: Checkpoint,
    device: torch.device,
    teacher: Checkpoint | None = None,
) -> tuple[Gathering, dict[str, Any]]:
    """Train the checkpoint's epoch again, from the one before, and watch: parameters move, dropout is the training's.

    Returns:
        What was gathered, and the checkpoint's state.

    Raises:
        UserError: the epoch did not end in the checkpoint, bit for bit, so that this is not what it was trained by.
    """
    state = files.read_json(at[1], checkpoint.FIELDS)
    model, past = checkpoint.load(*before, device)
    if (past["epoch"] + 1, past["seed"]) != (state["epoch"], state["seed"]):
        raise UserError(
            f"{before[1]}: epoch {past['epoch']} of seed {past['seed']} is not the one before epoch {state['epoch']} of"
            f" seed {state['seed']} in {at[1]}"
        )
    streams = Streams(tokens, training.batch, training.window, past["vocabulary"])
    gathering = Gathering(model, choose(settings.measures, settings))
    place = Place(state["epoch"], len(streams), streams.tokens, training.batch, teacher)
    method = load_method(state.get("sparsify", {}), model, before[0], place)
    seed_everything(past["seed"], state["epoch"])
    step = Step(model, training, past["learning_rate_out"], streams.batch, gathering, method)
    train_epoch(step, streams, f"training of epoch {state['epoch']}")
    if checkpoint.digest(model, method.tensors) != state["sha256"]:
        where = f"{state['device']}, threads: {state['threads']}, torch {state['versions']['torch']}"
        raise UserError(
            f"{at[0]}: its epoch, trained again, gave other parameters; it was trained on {where}: do as then, with the"
            " same tokens and training block"
        )
    return gathering, state
