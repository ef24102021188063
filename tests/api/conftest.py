"""Results of a small model of 60 words, made by the commands: two seeds, three checkpoints each, one experiment."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chains import VOCABULARY, Chain
from example_products import write_words
from natural_sparsity import cli, files

SEEDS, CHECKPOINTS = (3, 4), ("init", "epoch1", "epoch2")


def run(command: str, *given: str, **options: object) -> None:
    """Run a command; a list is several values."""
    words = [command, *given]
    for name, value in options.items():
        words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    cli.main(words)


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """The folder of results: data ``d``, model ``m``, experiment ``e``. Tests share it and write nothing there."""
    root, work = tmp_path_factory.mktemp("project") / "results", tmp_path_factory.mktemp("chain")
    chain = Chain(work)
    counts = np.bincount(np.load(work / "train.npy"), minlength=VOCABULARY)
    names = ["<unk>", "<eos>", "the", "cat", "sat", *(f"word{i}" for i in range(5, VOCABULARY))]
    classes = [None, None, *(["closed", "open"][i % 2] for i in range(2, VOCABULARY))]
    columns = {"id": np.arange(VOCABULARY), "word": names, "count": counts, "tagged": counts, "pos": None, "share": 1.0}
    frame = pd.DataFrame({**columns, "pos_class": classes})
    words = write_words(root / "data/d/words.parquet", frame, vocabulary=files.read_digest(work / "vocabulary.parquet"))
    condition = root / "experiments/e/d/m"
    for seed in SEEDS:
        chain.initialise(f"{seed}-0", seed=seed)
        chain.train(*(f"{seed}-{epoch}" for epoch in range(3)))
        folder, place = root / f"runs/d/m/seed{seed}", condition / f"seed{seed}/frozen"
        for epoch, name in enumerate(CHECKPOINTS):
            shutil.copytree(work / f"{seed}-{epoch}", folder / name)
        probes = [folder / name / "frozen.parquet" for name in CHECKPOINTS]
        given = {"tokens": work / "train.npy", "checkpoint": [path.parent for path in probes], "device": "cpu"}
        run("probe", **given, probe='{"batch": 8, "measures": ["chi", "gini"]}', output=probes)
        few = {"statistics": '{"resamples": 100}', "words": words, "probes": probes}
        out = {name: place / f"{name}.parquet" for name in ("correlations", "differences")}
        run("correlate", **few, **out)
        states = [path.with_name("state.json") for path in probes]
        run("tabulate", "claims", **few, checkpoints=states, title="Claims", output=place / "claims")
    claims = [condition / f"seed{seed}/frozen/claims.parquet" for seed in SEEDS]
    run("tabulate", "verdicts", claims=claims, title="Verdicts", output=condition / "frozen/verdicts")
    shutil.copy(work / "train.npy", root / "train.npy")
    return root
