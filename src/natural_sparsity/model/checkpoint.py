"""Checkpoints: parameters as safetensors, everything else as JSON beside them. Never pickle."""

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors.torch
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.settings import read_block

FIELDS = [
    "epoch",
    "seed",
    "vocabulary",
    "architecture",
    "learning_rate_out",
    "best_dev_loss",
    "steps",
    "tokens",
    "sha256",
    "digest",
]
# Before the names of tensors that are no parameters: those of a method, and of an optimiser that has a memory.
BESIDE, OPTIMISER = "sparsify.", "optimiser."
Builder = Callable[[dict[str, Any]], nn.Module]


def sha256_of(path: Path) -> str:
    """The file's SHA-256, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_of(
    model: nn.Module, beside: Mapping[str, Tensor], optimiser: Mapping[str, Tensor] = MappingProxyType({})
) -> dict[str, Tensor]:
    """What a checkpoint holds: the parameters and, under names of their own, the tensors ``beside`` them."""
    tensors = {**model.state_dict(), **{BESIDE + name: tensor for name, tensor in beside.items()}}
    tensors |= {OPTIMISER + name: tensor for name, tensor in optimiser.items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def digest(model: LanguageModel, beside: Mapping[str, Tensor]) -> str:
    """The SHA-256 that the file of its parameters would have."""
    return hashlib.sha256(safetensors.torch.save(tensors_of(model, beside))).hexdigest()


def save(
    model: LanguageModel,
    parameters: Path,
    state_path: Path,
    state: dict[str, Any],
    beside: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write the parameters and, last, the JSON with their digest, so that a readable JSON means a whole checkpoint.

    ``beside`` are tensors of a sparsification method, such as its masks; :func:`load_beside` reads them.
    """
    shape: dict[str, Any] = {"vocabulary": len(model.embedding.weight), "architecture": asdict(model.architecture)}
    if len(model.output.weight) != len(model.embedding.weight):
        shape["classes"] = len(model.output.weight)
    write(tensors_of(model, beside), parameters, state_path, {**state, **shape})


def write(tensors: dict[str, Tensor], parameters: Path, state_path: Path, state: dict[str, Any]) -> None:
    """Write the two files of a checkpoint of any model; see :func:`save`."""
    with files.atomic(parameters) as temporary:
        try:
            save_file(tensors, temporary)
        except safetensors.SafetensorError as error:
            raise UserError(f"{parameters}: cannot be written ({error})") from error
    environment = {
        "versions": {name: version(name) for name in ("natural-sparsity", "torch", "numpy", "safetensors")},
        "python": platform.python_version(),
    }
    files.write_json(state_path, {**state, **environment, "sha256": sha256_of(parameters)})


def load(parameters: Path, state_path: Path, device: torch.device) -> tuple[LanguageModel, dict[str, Any]]:
    """Read a checkpoint.

    Raises:
        UserError: a file is missing or damaged, or the two do not belong together.
    """
    model, state = read(build, parameters, state_path, FIELDS, device)
    assert isinstance(model, LanguageModel)
    return model, state


def build(state: dict[str, Any]) -> LanguageModel:
    """The language model that a checkpoint's state describes."""
    return LanguageModel(state["vocabulary"], read_block(Architecture, state["architecture"]), state.get("classes"))


def read(
    build: Builder, parameters: Path, state_path: Path, fields: Sequence[str], device: torch.device
) -> tuple[nn.Module, dict[str, Any]]:
    """Read a checkpoint of any model, which ``build`` makes from its state; raises as :func:`load`."""
    state = files.read_json(state_path, fields)
    try:
        if sha256_of(parameters) != state["sha256"]:
            raise UserError(f"{parameters}: not the parameters that {state_path} was written with; delete both")
        tensors = load_file(parameters)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{parameters}: not a readable checkpoint ({error}); delete it and run again") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"{parameters}: {name} is not finite; delete the checkpoint and run again")
        if not name.startswith(BESIDE) and tensor.dtype != torch.get_default_dtype():
            raise UserError(f"{parameters}: {name} is {tensor.dtype}, not {torch.get_default_dtype()}; delete it")
    try:
        with torch.device("meta"):
            model = build(state)
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith((BESIDE, OPTIMISER))}
        model.load_state_dict(own, assign=True)
    except (UserError, RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{state_path}: its architecture is not that of {parameters}; delete both") from error
    model.to(device)
    for layer in (layer for layer in model.modules() if isinstance(layer, nn.RNNBase)):
        layer.flatten_parameters()  # one block of memory, which cuDNN would otherwise copy together at every call
    return model, state


def load_beside(parameters: Path, device: torch.device, prefix: str = BESIDE) -> dict[str, Tensor]:
    """The tensors that :func:`save` was given ``beside`` the parameters, or others by their prefix; may be none.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with safetensors.safe_open(parameters, framework="pt", device=str(device)) as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{parameters}: not a readable checkpoint ({error}); delete it and run again") from error
