"""Tasks as nodes of the graph."""

import re

import pytest
import yaml
from harness import ROOT, TINY

from natural_sparsity import files
from natural_sparsity.config import validate
from natural_sparsity.errors import UserError

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"

RNN = {"architecture": {"hidden": [8]}, "training": {"steps": 5, "batch": 4}}


def changes(runs=None, **models):
    runs = runs or [{"task": "adding", "model": model, "epochs": 2} for model in ("rnn", *models)]
    tasks = {"adding": {"kind": "addition", "steps": 5, "held_out": 50}}
    return {"tasks": tasks, "task_models": {"rnn": RNN, **models}, "runs": runs}


def test_a_task_is_trained_and_evaluated_and_nothing_of_a_corpus_is_made(fresh):
    torus = {"sparsify": {"method": "moduli", "of": "rnn", "ramp": 2, "retrain": True}}
    planned = fresh.planned("tasks", changes=changes(torus=torus))
    assert planned == {"initialise_task": 1, "sparsify_task": 2, "train_task": 6, "evaluate_task": 3}


def test_spaces_are_compared_and_drawn(fresh):
    """Real jobs."""
    given = changes(
        **{
            name: {"sparsify": {"method": "moduli", "of": "rnn", "ramp": 2, "space": name}}
            for name in ("klein", "circle")
        }
    )
    fresh.run("moduli", changes={**given, "epochs_per_job": {"train_epoch": 2}})
    folder = fresh.folder / "results/adding"
    assert "| klein, rnn | klein | dog, inverted | none | 0.1 | 1 |" in (folder / "moduli.md").read_text(
        encoding="utf-8"
    )
    assert (folder / "figures/connectivity.png").exists()
    assert (folder / "figures/network.png").exists()
    assert (folder / "moduli.html").exists()


def test_language_models_are_compared_by_space_as_those_of_tasks_are(fresh):
    torus = {"sparsify": {"method": "moduli", "of": "small", "ramp": 1, "retrain": True}}
    given = {"models": {"torus": torus}, "runs": [{"corpus": "tiny", "model": model} for model in ("small", "torus")]}
    planned = fresh.planned("moduli", changes=given)
    assert planned["evaluate"] == 3
    assert planned["compare_moduli"] == planned["draw_connectivity"] == planned["draw_network"] == 1


def test_epochs_share_jobs(fresh):
    planned = fresh.planned("tasks", changes={**changes(), "epochs_per_job": {"train_epoch": 2}})
    assert planned == {"initialise_task": 1, "train_task_adding_rnn_1_to_2": 1, "evaluate_task": 1}


def test_a_run_of_a_task_to_the_end(fresh):
    fresh.run("tasks", changes=changes())
    found = files.read_json(fresh.folder / "results/adding/rnn/evaluation/epoch2.json")["evaluations"]
    assert [one["seed"] for one in found] == [1]
    assert 0 < found[0]["error"] < 5
    assert fresh.planned("tasks", changes=changes()) == {}
    other = changes()
    other["tasks"]["adding"]["steps"] = 6
    assert fresh.planned("tasks", changes=other)["initialise_task"] == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"runs": [{"task": "adding", "corpus": "tiny", "model": "rnn"}]}, "runs.0: give a corpus or a task, not both"),
        ({"runs": [{"model": "rnn"}]}, "runs.0: give a corpus or a task"),
        ({"runs": [{"task": "adding", "model": "small"}]}, "runs.0.model: 'small' is not among task_models (rnn)"),
        ({"runs": [{"task": "add", "model": "rnn"}]}, "runs.0.task: 'add' is not among tasks (adding)"),
        (
            {"runs": [{"task": "adding", "model": "rnn", "probes": ["frozen"]}]},
            "runs.0.probes: probes are keyed by words, and a task has none; leave them out",
        ),
        ({"tasks": {"adding": {"kind": "subtraction"}}}, "tasks.adding.kind: 'subtraction' is no kind; the kinds are"),
        ({"tasks": {"adding": {"step": 5}}}, "tasks.adding: unknown key 'step'; did you mean 'steps'?"),
        ({"tasks": {"tiny": {"kind": "addition"}}}, "tasks.tiny: tiny is also the name of a corpus; rename one"),
        ({"task_models": {"small": {}}}, "task_models.small: small is also the name of one of models; rename one"),
        (
            {"task_models": {"g": {"architecture": {"cell": "gru", "activation": "tanh"}}}},
            "task_models.g.architecture.activation: it is Elman's, and the cell is gru; leave it out",
        ),
        (
            {"task_models": {"d": {"sparsify": {"method": "distil", "of": "rnn"}}}},
            "task_models.d.sparsify.method: distil is for language models; those for tasks are",
        ),
        (
            {"task_models": {"m": {"sparsify": {"method": "moduli", "of": "rnn", "ramp": 9}}}, "runs": "m"},
            "runs.1: m is not at its density before epoch 9, but its run has 2 epochs",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals(change, line):
    given = changes()
    for key, value in change.items():
        if value == "m":
            given["runs"].append({"task": "adding", "model": "m", "epochs": 2})
        elif key == "runs":
            given[key] = value
        else:
            for name, block in value.items():
                given[key][name] = {**given[key].get(name, {}), **block}
    config = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        validate({**config, **given}, SCHEMA)
