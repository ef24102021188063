"""The worked example of docs/extending.md: a measure added to a copy of the package, configured and probed."""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from test_probe import VOCABULARY, brute_force, small_model

from natural_sparsity import files
from natural_sparsity.model import checkpoint
from natural_sparsity.probing.gather import tensor_names

ROOT = Path(__file__).parents[2]
BATCH, STEPS = 40, 14
# What Snakefile and rule do with a configuration.
RUN = """
import json, sys, yaml
from pathlib import Path
from natural_sparsity.cli import main
from natural_sparsity.config import validate
config = validate(yaml.safe_load(open(sys.argv[1])), Path(sys.argv[2]))
block = {key: value for key, value in config["probes"]["frozen"].items() if key != "split"}
main(["probe", *sys.argv[3:], "--probe", json.dumps(block)])
"""


def example():
    """The section's blocks of Python and its configuration."""
    section = re.split("^# ", (ROOT / "docs/extending.md").read_text(), flags=re.MULTILINE)
    section = next(text for text in section if text.startswith("Adding a measure\n"))
    blocks = defaultdict(list)
    for indent, language, text in re.findall(r"^( *)```(\w+)\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL):
        blocks[language].append(re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
    return blocks["python"], yaml.safe_load(blocks["yaml"][0])


@pytest.mark.parametrize("joined", [False, True], ids=["the function", "with its joined form"])
def test_the_example_is_measured_at_every_tensor(tmp_path, joined):
    (function, entry, fast), changes = example()
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    with (tmp_path / "src/natural_sparsity/probing/measures.py").open("a") as module:
        module.write("\n\n".join([function, entry, *([fast] if joined else [])]))
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | changes
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    tokens = np.random.default_rng(3).integers(VOCABULARY, size=BATCH * (STEPS + 1))
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint8))
    model = small_model(torch.float32)
    state = dict.fromkeys(checkpoint.FIELDS, 0)
    checkpoint.save(model, tmp_path / "model.safetensors", tmp_path / "model.json", state)

    given = {"tokens": "train.npy", "parameters": "model.safetensors", "state": "model.json", "output": "probe.parquet"}
    arguments = [argument for key, name in given.items() for argument in (f"--{key}", str(tmp_path / name))]
    command = [sys.executable, "-c", RUN, "config.yaml", str(ROOT / "workflow/schemas/config.schema.yaml"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr

    columns = torch.from_numpy(tokens).view(BATCH, STEPS + 1).T
    tensors, _ = brute_force(model.double(), columns[:-1], columns[1:], model.zero_state(BATCH))
    table = pd.read_parquet(tmp_path / "probe.parquet").set_index(["role", "tensor", "id"]).sort_index()
    for name, tensor in zip(tensor_names(2), tensors, strict=True):
        c = tensor.detach().flatten(0, 1).abs().numpy()
        expected = pd.Series(c.max(1) / c.sum(1)).groupby(columns[1:].flatten().numpy()).mean()
        np.testing.assert_allclose(table.loc["target", name]["peak_mean"], expected, rtol=1e-4, err_msg=name)
