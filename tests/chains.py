"""Chains of checkpoints on disk, of every kind of data, made by the commands themselves.

Any test can import this module: pytest puts the folder of ``tests/conftest.py`` on the path.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from natural_sparsity import files
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.training import Training
from natural_sparsity.corpus.labelled import PAD
from natural_sparsity.data.base import Batch, Data, open_data
from natural_sparsity.evaluation import evaluate
from natural_sparsity.methods import start
from natural_sparsity.methods.base import Method, Place
from natural_sparsity.model import checkpoint, tuning
from natural_sparsity.model.recurrent import Interface, RecurrentModel
from natural_sparsity.model.tuning import Blocks, Tuning
from natural_sparsity.training import initialise, train
from natural_sparsity.training.steps import Step, make_step

CPU = torch.device("cpu")
VOCABULARY, CLASSES, LENGTH = 60, 3, 9
TENSORS = ["embedding", "input", "recurrent", "output"]
TICKET = {"method": "iterative", "scope": "layer", "tensors": TENSORS, "role": "ticket", "density": 0.5}
SGD = {"batch": 8, "window": 7, "learning_rate": 20.0}
ADAM = {"batch": 8, "optimizer": "adam", "learning_rate": 0.001, "clip": 1.0}
ELMAN = {"hidden": [12], "cell": "rnn", "activation": "relu", "dropout": 0.0}
# By kind of data: the block that a checkpoint keeps of the data's settings, the architecture, the training.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "text": ({}, {"embedding": 6, "hidden": [5, 7], "dropout": 0.3}, SGD),
    "classification": (
        {"classes": CLASSES},
        {"embedding": 6, "hidden": [5, 7], "dropout": 0.0},
        {**ADAM, "learning_rate": 0.02},
    ),
    "addition": ({"kind": "addition", "steps": 6, "seed": 1, "held_out": 150}, ELMAN, {**ADAM, "steps": 5}),
    "navigation": (
        {"kind": "navigation", "steps": 5, "cells": 16, "width": 0.3, "seed": 1, "held_out": 150},
        ELMAN,
        {**ADAM, "steps": 5},
    ),
}


def call(command: ModuleType, **options: Any) -> None:
    """Run a command's module with these options, and its defaults for the others.

    None leaves an option out, and True gives it no value.
    """
    parser, words = argparse.ArgumentParser(), []
    command.add_arguments(parser)
    for name, value in options.items():
        values = value if isinstance(value, list) else [] if value is True else [value]
        if value is not None:
            words.append(f"--{name.replace('_', '-')}")
            words += [json.dumps(each) if isinstance(each, dict) else str(each) for each in values]
    command.run(parser.parse_args(words))


class Chain:
    """Checkpoints by name in a folder: ``dense0`` is the untrained one, ``dense2`` that after two epochs.

    A ``block`` takes the place of that of :data:`KINDS`; keys of ``architecture`` and ``training`` are added to those
    there.
    """

    def __init__(
        self,
        folder: Path,
        kind: str = "text",
        block: dict[str, Any] | None = None,
        architecture: dict[str, Any] | None = None,
        **training: Any,
    ):
        self.folder, self.kind = folder, kind
        default_block, default_architecture, default_training = KINDS[kind]
        self.block = default_block if block is None else block
        self.architecture = {**default_architecture, **(architecture or {})}
        if self.architecture.get("cell", "lstm") != "rnn":
            self.architecture.pop("activation", None)
        self.training = {**default_training, **training}
        self.has_files = kind in WRITERS
        if self.has_files:
            names = [f"w{i}" for i in range(VOCABULARY)]
            vocabulary = pd.DataFrame({"id": np.arange(VOCABULARY), "word": names, "count": 1})
            files.write_parquet(folder / "vocabulary.parquet", vocabulary)
            WRITERS[kind](folder)

    def path(self, name: str) -> Path:
        """The folder of a checkpoint."""
        return self.folder / name

    def split_file(self, split: str) -> Path | None:
        """The file of a split, of a kind that has files."""
        return self.folder / f"{split}.npy" if self.has_files else None

    def initialise(self, name: str = "dense0", seed: int = 3, **architecture: Any) -> None:
        """Write an untrained checkpoint."""
        given = {"vocabulary": self.folder / "vocabulary.parquet"} if self.has_files else {}
        if "vectors" in architecture:
            given["vectors"] = Path(architecture["vectors"]["path"])
        names = {"data": "d", "kind": self.kind, "block": self.block, "model": "m", "seed": seed, **given}
        blocks = {"architecture": {**self.architecture, **architecture}, "training": self.training}
        call(initialise, **names, **blocks, checkpoint=self.path(name))

    def train(
        self,
        *names: str,
        teacher: str | None = None,
        save_interval_s: float = 600.0,
        parents: Any = None,
        **sparsify: Any,
    ) -> None:
        """Train from the first checkpoint to the others, an epoch each, in one process."""
        first, *others = (self.path(name) for name in names)
        splits = {split: self.split_file(split) for split in ("train", "dev")}
        given = {**splits, "teacher": self.path(teacher) if teacher else None, "save_interval_s": save_interval_s}
        blocks = {"training": self.training, "sparsify": sparsify, "parents": parents}
        call(train, **{"from": first}, **given, **blocks, device="cpu", checkpoint=others)

    def train_with_interruption(
        self, monkeypatch: pytest.MonkeyPatch, step: int, *names: str, **arguments: Any
    ) -> None:
        """Train one epoch that a signal stops after a step, and run it again."""
        shutil.rmtree(self.path(names[-1]), ignore_errors=True)
        with monkeypatch.context() as patch:
            send_signal(patch, step)
            with pytest.raises(SystemExit):
                self.train(*names, **arguments)
        assert not (self.path(names[-1]) / checkpoint.STATE).exists()
        torch.manual_seed(99)  # whatever another process's generator did
        self.train(*names, **arguments)

    def start(self, name: str, at: str, masks: str | None, parents: Any = None, **sparsify: Any) -> None:
        """Write what a sparsified model starts from: the weights of ``at``, the masks as ``masks`` decides."""
        decides = self.path(masks) if masks else None
        given = {"from": self.path(at), "masks": decides, "model": "s", "sparsify": sparsify, "parents": parents}
        call(start, **given, checkpoint=self.path(name))

    def as_test(self, split: str) -> Path | None:
        """A file with the tokens of ``split`` that calls itself the test split, of a kind that has files."""
        if not self.has_files:
            return None
        tokens, about = (read(self.folder / f"{split}.npy") for read in (np.load, files.read_metadata))
        files.write_array(self.folder / f"{split}-as-test.npy", tokens, {**about, "split": "test"})
        return self.folder / f"{split}-as-test.npy"

    def evaluate(self, name: str, split: str = "test", **options: Any) -> dict[str, Any]:
        """The evaluation of a checkpoint on a split."""
        output = self.folder / f"{name}-evaluation.json"
        given = {"checkpoint": self.path(name), "test": self.as_test(split), "device": "cpu", **options}
        call(evaluate, **given, output=output)
        return files.read_json(output)

    def open(self, name: str) -> tuple[RecurrentModel, dict[str, Any]]:
        """The model and the state, as a reload gives them."""
        return checkpoint.load(self.path(name), CPU)

    def open_data(self) -> Data:
        """The data."""
        return open_data(self.kind, self.block)

    def first_batch(self, interface: Interface) -> Batch:
        """The first batch of the test split, for a model with this interface."""
        split = self.open_data().split("test", self.split_file("test"), 3, 7, interface)
        return next(iter(split.batches(CPU)))

    def load(self, name: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, Any]]:
        """Parameters by name, the method's tensors, the state; as a reload gives them."""
        model, state = self.open(name)
        return dict(model.named_parameters()), checkpoint.load_tensors(self.path(name), CPU), state

    def memory(self, name: str) -> dict[str, torch.Tensor]:
        """The optimizer's memory, by name."""
        return checkpoint.load_tensors(self.path(name), CPU, checkpoint.OPTIMIZER)

    def bytes(self, name: str) -> bytes:
        """All tensors of a checkpoint."""
        return (self.path(name) / checkpoint.PARAMETERS).read_bytes()

    def copy(self, name: str, to: str) -> None:
        """Copy a checkpoint, or put it in another's place."""
        shutil.rmtree(self.path(to), ignore_errors=True)
        shutil.copytree(self.path(name), self.path(to))


