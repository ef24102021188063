"""The model of a task: recurrent layers and a linear read-out; and its checkpoints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from natural_sparsity.model import checkpoint
from natural_sparsity.settings import one_of, read_block
from natural_sparsity.tasks.kinds import task_of
from natural_sparsity.tasks.task import Batch, Sizes

FIELDS = ["epoch", "seed", "task", "architecture", "steps", "sha256", "digest"]


@dataclass(frozen=True)
class Architecture:
    """``hidden`` has the width of each recurrent layer; ``activation`` is that of Elman's cell, rnn."""

    hidden: list[int] = field(default_factory=lambda: [64])
    cell: str = one_of("rnn", "gru", "lstm")
    activation: str = one_of("relu", "tanh")


class TaskModel(nn.Module):
    """Recurrent layers, each a module of its own as in the language model, and a linear read-out.

    Where the task gives a start, a linear map without bias makes the first layer's hidden state from it; all other
    state starts at 0. Initial values are PyTorch's.
    """

    def __init__(self, sizes: Sizes, architecture: Architecture):
        super().__init__()
        self.sizes, self.architecture = sizes, architecture
        widths = [sizes.inputs, *architecture.hidden]
        if sizes.start:
            self.initial = nn.Linear(sizes.start, architecture.hidden[0], bias=False)
        self.recurrent = nn.ModuleList(self.layer(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.output = nn.Linear(widths[-1], sizes.outputs)

    def layer(self, width: int, hidden: int) -> nn.RNNBase:
        """One recurrent layer."""
        if self.architecture.cell == "rnn":
            return nn.RNN(width, hidden, nonlinearity=self.architecture.activation)
        return {"gru": nn.GRU, "lstm": nn.LSTM}[self.architecture.cell](width, hidden)

    def fresh(self) -> "TaskModel":
        """One of the same shape with newly drawn weights."""
        return TaskModel(self.sizes, self.architecture)

    def forward(self, batch: Batch) -> Tensor:
        """The outputs (steps, batch, width), or (batch, width) where only the last step is answered."""
        features = batch.inputs
        for number, layer in enumerate(self.recurrent):
            state = self.initial(batch.start)[None] if number == 0 and batch.start is not None else None
            if state is not None and self.architecture.cell == "lstm":
                state = (state, torch.zeros_like(state))
            features, _ = layer(features, state)
        return self.output(features[-1] if self.sizes.last else features)


def build(state: dict[str, Any]) -> TaskModel:
    """The model that a checkpoint's state describes."""
    return TaskModel(task_of(state["task"]).sizes, read_block(Architecture, state["architecture"]))


def load(parameters: Path, state_path: Path, device: torch.device) -> tuple[TaskModel, dict[str, Any]]:
    """Read a checkpoint; raises as :func:`natural_sparsity.model.checkpoint.load`."""
    model, state = checkpoint.read(build, parameters, state_path, FIELDS, device)
    assert isinstance(model, TaskModel)
    return model, state


def save(
    model: TaskModel,
    parameters: Path,
    state_path: Path,
    state: dict[str, Any],
    beside: Mapping[str, Tensor],
    optimiser: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint, with what stands ``beside`` the parameters and the optimiser's memory."""
    tensors = checkpoint.tensors_of(model, beside, optimiser)
    checkpoint.write(tensors, parameters, state_path, {**state, "architecture": asdict(model.architecture)})
