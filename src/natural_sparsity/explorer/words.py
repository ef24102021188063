"""The vocabulary as the explorer has it, and how its data and its words are matched."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.word_sets import COLUMNS, select_words
from natural_sparsity.errors import UserError

# The columns that the page has.
SHOWN = ["word", "count", "pos", "pos_class"]
# What the page calls a set of words, and the sets it consists of.
SETS = {
    "matched": ["open_matched", "closed_matched"],
    "paired": ["open_paired", "closed_paired"],
    "frequent": ["frequent"],
    "rare": ["rare"],
}


def read_words(path: Path) -> pd.DataFrame:
    """What :data:`SHOWN` and the sets of words need, of every entry of the vocabulary, by id.

    Raises:
        UserError: the file is no words table, or its rows are not in the order of their ids.
    """
    frame = files.read_parquet(path, list(dict.fromkeys(["id", *SHOWN, *COLUMNS])))
    if frame["id"].tolist() != list(range(len(frame))):
        raise UserError(f"{path}: its ids are not 0, 1, 2 …; give the right file")
    return frame


def digest(words: pd.DataFrame) -> str:
    """SHA-256 of the words and their counts, by which packed data know their vocabulary."""
    content = json.dumps([words["word"].tolist(), words["count"].tolist()])
    return hashlib.sha256(content.encode()).hexdigest()


def write_script(name: str, words: pd.DataFrame, unit: str) -> str:
    """The script that hands over the vocabulary of the data called ``name``, whose entries are a ``unit`` each.

    The ids of each of :data:`SETS` that has words come along.
    """
    columns = {key: words[key].astype(object).where(words[key].notna(), None).tolist() for key in SHOWN}
    by_name = select_words(words)
    sets = {key: np.sort(np.concatenate([by_name[part] for part in parts])).tolist() for key, parts in SETS.items()}
    content = {"unit": unit, "sets": {key: ids for key, ids in sets.items() if ids}}
    return f"explorer.receiveWords({json.dumps(name)}, {json.dumps(content | columns)});\n"
