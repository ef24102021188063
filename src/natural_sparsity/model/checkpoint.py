"""Checkpoints: a folder with the parameters as safetensors and everything else as JSON. Never pickle."""

import platform
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors.torch
import torch
import xxhash
from safetensors.torch import load_file
from torch import Tensor, nn

from natural_sparsity import files
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.base import read_block
from natural_sparsity.errors import UserError
from natural_sparsity.identity import name_checkpoint
from natural_sparsity.model.recurrent import ROWS, Interface, RecurrentModel
from natural_sparsity.model.tuning import Tuning
from natural_sparsity.provenance import find_version

PARAMETERS, STATE = "parameters.safetensors", "state.json"
# Prefixes of tensors that are not parameters: a method's (masks, for one), the optimizer's, and what else training goes
# on with inside an epoch: the hidden state and the state of the random numbers.
METHOD, OPTIMIZER, RESUME = "sparsify.", "optimizer.", "resume."
FIELDS = [
    "data",
    "model",
    "seed",
    "epoch",
    "kind",
    "block",
    "interface",
    "architecture",
    "tuning",
    "sparsify",
    "learning_rate_out",
    "best_dev_loss",
    "steps",
    "examples",
    "parameters",
    "vocabulary",
]
NOTHING: Mapping[str, Tensor] = MappingProxyType({})


def save(
    folder: Path,
    model: RecurrentModel,
    state: dict[str, Any],
    method_tensors: Mapping[str, Tensor] = NOTHING,
    optimizer_tensors: Mapping[str, Tensor] = NOTHING,
    resume_tensors: Mapping[str, Tensor] = NOTHING,
) -> None:
    """Write a checkpoint: the parameters and, last, the JSON with their digest; so a readable JSON marks a whole one.

    Args:
        folder: where to; created if needed.
        model: its parameters, interface, architecture and tuning are saved.
        state: what else a reader needs, including :data:`FIELDS`.
        method_tensors: what the sparsification method keeps, by name; :func:`load_tensors` reads it.
        optimizer_tensors: the optimizer's memory, by name.
        resume_tensors: what training inside an epoch goes on with, by name.

    Raises:
        UserError: a file cannot be written.
    """
    with files.atomic(folder / PARAMETERS) as temporary:
        write_parameters(temporary, model, method_tensors, optimizer_tensors, resume_tensors)
    write_state(folder, model, state)


def write_parameters(
    path: Path,
    model: RecurrentModel,
    method_tensors: Mapping[str, Tensor] = NOTHING,
    optimizer_tensors: Mapping[str, Tensor] = NOTHING,
    resume_tensors: Mapping[str, Tensor] = NOTHING,
) -> None:
    """Write the tensors of a checkpoint into the file that :func:`natural_sparsity.files.atomic` opened at ``path``."""
    # Not save_file, which puts another file in the place of the locked one.
    path.write_bytes(safetensors.torch.save(collect(model, method_tensors, optimizer_tensors, resume_tensors)))


def write_state(folder: Path, model: RecurrentModel, state: dict[str, Any]) -> None:
    """Write a checkpoint's JSON, with the digest of the parameters, which are in the folder."""
    about = {
        "interface": model.interface._asdict(),
        "architecture": model.architecture.model_dump(mode="json"),
        "tuning": model.tuning.to_json(),
        "versions": {name: find_version(name) for name in ("natural-sparsity", "torch", "numpy", "safetensors")},
        "python": platform.python_version(),
        "parameters": files.compute_digest(folder / PARAMETERS).hex(),
    }
    files.write_json(folder / STATE, {**state, **about})