def write_tokens(path: Path, tokens: np.ndarray) -> None:
    """An array of tokens of the split that it is named after, and of the vocabulary in its folder."""
    vocabulary = files.read_digest(path.parent / "vocabulary.parquet")
    files.write_array(path, tokens, {"split": path.stem, "vocabulary": vocabulary})


def write_text(folder: Path) -> None:
    """Streams of words with the frequencies of a language."""
    words = np.random.default_rng(0).zipf(1.4, 4000) % VOCABULARY
    for split, part in {"train": words, "dev": words[:500], "test": words[500:1100]}.items():
        write_tokens(folder / f"{split}.npy", part.astype(np.uint8))


def write_labelled(folder: Path) -> None:
    """Texts whose class is the number of the class word among their words."""
    for seed, (split, n) in enumerate({"train": 203, "dev": 50, "test": 61}.items()):
        generator = np.random.default_rng(seed)
        rows = np.full((n, 1 + LENGTH), PAD, np.uint16)
        for row in rows:
            words = generator.integers(5, 30, generator.integers(1, LENGTH + 1))
            row[0] = generator.integers(CLASSES)
            words[generator.integers(len(words))] = 2 + row[0]
            row[1 : 1 + len(words)] = words
        write_tokens(folder / f"{split}.npy", rows)


