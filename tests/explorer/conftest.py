"""A small run as the probe and the training write it, with words that a page could take for something else."""

import numpy as np
import pandas as pd
import pytest
from small_run import DROPS, EPOCHS, NEVER, PROBE, TENSORS, UNDEFINED, WORDS, write_data

from natural_sparsity import cli, files


@pytest.fixture(scope="session")
def words() -> pd.DataFrame:
    """The words table; parts of speech go around."""
    n = len(WORDS)
    frame = pd.DataFrame({"id": np.arange(n), "word": WORDS, "count": np.sort(10**6 // np.arange(1, n + 1))[::-1]})
    kinds = ["DET", "NOUN", "VERB", "ADP", None, "PROPN", "NUM", "PRON"]
    frame["pos"] = [None, None, *(kinds[i % len(kinds)] for i in range(n - 2))]
    classes = {"DET": "closed", "ADP": "closed", "PRON": "closed", "NOUN": "open", "VERB": "open", "PROPN": "open"}
    frame["pos_class"] = frame["pos"].map(classes)
    return frame.astype({"pos": "str", "pos_class": "str"})


@pytest.fixture(scope="session")
def probes(words) -> dict[int, pd.DataFrame]:
    """The probe of each epoch: χ rises with frequency, one word is never seen, one has no defined χ."""
    random = np.random.default_rng(0)
    count = words["count"].to_numpy()
    tables = {}
    for epoch in EPOCHS:
        parts = []
        for r, role in enumerate(("target", "input")):
            for t, tensor in enumerate(TENSORS):
                chi = 0.1 + 0.002 * epoch * (1 + t + r) * np.log(count) + random.normal(0, 0.004, len(words))
                part = pd.DataFrame({"id": words["id"], "role": role, "tensor": tensor, "count": count - r, "zeros": 1})
                part["chi_mean"], part["l1_mean"], part["l2_mean"] = chi, 10 / chi, 3 * chi
                part.loc[UNDEFINED, "chi_mean"], part.loc[UNDEFINED, "zeros"] = np.nan, count[UNDEFINED] - r
                parts.append(part.drop(index=NEVER))
        tables[epoch] = pd.concat(parts, ignore_index=True).astype({"role": "category", "tensor": "category"})
    return tables


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, words, probes) -> dict[str, list[str]]:
    """The files of the run, as the command's arguments."""
    folder = tmp_path_factory.mktemp("run")
    files.write_parquet(folder / "words.parquet", words)
    rate = 20.0
    for epoch, table in probes.items():
        after = rate / 4 if epoch in DROPS else rate
        state = {"epoch": epoch, "learning_rate_in": rate, "learning_rate_out": after}
        files.write_json(folder / f"state{epoch}.json", state | {"train_loss": 6 - epoch / 10, "dev_loss": None})
        files.write_parquet(
            folder / f"epoch{epoch}.parquet", table, {"epoch": epoch, "positions": 12345, "probe": PROBE}
        )
        rate = after
    return {
        "--probes": [str(folder / f"epoch{epoch}.parquet") for epoch in reversed(EPOCHS)],
        "--checkpoints": [str(folder / f"state{epoch}.json") for epoch in EPOCHS],
        "--words": [str(folder / "words.parquet")],
    }


@pytest.fixture(scope="session")
def explorer(tmp_path_factory, inputs):
    """The explorer's folder, for two seeds of which the second has two conditions."""
    folder = tmp_path_factory.mktemp("explorer")
    data = []
    for seed, condition in ((1, "frozen"), (2, "frozen"), (2, "training")):
        output = folder / f"small/lstm/seed{seed}/{condition}"
        write_data(inputs, "--run", f"small/lstm/seed{seed}", "--condition", condition, "--output", str(output))
        data.append(str(output))
    words = ["--corpora", "small", "--words", *inputs["--words"], "--units", "word"]
    cli.main(["explore", "--data", *data, *words, "--output", str(folder / "index.html")])
    return folder
