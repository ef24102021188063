"""docs/extending.md, followed to the letter."""

import re
import textwrap
from pathlib import Path

import numpy as np
import yaml
from chains import Chain

from natural_sparsity import sparsify
from natural_sparsity.config import validate
from natural_sparsity.sparsify.methods import METHODS

ROOT = Path(__file__).parents[2]


def blocks():
    """The page's blocks of code: the module, its entry, its schema, a configuration."""
    page = (ROOT / "docs/extending.md").read_text().split("# Adding a sparsification method")[1]
    return [textwrap.dedent(code) for code in re.findall(r"^ +```\w+\n(.*?)^ +```$", page, re.M | re.S)]


def test_the_example_of_a_new_method_runs(tmp_path, monkeypatch):
    module, entry, schema, configuration = blocks()
    (tmp_path / "bounded.py").write_text(module)
    monkeypatch.setattr(sparsify, "__path__", [*sparsify.__path__, str(tmp_path)])
    monkeypatch.setattr(sparsify.__spec__, "submodule_search_locations", sparsify.__path__)
    monkeypatch.setitem(METHODS, "bounded", None)
    exec(entry)

    whole = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    whole["$defs"].update(yaml.safe_load(schema))
    whole["$defs"]["model"]["properties"]["sparsify"]["oneOf"].append({"$ref": "#/$defs/bounded"})
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(whole))
    (tmp_path / "text").write_text("x")
    config = {"corpora": {"sample": {"source": {"path": str(tmp_path / "text")}}}, **yaml.safe_load(configuration)}
    model = validate(config, tmp_path / "schema.yaml")["models"]["lstm-bounded"]
    assert (model["sparsify"], model["parents"]) == ({"method": "bounded", "bound": 0.5}, {})
    del config["models"]["lstm-bounded"]["sparsify"]["bound"]
    assert validate(config, tmp_path / "schema.yaml")["models"]["lstm-bounded"]["sparsify"]["bound"] == 1

    chain = Chain(tmp_path)
    chain.initialise()
    chain.train("dense0", "bounded1", method="bounded", bound=0.12)
    chain.train("dense0", "dense1")
    bounded, _, state = chain.load("bounded1")
    assert max(float(parameter.detach().abs().max()) for parameter in bounded.values()) == single(0.12)
    assert max(float(parameter.detach().abs().max()) for parameter in chain.load("dense1")[0].values()) > 0.2
    assert state["sparsify"] == {"method": "bounded", "bound": 0.12}


def single(value):
    """As single precision holds it."""

    return float(np.float32(value))