def collect(
    model: nn.Module,
    method_tensors: Mapping[str, Tensor],
    optimizer_tensors: Mapping[str, Tensor],
    resume_tensors: Mapping[str, Tensor] = NOTHING,
) -> dict[str, Tensor]:
    """All tensors of a checkpoint by name, on the CPU."""
    tensors = dict(model.state_dict())
    for prefix, others in ((METHOD, method_tensors), (OPTIMIZER, optimizer_tensors), (RESUME, resume_tensors)):
        tensors |= {prefix + name: tensor for name, tensor in others.items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def digest(
    model: RecurrentModel,
    method_tensors: Mapping[str, Tensor] = NOTHING,
    optimizer_tensors: Mapping[str, Tensor] = NOTHING,
) -> str:
    """The digest that the file of the parameters would have."""
    return xxhash.xxh3_128_hexdigest(safetensors.torch.save(collect(model, method_tensors, optimizer_tensors)))


def read_state(folder: Path) -> dict[str, Any]:
    """The JSON of a checkpoint.

    Raises:
        UserError: it is missing, damaged, lacks a field, or is of another version.
    """
    return files.read_json(folder / STATE, FIELDS)


def check_epoch_ended(folder: Path, state: Mapping[str, Any]) -> None:
    """Refuse to train on from a checkpoint that was saved inside the first epoch, or folded.

    Raises:
        UserError: it was; it lacks what training needs: the optimizer's memory, and the hidden state or rows of its own
            for each word. A ``resumable`` one has them.
    """
    if state.get("folded"):
        raise UserError(f"{folder}: is folded; train on from the checkpoint that it was folded from")
    name = name_checkpoint(state)
    if name.startswith("step"):
        raise UserError(f"{folder}: is {name}, inside the first epoch; training starts from init or an epoch's end")


def load(folder: Path, device: torch.device) -> tuple[RecurrentModel, dict[str, Any]]:
    """The model and the state of a checkpoint.

    Raises:
        UserError: a file is missing or damaged, or the two do not belong together.
    """
    state, path = read_state(folder), folder / PARAMETERS
    try:
        if files.compute_digest(path).hex() != state["parameters"]:
            raise UserError(f"{path}: not the parameters that {folder / STATE} was written with; delete both")
        tensors = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: not a readable checkpoint ({error}); delete it and run again") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"{path}: {name} is not finite; delete the checkpoint and run again")
        if not name.startswith((METHOD, RESUME, ROWS)) and tensor.dtype != torch.get_default_dtype():
            raise UserError(f"{path}: {name} is {tensor.dtype}, not {torch.get_default_dtype()}; delete it")
    try:
        others = (METHOD, OPTIMIZER, RESUME)
        parameters = {name: tensor for name, tensor in tensors.items() if not name.startswith(others)}
        model = rebuild(state, Tuning.from_json(state["tuning"]), parameters)
    except (UserError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{folder / STATE}: its architecture is not that of {path}; delete both") from error
    model.to(device)
    for layer in (layer for layer in model.modules() if isinstance(layer, nn.RNNBase)):
        layer.flatten_parameters()  # one block of memory, which cuDNN would otherwise copy together at every call
    return model, state


def rebuild(about: Mapping[str, Any], tuning: Tuning | None, parameters: Mapping[str, Tensor]) -> RecurrentModel:
    """The model with the interface and architecture in ``about``, and these parameters as they are.

    Raises:
        UserError, RuntimeError, TypeError, KeyError or AttributeError: they do not belong together.
    """
    with torch.device("meta"):
        architecture = read_block(Architecture, about["architecture"], "architecture")
        model = RecurrentModel(Interface(**about["interface"]), architecture, tuning)
        if ROWS in parameters:
            model.share_rows(len(parameters["embedding.weight"]))
    model.load_state_dict(parameters, assign=True)
    return model


def load_tensors(folder: Path, device: torch.device, prefix: str = METHOD) -> dict[str, Tensor]:
    """The method's tensors of a checkpoint by name, or others by their prefix; empty if there are none.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with safetensors.safe_open(folder / PARAMETERS, framework="pt", device=str(device)) as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{folder / PARAMETERS}: not a readable checkpoint ({error}); delete it and run again"
        ) from error
