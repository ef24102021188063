"""The worked example of docs/own-method.md: a method added to a copy of the project, configured and trained."""

import json

import numpy as np
import pytest
import yaml

from worked_examples import copy_project, follow, pick, read_example, run_python

# What Snakefile and rules do with a configuration, and with a smaller bound.
RUN = """
import json
from pathlib import Path

import yaml
from chains import Chain

from natural_sparsity.config.validation import validate
from natural_sparsity.errors import UserError

config = yaml.safe_load(Path("config.yaml").read_text())
blocks = [json.loads(validate(config).models["lstm-bounded"].sparsify.model_dump_json())]
del config["models"]["lstm-bounded"]["sparsify"]["bound"]
blocks.append(json.loads(validate(config).models["lstm-bounded"].sparsify.model_dump_json()))
config["models"]["lstm-bounded"]["sparsify"]["bound"] = 0
try:
    validate(config)
except UserError as error:
    blocks.append(str(error))

largest = {}
for kind in ("text", "addition"):
    chain = Chain(Path.cwd() / kind, kind)
    chain.initialise()
    chain.train("dense0", "bounded1", **{**blocks[0], "bound": 0.12})
    chain.train("dense0", "dense1")
    for name in ("bounded1", "dense1"):
        parameters = chain.load(name)[0].values()
        largest[f"{kind} {name}"] = max(float(parameter.detach().abs().max()) for parameter in parameters)
print(json.dumps({"blocks": blocks, "largest": largest, "sparsify": chain.load("bounded1")[2]["sparsify"]}))
"""


@pytest.mark.integration
def test_the_example_of_a_new_method_runs(tmp_path):
    blocks = read_example("Add a sparsification method")
    project = copy_project(tmp_path)
    follow(blocks, project)
    (tmp_path / "sample").write_text("x")
    [configuration] = pick(blocks, "yaml")
    config = {"data": {"sample": {"source": {"path": "sample"}}}, **yaml.safe_load(configuration)}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    for kind in ("text", "addition"):
        (tmp_path / kind).mkdir()

    printed = json.loads(run_python(RUN, project=project, folder=tmp_path))
    chosen, default, refusal = printed["blocks"]
    assert chosen == {"method": "bounded", "bound": 0.5}
    assert default == {"method": "bounded", "bound": 1}
    assert refusal == "models.lstm-bounded.sparsify.bound: 0 is not a number above 0"
    largest = printed["largest"]
    assert largest["text bounded1"] == largest["addition bounded1"] == float(np.float32(0.12))
    assert min(largest["text dense1"], largest["addition dense1"]) > 0.2
    assert printed["sparsify"] == {"method": "bounded", "bound": 0.12}
