"""Check the names that the explorer reads from files and uses as file names."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from natural_sparsity import registry
from natural_sparsity.analysis.products import NORMS
from natural_sparsity.analysis.tensors import check_tensors
from natural_sparsity.config.base import NAME
from natural_sparsity.errors import UserError


def check_names(path: Path, facts: Mapping[str, Any], measures: Iterable[str], tensors: Iterable[str]) -> None:
    """Refuse names that the workflow never writes; ``facts`` has ``data``, ``model`` and ``condition``.

    Such a name could lead out of the explorer's folder.

    Raises:
        UserError: a name is refused; the message gives the file and the name.
    """
    for key in ("data", "model", "condition"):
        if not re.fullmatch(NAME, str(facts[key])):
            raise UserError(f"{path}: {key} is {facts[key]!r}, not a valid name; delete it and run again")
    known = [*registry.MEASURES, *NORMS]
    for name in measures:
        if name not in known:
            raise UserError(f"{path}: unknown measure {name!r}, not one of {', '.join(known)}; probe again")
    check_tensors(path, tensors)
