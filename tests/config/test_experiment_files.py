"""Each file in experiments/ is valid on top of the files that its header names."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from natural_sparsity.config.derive import families
from natural_sparsity.config.validation import validate

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(ROOT.glob("experiments/*.yaml"))


def merge(below, above):
    """What Snakemake makes of two configuration files."""
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            merge(below[key], value)
        else:
            below[key] = copy.deepcopy(value)
    return below


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read(path):
    """The configuration of the command in the header of a file."""
    [files] = re.findall(r"--configfile((?: experiments/\S+\.yaml)+)", path.read_text(encoding="utf-8"))
    assert files.split()[-1] == f"experiments/{path.name}"
    config = load(ROOT / "config.yaml")
    for name in files.split():
        merge(config, load(ROOT / name))
    return config


def make_local_files(config, folder):
    """Empty files at the local paths of sources and word vectors, so that they are there."""
    sources = [block.get("source", {}) for block in config["data"].values()]
    sources += [split for source in sources for split in source.values() if isinstance(split, dict)]
    sources += [block.get("architecture", {}).get("vectors") or {} for block in config["models"].values()]
    for paths in (source.get("path", []) for source in sources):
        for path in [paths] if isinstance(paths, str) else paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()


@pytest.fixture
def configuration(path, tmp_path, monkeypatch):
    """An experiment's configuration, with empty files in place of those that the user is to bring."""
    config = read(path)
    make_local_files(config, tmp_path)
    monkeypatch.chdir(tmp_path)
    return validate(config)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_each_experiment_is_valid(path, configuration):
    families(configuration)
    used = {run.data for run in configuration.runs}
    assert set(load(path).get("data", used)) <= used, "data on which nothing is trained"


@pytest.mark.parametrize("path", sorted(ROOT.glob("experiments/lottery*.yaml")), ids=lambda path: path.stem)
def test_tickets_are_compared_on_one_schedule(configuration):
    """By the default rule each model would lower its rate in epochs of its own."""
    members = [member for run in configuration.runs for member in families(configuration)[run.model]]
    assert all(member.training.milestones is not None for member in members)
    for run in configuration.runs:
        dense = configuration.models[run.model].sparsify
        used = {tuple(member.training.milestones) for member in families(configuration)[run.model]}
        assert dense is None or used == {tuple(configuration.models[dense.of].training.milestones)}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_what_is_compared_with_a_dense_model_has_a_schedule_that_is_given(configuration):
    """Milestones, or a constant rate: none that each model lowers by its own dev loss."""
    made = families(configuration)
    trainings = [member.training for run in configuration.runs for member in made[run.model] if member.method]
    assert all(training.milestones is not None or training.decay is None for training in trainings)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_headers_name_results_where_they_are(path):
    places = re.findall(r"results/\S+", path.read_text(encoding="utf-8"))
    assert all(place.startswith(f"results/experiments/{path.stem}/") for place in places)


def test_experiments_can_share_a_folder_of_results():
    """Runs are in results/runs/DATA/MODEL, whatever experiment they are of: the same names must be the same models."""
    data, models = {}, {}
    for path in EXPERIMENTS:
        config = read(path)
        for run in config["runs"]:
            block = config["models"][run["model"]]
            dense = config["models"].get(block.get("sparsify", {}).get("of"))
            for known, key, found in [
                (data, run["data"], config["data"][run["data"]]),
                (models, (run["data"], run["model"]), (block, dense)),
            ]:
                first, other = known.setdefault(key, (path.name, found))
                assert other == found, f"{path.name} and {first} mean different things by {key}"
