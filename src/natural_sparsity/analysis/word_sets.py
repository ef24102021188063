"""The sets of words over which correlations and means are taken."""

import numpy as np
import pandas as pd

from natural_sparsity.corpus.vocabulary import SPECIALS

# What of the words table decides which set a word is in; ``id`` beside them.
COLUMNS = ["count", "pos_class", "matched", "pair"]
# Sets whose words are pairs, in the same order: a resample draws pairs.
PAIRED = ("open_paired", "closed_paired")


def select_words(words: pd.DataFrame) -> dict[str, np.ndarray]:
    """The ids of the words in each set: of words that occur in training, without ``<unk>`` and ``<eos>``.

    ``all``, each class, and its words in the matched ranges, in the order of ``words``; its words in whole pairs of
    nearest frequency, by number of the pair; the more frequent half of ``all`` and the rarer, by falling count and then
    by id (of an odd number, the one in the middle is rare).

    Args:
        words: ``id`` and :data:`COLUMNS`.
    """
    words = words[words["count"] > 0]
    real = words[words["id"] >= len(SPECIALS)]
    classes = {name: words[words["pos_class"] == name] for name in ("open", "closed")}
    paired = words[words["pair"] >= 0]
    whole = paired[paired["pair"].duplicated(keep=False)].sort_values("pair")
    falling = real.sort_values(["count", "id"], ascending=[False, True])
    sets = {
        "all": real,
        **classes,
        **{f"{name}_matched": part[part["matched"]] for name, part in classes.items()},
        **{f"{name}_paired": whole[whole["pos_class"] == name] for name in classes},
        "frequent": falling[: len(real) // 2],
        "rare": falling[len(real) // 2 :],
    }
    return {name: part["id"].to_numpy() for name, part in sets.items()}
