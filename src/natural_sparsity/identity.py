"""Check that files belong together: each records its run and the digests of the files that it was made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from natural_sparsity import files
from natural_sparsity.errors import UserError


def name_checkpoint(fields: Mapping[str, Any]) -> str:
    """A checkpoint's name, which is its folder's: ``init``, ``step64`` within the first epoch, ``epoch3``.

    One within the first epoch from which training can go on is ``rewind64``.

    Args:
        fields: its ``epoch``, which is 0 before the first has ended, ``steps``, and perhaps ``resumable``.
    """
    if fields["epoch"]:
        return f"epoch{fields['epoch']}"
    kind = "rewind" if fields.get("resumable") else "step"
    return f"{kind}{fields['steps']}" if fields["steps"] else "init"


def check_run(path: Path | str, fields: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse a file of another run, epoch or condition than expected.

    Args:
        path: the file, or the folder of a checkpoint.
        fields: what it says about itself.
        expected: the values that it must have. None, and a field that the file lacks, are not compared.

    Raises:
        UserError: a field differs.
    """
    for key, value in expected.items():
        if value is not None and fields.get(key, value) != value:
            raise UserError(
                f"{path}: its {key} is {fields[key]!r}, expected {value!r};"
                " put it back if it was moved or renamed, otherwise delete it and run again"
            )


def check_made_from(
    path: Path | str, fields: Mapping[str, Any], key: str, source: Path | str, digest: Any, name: str = ""
) -> None:
    """Refuse a file that was made from another file than ``source``.

    Args:
        path: the file.
        fields, key: what it says about itself, and the field with the digest of what it was made from.
        source: the file given as the source, or one that was made from the same.
        digest: the digest of the source.
        name: what to call the source; its key by default.

    Raises:
        UserError: the digests differ, or there is none.
    """
    if fields.get(key) != digest:
        raise UserError(
            f"{path}: does not belong to {source} (different {name or key}); delete the older of the two and run again"
        )


def check_tokens(path: Path | None, folder: Path, state: Mapping[str, Any], split: str | None = None) -> str | None:
    """Check that tokens are of the vocabulary that the checkpoint in ``folder`` was made for; return their digest.

    Args:
        path: an array of tokens; None for generated data.
        folder, state: the checkpoint.
        split: the split that they must be of; None for any.

    Raises:
        UserError: they are of another vocabulary or split, or the checkpoint's data are generated.
    """
    if path is None:
        return None
    if state["vocabulary"] is None:
        raise UserError(f"{path}: not needed, since {folder} was trained on generated data; leave it out")
    about, digest = files.check_array(path)
    check_run(path, about, {"split": split})
    check_made_from(path, about, "vocabulary", folder, state["vocabulary"])
    return digest
