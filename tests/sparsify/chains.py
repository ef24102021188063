"""A chain of checkpoints on disk, dense and pruned, made by the commands themselves."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from natural_sparsity import files
from natural_sparsity.model import checkpoint
from natural_sparsity.sparsify import start
from natural_sparsity.training import initialise, train

VOCABULARY = 60
TENSORS = ["embedding", "input", "recurrent", "output"]
TICKET = {"method": "iterative", "scope": "layer", "tensors": TENSORS, "role": "ticket", "density": 0.5}


class Chain:
    """Checkpoints by name in a folder: ``dense0`` is the untrained one, ``dense2`` that after two epochs."""

    def __init__(self, folder: Path):
        self.folder = folder
        words = np.random.default_rng(0).zipf(1.4, 4000) % VOCABULARY
        files.write_array(folder / "train.npy", words.astype(np.uint8))
        files.write_array(folder / "dev.npy", words[:500].astype(np.uint8))
        files.write_parquet(folder / "vocabulary.parquet", pd.DataFrame({"id": np.arange(VOCABULARY)}))

    def paths(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.safetensors", self.folder / f"{name}.json"

    def out(self, name: str) -> dict[str, Path]:
        return dict(zip(("parameters", "state"), self.paths(name), strict=True))

    def initialise(self, name: str = "dense0", seed: int = 3, **architecture) -> None:
        architecture = {"embedding": 6, "hidden": [5, 7], "dropout": 0.3, **architecture}
        settings = {"architecture": architecture, "training": {"batch": 8}}
        vocabulary = self.folder / "vocabulary.parquet"
        initialise.run(argparse.Namespace(**settings, vocabulary=vocabulary, classes=None, seed=seed, **self.out(name)))

    def train(self, *names: str, teacher: str | None = None, **sparsify) -> None:
        """From the first checkpoint to the others, an epoch each, in one process."""
        taught = self.paths(teacher) if teacher else (None, None)
        parameters, state = zip(*map(self.paths, names), strict=True)
        training = {"batch": 8, "window": 7, "learning_rate": 4.0}
        arguments = {
            "train": self.folder / "train.npy",
            "dev": self.folder / "dev.npy",
            "from_parameters": parameters[0],
            "from_state": state[0],
            "teacher_parameters": taught[0],
            "teacher_state": taught[1],
            "parameters": parameters[1:],
            "state": state[1:],
        }
        train.run(
            argparse.Namespace(
                **arguments, training=training, sparsify=sparsify, device="cpu", threads=1, save_interval_s=600.0
            )
        )

    def start(self, name: str, at: str, masks: str | None, **sparsify) -> None:
        """What a pruned training starts from: the weights of ``at``, the masks as ``masks`` decides."""
        begin, decides = self.paths(at), self.paths(masks) if masks else (None, None)
        start.run(
            argparse.Namespace(
                from_parameters=begin[0],
                from_state=begin[1],
                masks_parameters=decides[0],
                masks_state=decides[1],
                sparsify=sparsify,
                **self.out(name),
            )
        )

    def load(self, name: str):
        """The model's parameters by name, the masks, the state; as a reload gives them."""
        cpu = torch.device("cpu")
        model, state = checkpoint.load(*self.paths(name), cpu)
        return dict(model.named_parameters()), checkpoint.load_beside(self.paths(name)[0], cpu), state

    def bytes(self, name: str) -> bytes:
        return self.paths(name)[0].read_bytes()
