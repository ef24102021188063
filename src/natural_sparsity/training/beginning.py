"""Begin an epoch: seed its random numbers, or go on inside it from a checkpoint that holds what that needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import choose_seed
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything
from natural_sparsity.training.loop import Beginning
from natural_sparsity.training.saves import get_random_state, set_random_state
from natural_sparsity.training.steps import Step


def collect(step: Step) -> dict[str, Tensor]:
    """What training goes on with after a step, by name, besides parameters and memory: :data:`checkpoint.RESUME`."""
    return {**step.carried(), **get_random_state(step.total.device)}


def begin(step: Step, folder: Path, state: Mapping[str, Any], epoch: int) -> Beginning:
    """Prepare ``step`` and the random numbers for ``epoch``, which starts from the checkpoint in ``folder``.

    Inside an epoch, random numbers go on from the checkpoint's, unless the method has a seed of its own.

    Args:
        step: of the epoch.
        folder, state: the checkpoint: the end of the epoch before, or one inside this epoch that is ``resumable``.
        epoch: its number.

    Raises:
        UserError: the checkpoint is inside the epoch, and was made on another kind of device.
    """
    seed = choose_seed(step.method.settings, state["seed"])
    seed_everything(seed, epoch)
    if not state.get("resumable"):
        return Beginning()
    device = step.total.device
    stored = checkpoint.load_tensors(folder, device, checkpoint.RESUME)
    generator = f"random.{device.type}"
    if generator not in stored:
        raise UserError(
            f"{folder}: is inside an epoch that was not trained on {device.type}, whose random numbers it lacks; go on"
            f" where it was trained ({state['device']}), or rewind to an epoch"
        )
    if seed == state["seed"]:
        set_random_state({name: value.cpu() for name, value in stored.items()}, device)
    with torch.no_grad():
        for name, tensor in step.carried().items():
            tensor.copy_(stored[name])
        step.finite.fill_(state["steps"])
    return Beginning(state["steps"], state["examples"])
