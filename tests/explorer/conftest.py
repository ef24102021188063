"""A small run as the probe and the training write it, with words that a page could take for something else."""

import numpy as np
import pandas as pd
import pytest
from small_run import WORDS, make_probes, pack, write_inputs

from example_products import write_words
from natural_sparsity import cli


@pytest.fixture(scope="session")
def words() -> pd.DataFrame:
    """The words table; parts of speech go around."""
    n = len(WORDS)
    frame = pd.DataFrame({"id": np.arange(n), "word": WORDS, "count": np.sort(10**6 // np.arange(1, n + 1))[::-1]})
    kinds = ["DET", "NOUN", "VERB", "ADP", None, "PROPN", "NUM", "PRON"]
    frame["pos"] = [None, None, *(kinds[i % len(kinds)] for i in range(n - 2))]
    classes = {"DET": "closed", "ADP": "closed", "PRON": "closed", "NOUN": "open", "VERB": "open", "PROPN": "open"}
    frame["pos_class"] = frame["pos"].map(classes)
    frame["matched"] = frame["pos_class"].notna() & frame["id"].between(100, 160)
    pairs = zip(*(frame.index[frame["pos_class"] == name][:30] for name in ("open", "closed")), strict=True)
    frame["pair"] = -1
    for number, pair in enumerate(pairs):
        frame.loc[list(pair), "pair"] = number
    return frame.astype({"pos": "str", "pos_class": "str"})


@pytest.fixture(scope="session")
def probes(words) -> dict[int, pd.DataFrame]:
    """The probe of each epoch."""
    return make_probes(words)


@pytest.fixture(scope="session")
def words_file(tmp_path_factory, words):
    """The words table as a file."""
    path = tmp_path_factory.mktemp("words") / "words.parquet"
    write_words(path, words)
    return path


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, words_file, probes) -> dict[str, list[str]]:
    """The files of one run, as the command's arguments."""
    return write_inputs(tmp_path_factory.mktemp("run"), words_file, probes)


@pytest.fixture(scope="session")
def explorer(tmp_path_factory, words_file, probes):
    """The explorer's folder, for two seeds of which the second has two conditions."""
    folder, run = tmp_path_factory.mktemp("explorer"), tmp_path_factory.mktemp("runs")
    data = []
    for seed, condition in ((1, "frozen"), (2, "frozen"), (2, "training")):
        data.append(folder / f"small/lstm/seed{seed}/{condition}")
        pack(write_inputs(run, words_file, probes, seed, condition), data[-1])
    given = ["--data", *map(str, data), "--words", str(words_file), "--units", "word"]
    cli.main(["explore", *given, "--output", str(folder / "index.html")])
    return folder
