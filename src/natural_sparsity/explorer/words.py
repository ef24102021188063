"""The vocabulary as the explorer has it, and how its data and its words are matched."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError


def read_words(path: Path) -> pd.DataFrame:
    """``word, count, pos, pos_class`` of every entry of the vocabulary, by id.

    Raises:
        UserError: the file is no words table, or its rows are not in the order of their ids.
    """
    frame = files.read_parquet(path, ["id", "word", "count", "pos", "pos_class"])
    if frame["id"].tolist() != list(range(len(frame))):
        raise UserError(f"{path}: its ids are not 0, 1, 2 …; give the right file")
    return frame.drop(columns="id")


def digest(words: pd.DataFrame) -> str:
    """SHA-256 of the words and their counts, by which packed data know their vocabulary."""
    content = json.dumps([words["word"].tolist(), words["count"].tolist()])
    return hashlib.sha256(content.encode()).hexdigest()


def write_script(name: str, words: pd.DataFrame, unit: str) -> str:
    """The script that hands over the vocabulary of the data called ``name``, whose entries are a ``unit`` each."""
    columns = {key: column.astype(object).where(column.notna(), None).tolist() for key, column in words.items()}
    return f"explorer.receiveWords({json.dumps(name)}, {json.dumps({'unit': unit} | columns)});\n"
