"""What the results were made with: a row per run, and the page for reading."""

import json
from importlib import metadata

import pytest

from example_products import write_state
from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.report import describe


@pytest.fixture
def states(tmp_path):
    """Two epochs of one seed, the second on another device, and one of another."""
    made_with = {"threads": 1, "python": "3.11", "versions": {"torch": "2.13.0"}, "wall_time_s": 10.5}
    return [
        write_state(tmp_path / "2.json", epoch=2, device="cuda", train_loss=4.0, dev_loss=4.5, **made_with),
        write_state(tmp_path / "1.json", epoch=1, device="cpu", **made_with),
        write_state(tmp_path / "other.json", seed=2, epoch=1, kind="shuffled", device="cpu", **made_with),
    ]


def test_a_row_per_run_from_what_its_states_say(states):
    first, second = describe.summarise_runs(states)
    assert (first["data"], first["model"], first["seed"], first["epochs"]) == ("corpus", "lstm", 1, 2)
    assert first["device"] == "cuda, cpu"
    assert (first["seconds of training"], first["last train loss"], first["last dev loss"]) == (21, 4.0, 4.5)
    assert (second["seed"], second["epochs"], second["torch"]) == (2, 1, "2.13.0")
    assert [run["kind of data"] for run in (first, second)] == ["text", "shuffled"]


def test_the_page_has_runs_versions_and_configuration(states, tmp_path):
    configuration = {"models": {"lstm": {"training": {"learning_rate": 20}}}}
    given = ["--checkpoints", *map(str, states), "--configuration", json.dumps(configuration), "--commit", "<abc>"]
    main(["describe", *given, "--json", f"{tmp_path}/p.json", "--page", f"{tmp_path}/p.html"])
    facts = files.read_json(tmp_path / "p.json")
    assert facts["configuration"] == configuration
    assert "natural-sparsity" in facts["versions"] and "pandas" in facts["versions"]
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "learning_rate: 20" in page and "&lt;abc&gt;" in page and facts["versions"]["pandas"] in page


@pytest.mark.parametrize("without", ["spacy", "natural-sparsity"])
def test_packages_that_are_not_installed_are_named(without, monkeypatch):
    """As on a GPU machine that trains on text prepared elsewhere."""
    read = metadata.distribution

    def distribution(name):
        if name == without:
            raise metadata.PackageNotFoundError(name)
        return read(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    versions = describe.list_versions()
    assert versions[without] == "not installed"
    assert ("torch" in versions) == (without == "spacy")