WRITERS = {"text": write_text, "classification": write_labelled}


def make_tickets(folder: Path) -> Chain:
    """A dense model trained for three epochs, and two levels of a ticket, with one epoch of rewinding."""
    chain = Chain(folder)
    chain.initialise()
    chain.train("dense0", "dense1", "dense2", "dense3")
    for level, before in ((1, "dense3"), (2, "level1-3")):
        settings = {**TICKET, "density": 0.5**level}
        chain.start(f"level{level}-1", "dense1", before, **settings)
        chain.train(f"level{level}-1", f"level{level}-2", f"level{level}-3", **settings)
    return chain


def language_model(words: int = VOCABULARY, outputs: int | None = None, **architecture: Any) -> RecurrentModel:
    """A model of text, or of labelled texts where there are other ``outputs`` than words."""
    return RecurrentModel(Interface(outputs=outputs or words, vocabulary=words), Architecture(**architecture))


def use_small_blocks(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Compute every output layer in blocks of 16 rows, the least, and pass over them ``chunk`` elements at a time."""
    small = Tuning("other", Blocks(1, chunk), Blocks(1, chunk), "steps")
    monkeypatch.setattr(tuning, "choose", lambda *_: small)


def make_text_step(
    model: RecurrentModel,
    learning_rate: float = 4.0,
    method: Method | None = None,
    observer: Any = None,
    **training: Any,
) -> Step:
    """A step on text, of eight streams and by SGD unless ``training``, keys of the block, says otherwise."""
    block = Training(**{"batch": 8, "window": 7, "learning_rate": learning_rate, **training})
    method = method or Method({}, model, {}, Place(1, 1, 1))
    return make_step(model, open_data("text", {}), block, learning_rate, block.batch, method, None, observer)


def text_batches(path: Path, batch: int = 8, window: int = 7, words: int = VOCABULARY) -> list[Batch]:
    """The batches of a stream."""
    interface = Interface(outputs=words, vocabulary=words)
    return list(open_data("text", {}).split("train", path, batch, window, interface).batches(CPU))


def after_steps(monkeypatch: pytest.MonkeyPatch, act: Callable[[Step, int], Any]) -> None:
    """Have ``act`` happen after each training step, with the step and its number from 1, counted from now on."""
    call, count = Step.__call__, itertools.count(1)

    def acting(self: Step, batch: Batch) -> torch.Tensor:
        loss = call(self, batch)
        act(self, next(count))
        return loss

    monkeypatch.setattr(Step, "__call__", acting)


def send_signal(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGTERM) -> None:
    """Have a signal come in the step of this number."""
    after_steps(monkeypatch, lambda _, now: os.kill(os.getpid(), number) if now == step else None)
