"""The controls of a run, with real jobs: the text in random order, and checkpoints inside the first epoch."""

import numpy as np
import pandas as pd
import pytest

from natural_sparsity import files

pytestmark = pytest.mark.slow

RUNS = "results/runs/{}/small/seed1"
CONDITION = "results/experiments/tiny/{}/small/frozen"
SEED = "results/experiments/tiny/{}/small/seed1/frozen"
RUN = {"model": "small", "seeds": [1], "epochs": 2}


def with_controls(first_epoch_checkpoints):
    runs = [{**RUN, "data": data, "first_epoch_checkpoints": first_epoch_checkpoints} for data in ("tiny", "mixed")]
    return {"data": {"mixed": {"kind": "shuffled", "of": "tiny"}}, "runs": runs}


def snapshot(folder):
    """When each file of the run on the text was written, and its correlations."""
    paths = [*(folder / RUNS.format("tiny")).glob("epoch*/*"), folder / SEED.format("tiny") / "correlations.parquet"]
    return {path: path.stat().st_mtime_ns for path in paths if path.is_file()}


def test_controls_are_added_to_a_finished_run(copied):
    before = snapshot(copied.folder)
    copied.run(changes=with_controls(3))
    assert snapshot(copied.folder) == before, "an epoch or the text's correlations were made again"
    assert copied.planned(changes=with_controls(3)) == {}

    text, mixed = (copied.folder / RUNS.format(data) for data in ("tiny", "mixed"))
    states = {name: files.read_json(folder / "init/state.json") for name, folder in (("text", text), ("mixed", mixed))}
    assert states["text"]["parameters"] == states["mixed"]["parameters"], "other initial weights"
    assert (states["mixed"]["kind"], states["mixed"]["data"]) == ("shuffled", "mixed")

    # The control is drawn, and the claims are compared with it and with the untrained model.
    folder = copied.folder / CONDITION.format("tiny")
    for name in ("fig3a", "fig3b", "fig4", "emergence"):
        assert "control" in set(pd.read_csv(folder / f"figures/chi/{name}.csv")["kind"]), name
    claims = pd.read_csv(copied.folder / SEED.format("tiny") / "claims.csv")
    assert claims["shuffled"].notna().any() and claims["untrained"].notna().any()
    of_control = pd.read_csv(copied.folder / SEED.format("mixed") / "claims.csv")
    assert of_control["shuffled"].isna().all(), "a control has no control"

    # Of each checkpoint, the tokens seen: ten streams, windows of 35.
    emergence = pd.read_csv(folder / "figures/chi/emergence.csv").query("kind != 'control' and kind != 'epoch_end'")
    assert sorted(emergence["tokens"].unique())[:4] == [0, 350, 700, 1400]
    assert sorted(emergence["epoch"].unique()) == [0, 1, 2]

    # The parameters inside the epoch lie on its way: further from the start the later.
    weights = [files_of(text / name) for name in ("init", "step1", "step2", "step4", "epoch1")]
    distances = [np.linalg.norm(later - weights[0]) for later in weights]
    assert sorted(distances) == distances and len(set(distances)) == len(distances)

    fewer = copied.planned(changes=with_controls(2))
    trained = {name for name in fewer if name.startswith(("train", "initialise", "correlate"))}
    assert trained == {"correlate_first_epoch"}
    assert fewer["probe"] == 4, "two runs have two checkpoints inside the first epoch, which are written again"


def files_of(checkpoint):
    """The embedding of a checkpoint."""
    from safetensors.numpy import load_file

    return load_file(checkpoint / "parameters.safetensors")["embedding.weight"]
