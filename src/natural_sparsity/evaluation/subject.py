"""The checkpoint that a command evaluates, opened with the data that it was trained on."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from natural_sparsity.data import held_out
from natural_sparsity.data.base import Data, Split, open_data
from natural_sparsity.errors import UserError
from natural_sparsity.identity import check_run, check_tokens
from natural_sparsity.model import checkpoint
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.settings import add_expect_option, parse_positive


class Subject(NamedTuple):
    """A checkpoint: its ``folder``, ``model`` and ``state``, the method's ``tensors`` by name, and the kind of data."""

    folder: Path
    model: RecurrentModel
    state: dict[str, Any]
    tensors: dict[str, Tensor]
    data: Data

    def open_split(self, name: str, path: Path | None, batch: int, window: int) -> Split:
        """Open the held-out split called ``name``, dev or test; ``path`` is its file, where the data have files."""
        check_tokens(path, self.folder, self.state, name)
        return self.data.split(name, path, batch, window, self.model.interface)

    def identify(self) -> dict[str, Any]:
        """Return the fields that every evaluation begins with: which checkpoint of which run it is."""
        fields = {key: self.state[key] for key in ("data", "model", "seed", "epoch", "kind", "sparsify")}
        return fields | {"cell": self.model.architecture.cell, "checkpoint": self.state["parameters"]}

    def score(self, split: Split) -> dict[str, Any]:
        """Return the held-out loss, and the score with what it measures and how to print it."""
        loss, score = held_out.evaluate(self.model, self.data, split)
        measure = self.data.measure
        return {
            "loss": loss,
            "measure": measure.name,
            "score": score,
            "digits": measure.digits,
            "higher_is_better": measure.higher_is_better,
        }


def open_subject(folder: Path, device: torch.device, expected: Mapping[str, Any]) -> Subject:
    """Load the checkpoint in ``folder``, which must be of the run and epoch ``expected``.

    Raises:
        UserError: a file is missing or damaged, or is of another run or epoch.
    """
    model, state = checkpoint.load(folder, device)
    check_run(folder, state, expected)
    tensors = checkpoint.load_tensors(folder, device)
    return Subject(folder, model, state, tensors, open_data(state["kind"], state["block"]))


def require_lstm(subject: Subject, purpose: str) -> None:
    """Refuse a model of other cells than LSTMs.

    Raises:
        UserError: a line that names the cell and the ``purpose``.
    """
    cell = subject.model.architecture.cell
    if cell != "lstm":
        raise UserError(f"{subject.folder}: its cell is {cell}; only an LSTM {purpose}")


def add_split_arguments(parser: argparse.ArgumentParser, split: str = "test") -> None:
    """Declare the checkpoint and the held-out split that it is evaluated on."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument(f"--{split}", type=Path, help=f".npy, the {split} split of data that have files")
    parser.add_argument("--batch", type=parse_positive, default=10, help="streams, or examples, at a time")
    parser.add_argument("--window", type=parse_positive, default=35, help="steps of text at a time; bounds memory only")
    parser.add_argument("--output", type=Path, required=True, help="out: JSON")
    add_expect_option(parser)


def add_device_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare where to compute."""
    parser.add_argument("--device", default=default, help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=parse_positive, default=1, help="CPU threads")
