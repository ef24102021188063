"""The conda environment is the one that pip installs."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_the_conda_environment_has_the_pins_of_the_package():
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    environment = yaml.safe_load((ROOT / "envs/natural-sparsity.yaml").read_text(encoding="utf-8"))
    assert environment["dependencies"][-1]["pip"] == pins
    assert environment["channels"][-1] == "nodefaults"
