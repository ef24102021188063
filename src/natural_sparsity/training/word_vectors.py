"""Start an embedding from word vectors that were trained elsewhere."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gensim import utils
from gensim.models import KeyedVectors
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.errors import UserError

FORMATS = ("word2vec", "word2vec_binary", "glove")
KEY = "architecture.vectors"
SHOWN = 5


def read_vectors(path: Path, form: str, wanted: Collection[str]) -> KeyedVectors:
    """Read the vectors of the ``wanted`` words, and perhaps of others; ``form`` is one of :data:`FORMATS`.

    Words that are not UTF-8 match no word.

    Raises:
        UserError: the file cannot be read, or is of another format.
    """
    try:
        if form == "glove":
            return read_glove(path, wanted)
        if form == "word2vec_binary" and has_numbers_as_text(path):
            raise ValueError("its numbers are text")  # gensim would take their characters for binary numbers
        return KeyedVectors.load_word2vec_format(str(path), binary=form == "word2vec_binary", unicode_errors="replace")
    except (OSError, EOFError, ValueError, AssertionError, MemoryError) as error:
        others = " or ".join(other for other in FORMATS if other != form)
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(
            f"{KEY}.format: {path} cannot be read as {form} ({reason}); if it is {others}, say so, else get it again"
        ) from error


def read_glove(path: Path, wanted: Collection[str]) -> KeyedVectors:
    """Read the vectors of the ``wanted`` words from GloVe's text; the width is that of the first line.

    Words may have spaces, as in the vectors of 840 billion tokens, which gensim's reader refuses.

    Raises:
        ValueError: a line has another width or something that is no number, or the first one is none of GloVe's.
    """
    rows: dict[str, np.ndarray] = {}
    width = 0
    with utils.open(str(path), "rb") as file:
        for line in file:
            word, *numbers = line.rstrip().rsplit(b" ", width or -1)
            width = width or len(numbers)
            if width < 2:
                raise ValueError("its first line is no word with a vector")
            if len(numbers) != width:
                raise ValueError(f"a line has {len(numbers)} numbers, the first has {width}")
            if (name := word.decode("utf-8", "replace")) in wanted:
                rows[name] = np.array(numbers).astype(np.float32)
    if not width:
        raise ValueError("it is empty")
    vectors = KeyedVectors(width)
    if rows:
        vectors.add_vectors(list(rows), np.stack(list(rows.values())))
    return vectors


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
    table = files.read_parquet(vocabulary, ["id", "word", "count"])
    vectors = read_vectors(path, form, set(table["word"]))
    if vectors.vector_size != weight.shape[1]:
        raise UserError(
            f"{KEY}: {path} has vectors of width {vectors.vector_size}, but architecture.embedding is"
            f" {weight.shape[1]}; set embedding: {vectors.vector_size}, or give other vectors"
        )
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
