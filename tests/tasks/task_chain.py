"""A chain of checkpoints of a task's model on disk, made by the commands themselves."""

import argparse
from pathlib import Path

import torch

from natural_sparsity import files
from natural_sparsity.model import checkpoint
from natural_sparsity.sparsify import start
from natural_sparsity.tasks import evaluate, initialise, train
from natural_sparsity.tasks.model import load

ADDING = {"kind": "addition", "steps": 6, "seed": 1, "held_out": 150}
CPU = torch.device("cpu")


class TaskChain:
    """Checkpoints by name in a folder."""

    def __init__(self, folder: Path, task=None, architecture=None, **training):
        self.folder, self.task = folder, task or ADDING
        self.architecture = {"hidden": [12], **(architecture or {})}
        self.training = {"batch": 8, "steps": 5, **training}

    def paths(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.safetensors", self.folder / f"{name}.json"

    def out(self, name: str) -> dict[str, Path]:
        return dict(zip(("parameters", "state"), self.paths(name), strict=True))

    def initialise(self, name: str = "dense0", seed: int = 3) -> None:
        initialise.run(argparse.Namespace(task=self.task, architecture=self.architecture, seed=seed, **self.out(name)))

    def train(self, *names: str, **sparsify) -> None:
        parameters, state = zip(*map(self.paths, names), strict=True)
        train.run(
            argparse.Namespace(
                from_parameters=parameters[0],
                from_state=state[0],
                parameters=parameters[1:],
                state=state[1:],
                training=self.training,
                sparsify=sparsify,
                device="cpu",
                threads=1,
                save_interval_s=600.0,
            )
        )

    def start(self, name: str, at: str, masks: str | None, **sparsify) -> None:
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
        """Parameters by name, the method's tensors, the optimiser's memory, the state."""
        model, state = load(*self.paths(name), CPU)
        beside = checkpoint.load_beside(self.paths(name)[0], CPU)
        memory = checkpoint.load_beside(self.paths(name)[0], CPU, checkpoint.OPTIMISER)
        return dict(model.named_parameters()), beside, memory, state

    def evaluate(self, name: str) -> dict:
        output = self.folder / f"{name}.evaluation.json"
        arguments = {"device": "cpu", "threads": 1, "output": output}
        parameters, state = self.paths(name)
        evaluate.run(argparse.Namespace(parameters=[parameters], state=[state], **arguments))
        return files.read_json(output)["evaluations"][0]

    def bytes(self, name: str) -> bytes:
        return self.paths(name)[0].read_bytes()
