"""Start an embedding from word vectors that were trained elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gensim import utils
from gensim.models import KeyedVectors
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.errors import UserError

# How gensim reads each format of the configuration.
FORMATS: dict[str, dict[str, bool]] = {
    "word2vec": {},
    "word2vec_binary": {"binary": True},
    "glove": {"no_header": True},
}
KEY = "architecture.vectors"
SHOWN = 5


def read_vectors(path: Path, form: str) -> KeyedVectors:
    """Read word vectors; ``form`` is a key of :data:`FORMATS`. Words that are not UTF-8 match no word.

    Raises:
        UserError: the file cannot be read, or is of another format.
    """
    try:
        if form == "word2vec_binary" and has_numbers_as_text(path):
            raise ValueError("its numbers are text")  # gensim would take their characters for binary numbers
        return KeyedVectors.load_word2vec_format(str(path), unicode_errors="replace", **FORMATS[form])
    except (OSError, EOFError, ValueError, TypeError, AssertionError, MemoryError) as error:
        others = " or ".join(name for name in FORMATS if name != form)
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(
            f"{KEY}.format: {path} cannot be read as {form} ({reason}); if it is {others}, say so, else get it again"
        ) from error


def has_numbers_as_text(path: Path) -> bool:
    """Whether the first word is followed by numbers in digits."""
    with utils.open(str(path), "rb") as file:
        file.readline()
        _, *numbers = file.readline().split() or [b""]
    try:
        return all(np.isfinite(float(number)) for number in numbers)
    except ValueError:
        return False


@torch.no_grad()
def set_rows(weight: Tensor, path: Path, form: str, vocabulary: Path) -> dict[str, Any]:
    """Set the rows (words, width) of an embedding whose word has a vector, in place; the others stay as they are.

    Words are looked up as the vocabulary has them, special symbols too.

    Args:
        weight: the embedding.
        path, form: the vectors, and how to read them.
        vocabulary: Parquet ``id, word, count``.

    Returns:
        The account: ``file, digest, format``; of ``words``, how many have a vector (``found``), and which share of the
        training tokens these are (``share``); the most frequent words without one (``missing``).

    Raises:
        UserError: the file cannot be used: another format or width, a vector that is not finite, or no word in common.
    """
    vectors = read_vectors(path, form)
    if vectors.vector_size != weight.shape[1]:
        raise UserError(
            f"{KEY}: {path} has vectors of width {vectors.vector_size}, but architecture.embedding is"
            f" {weight.shape[1]}; set embedding: {vectors.vector_size}, or give other vectors"
        )
    table = files.read_parquet(vocabulary, ["id", "word", "count"])
    known = table["word"].isin(vectors.key_to_index)
    if not known.any():
        raise UserError(
            f"{KEY}: none of the {len(table):,} words of the vocabulary has a vector in {path};"
            " give vectors of the same language, in lower case"
        )
    rows = np.stack([vectors.get_vector(word) for word in table.loc[known, "word"]])
    if not np.isfinite(rows).all():
        raise UserError(f"{KEY}: {path} has vectors that are not finite; get the file again")
    weight[torch.tensor(table.loc[known, "id"].to_numpy())] = torch.tensor(rows).to(weight)
    missing = table[~known].sort_values("count", ascending=False, kind="stable")["word"]
    return {
        "file": str(path),
        "digest": files.compute_digest(path).hex(),
        "format": form,
        "words": len(table),
        "found": int(known.sum()),
        "share": float(table.loc[known, "count"].sum() / max(table["count"].sum(), 1)),
        "missing": missing.head(SHOWN).tolist(),
    }


def tell(account: dict[str, Any]) -> str:
    """The account of :func:`set_rows` in a line."""
    line = (
        f"vectors: {account['found']:,} of {account['words']:,} words, {account['share']:.1%} of the training tokens,"
        f" start from {account['file']}"
    )
    if not (left := account["words"] - account["found"]):
        return line
    names = ", ".join(account["missing"]) + (", …" if left > len(account["missing"]) else "")
    return f"{line}; {left:,} start at random: {names}"
