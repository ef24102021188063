"""The kinds of tasks by name, and the module of each. It imports none of them: a step reads the one that it runs."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from natural_sparsity.errors import UserError

if TYPE_CHECKING:
    from natural_sparsity.tasks.task import Task

KINDS = {
    "addition": "natural_sparsity.tasks.addition",
    "navigation": "natural_sparsity.tasks.navigation",
}


def module_of(kind: str) -> ModuleType:
    """The module of a kind of task.

    Raises:
        UserError: there is no such kind.
    """
    if kind not in KINDS:
        raise UserError(f"task: {kind!r} is no kind of task; the kinds are {', '.join(KINDS)}")
    return importlib.import_module(KINDS[kind])


def task_of(block: dict[str, Any]) -> "Task":
    """The task that a block of the configuration describes."""
    return module_of(block.get("kind", "")).make({key: value for key, value in block.items() if key not in SHARED})


# The keys of a task's block that are no settings of its kind.
SHARED = {"kind", "seed", "held_out"}
