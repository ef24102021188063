"""Which words each set has."""

import numpy as np
import pandas as pd

from natural_sparsity.analysis.word_sets import PAIRED, select_words


def make_words():
    """Specials, a word without a class, open and closed words; one of each class never occurs in training."""
    rows = [
        (0, 50, None, False, -1),
        (1, 60, None, False, -1),
        (2, 30, None, False, -1),
        (3, 20, "open", True, 1),
        (4, 20, "closed", True, 0),
        (5, 20, "open", False, 0),
        (6, 9, "closed", False, 1),
        (7, 8, "open", False, 2),
        (8, 0, "closed", False, 2),
        (9, 0, None, False, -1),
        (10, 7, "open", True, -1),
    ]
    return pd.DataFrame(rows, columns=["id", "count", "pos_class", "matched", "pair"])


def test_each_set_has_its_words():
    sets = {name: ids.tolist() for name, ids in select_words(make_words()).items()}
    assert sets == {
        "all": [2, 3, 4, 5, 6, 7, 10],
        "open": [3, 5, 7, 10],
        "closed": [4, 6],
        "open_matched": [3, 10],
        "closed_matched": [4],
        # By the number of the pair: the words of a pair stand at the same place. The third pair is not whole.
        "open_paired": [5, 3],
        "closed_paired": [4, 6],
        # Seven words: three are frequent; of the equally frequent 3, 4 and 5 the first two.
        "frequent": [2, 3, 4],
        "rare": [5, 6, 7, 10],
    }
    assert set(PAIRED) < set(sets)


def test_without_classes_only_the_words_themselves_are_left():
    words = make_words().assign(pos_class=pd.Series([None] * 11, dtype="str"), matched=False, pair=np.int32(-1))
    sizes = {name: len(ids) for name, ids in select_words(words).items()}
    assert sizes.pop("all") == 7 and (sizes.pop("frequent"), sizes.pop("rare")) == (3, 4)
    assert set(sizes.values()) == {0}
