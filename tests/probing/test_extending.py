"""The worked example of docs/own-measure.md: a measure added to a copy of the project, configured and probed."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from test_probe import VOCABULARY, brute_force, small_model

from natural_sparsity import files
from natural_sparsity.model import checkpoint
from natural_sparsity.probing.gathering import tensor_names
from worked_examples import ROOT, copy_project, follow, pick, read_example, run_python

BATCH, STEPS = 40, 14
# What Snakefile and rule do with a configuration.
RUN = """
import sys, yaml
from natural_sparsity.cli import main
from natural_sparsity.config.validation import validate
probe = validate(yaml.safe_load(open("config.yaml"))).probes["frozen"]
main(["probe", *sys.argv[1:], "--probe", probe.model_dump_json()])
"""


@pytest.mark.integration
@pytest.mark.parametrize("joined", [False, True], ids=["the function", "with its joined form"])
def test_the_example_is_measured_at_every_tensor(tmp_path, joined):
    blocks = read_example("Add a measure")
    *first, fast = [block for block in blocks if block.path]
    assert "def peak_joined(" in fast.text
    project = copy_project(tmp_path)
    follow([*first, fast] if joined else first, project)
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | yaml.safe_load(pick(blocks, "yaml")[0])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    tokens = np.random.default_rng(3).integers(VOCABULARY, size=BATCH * (STEPS + 1))
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint8), {"split": "train", "vocabulary": 0})
    model = small_model(torch.float32)
    state = {**dict.fromkeys(checkpoint.FIELDS, 0), "kind": "text", "block": {}, "sparsify": {}}
    checkpoint.save(tmp_path / "epoch1", model, state)

    given = ["--tokens", "train.npy", "--checkpoint", "epoch1", "--output", "probe.parquet", "--device", "cpu"]
    run_python(RUN, *given, project=project, folder=tmp_path)

    columns = torch.from_numpy(tokens).view(BATCH, STEPS + 1).T
    tensors, _ = brute_force(model.double(), columns[:-1], columns[1:], model.zero_state(BATCH))
    table = pd.read_parquet(tmp_path / "probe.parquet").set_index(["role", "tensor", "id"]).sort_index()
    for name, tensor in zip(tensor_names(2), tensors, strict=True):
        c = tensor.detach().flatten(0, 1).abs().numpy()
        expected = pd.Series(c.max(1) / c.sum(1)).groupby(columns[1:].flatten().numpy()).mean()
        np.testing.assert_allclose(table.loc["target", name]["peak_mean"], expected, rtol=1e-4, err_msg=name)
