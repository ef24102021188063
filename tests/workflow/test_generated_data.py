"""Data that are drawn while a model trains, by the rules of all other data."""

import pytest

from natural_sparsity import files

RNN = {
    "architecture": {"hidden": [8], "cell": "rnn", "activation": "relu", "dropout": 0},
    "training": {"optimizer": "adam", "learning_rate": 0.001, "clip": 1, "steps": 5, "batch": 4},
}


def changes(runs=None, **models):
    runs = runs or [{"data": "adding", "model": model, "epochs": 2} for model in ("rnn", *models)]
    data = {"adding": {"kind": "addition", "steps": 5, "held_out": 50}}
    return {"data": data, "models": {"rnn": RNN, **models}, "runs": runs}


def test_models_are_trained_and_evaluated_and_nothing_of_a_text_is_made(fresh):
    torus = {"sparsify": {"method": "moduli", "of": "rnn", "ramp": 2, "retrain": True}}
    planned = fresh.planned("evaluations", changes=changes(torus=torus))
    assert planned == {"initialise": 1, "sparsify": 2, "train": 6, "evaluate": 3}


def test_all_that_there_is_of_generated_data(fresh):
    half = {"sparsify": {"method": "one_shot", "of": "rnn", "levels": 1}}
    planned = fresh.planned(changes=changes(half=half))
    shown = {"tabulate_lottery": 1, "draw_lottery": 1, "draw_architecture": 1, "draw_chi": 1, "gallery": 1}
    assert planned == {"initialise": 1, "sparsify": 1, "train": 4, "evaluate": 2, **shown}


def test_spaces_are_compared_and_drawn(fresh):
    """Real jobs."""
    given = changes(
        **{
            name: {"sparsify": {"method": "moduli", "of": "rnn", "ramp": 2, "space": name}}
            for name in ("klein", "circle")
        }
    )
    fresh.run("moduli", changes={**given, "epochs_per_job": {"train": 2}})
    folder = fresh.folder / "results/experiments/tiny/adding"
    table = (folder / "moduli.md").read_text(encoding="utf-8")
    assert "klein" in table and "circle" in table and "dog, inverted" in table
    assert (folder / "figures/connectivity.png").exists()
    assert (folder / "figures/network.png").exists()
    assert (folder / "moduli.html").exists()


def test_language_models_are_compared_by_space_as_all_others_are(fresh):
    torus = {"sparsify": {"method": "moduli", "of": "small", "ramp": 1, "retrain": True}}
    given = {"models": {"torus": torus}, "runs": [{"data": "tiny", "model": model} for model in ("small", "torus")]}
    planned = fresh.planned("moduli", changes=given)
    assert planned["evaluate"] == 3
    assert planned["tabulate_moduli"] == planned["draw_connectivity"] == planned["draw_network"] == 1


def test_epochs_share_jobs(fresh):
    planned = fresh.planned("evaluations", changes={**changes(), "epochs_per_job": {"train": 2}})
    assert planned == {"initialise": 1, "train_adding_rnn_1_to_2": 1, "evaluate": 1}


@pytest.mark.parametrize(
    "settings", [{"kind": "addition", "steps": 5}, {"kind": "navigation", "steps": 5, "cells": 30}]
)
def test_a_run_to_the_end(fresh, settings):
    given = changes()
    given["data"]["adding"] = {**settings, "held_out": 50}
    fresh.run("evaluations", changes=given)
    found = files.read_json(fresh.folder / "results/runs/adding/rnn/seed1/epoch2/evaluation.json")
    assert (found["data"], found["model"], found["seed"], found["kind"]) == ("adding", "rnn", 1, settings["kind"])
    assert 0 < found["score"] < 200
    assert fresh.planned("evaluations", changes=given) == {}
    given["data"]["adding"]["steps"] = 6
    assert fresh.planned("evaluations", changes=given)["initialise"] == 1
