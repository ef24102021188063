"""Check the names that the explorer reads from files and uses as file names."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natural_sparsity import registry
from natural_sparsity.analysis.products import NORMS, ROLES
from natural_sparsity.analysis.tensors import check_tensors
from natural_sparsity.config.base import NAME
from natural_sparsity.errors import UserError

# What a probe has of every word and role next to the measures of tensors: the mean loss at its positions.
SURPRISAL = "surprisal"


def check_names(path: Path, facts: Mapping[str, Any], series: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Refuse names that the workflow never writes.

    Such a name could lead out of the explorer's folder.

    Args:
        path: the file that has them.
        facts: ``data``, ``model`` and ``condition``.
        series: tensors by measure and role.

    Raises:
        UserError: a name is refused; the message gives the file and the name.
    """
    for key in ("data", "model", "condition"):
        if not re.fullmatch(NAME, str(facts[key])):
            raise UserError(f"{path}: {key} is {facts[key]!r}, not a valid name; delete it and run again")
    known = [*registry.MEASURES, *NORMS, SURPRISAL]
    for measure, tensors_of in series.items():
        if measure not in known:
            raise UserError(f"{path}: unknown measure {measure!r}, not one of {', '.join(known)}; probe again")
        if list(tensors_of) != list(ROLES):
            raise UserError(f"{path}: {measure!r} has the roles {', '.join(tensors_of)}, not {', '.join(ROLES)}")
        for tensors in tensors_of.values():
            check_tensors(path, tensors)
