"""The golden manifest sees what changes, and only that."""

import json

import manifest
import numpy as np
import pandas as pd
import pytest
import yaml


@pytest.fixture
def results(tmp_path):
    """A folder of results with a product of each kind."""
    folder = tmp_path / "results"
    folder.mkdir()
    np.save(folder / "train.npy", np.arange(5))
    pd.DataFrame({"word": ["a", "b"], "count": [2, 1]}).to_parquet(folder / "words.parquet")
    pd.DataFrame({"rho": [0.1, 0.2], "speedup": [1.5, 1.6]}).to_csv(folder / "table.csv", index=False)
    (folder / "state.json").write_text(json.dumps({"loss": 1.25, "wall_time_s": 3.0, "digest": "x"}))
    return folder


def differences(before, after):
    return set(manifest.differences(before, after))


def test_one_changed_value_in_each_kind_of_product_is_seen(results):
    before = manifest.digest_results(results, "tiny")
    np.save(results / "train.npy", np.array([0, 1, 2, 4, 3]))
    pd.DataFrame({"word": ["a", "c"], "count": [2, 1]}).to_parquet(results / "words.parquet")
    pd.DataFrame({"rho": [0.1, 0.2 + 1e-15], "speedup": [1.5, 1.6]}).to_csv(results / "table.csv", index=False)
    (results / "state.json").write_text(json.dumps({"loss": 1.2500001}))
    assert differences(before, manifest.digest_results(results, "tiny")) == {
        ("tiny/train.npy", "array", "differs"),
        ("tiny/words.parquet", "word", "differs"),
        ("tiny/table.csv", "rho", "differs"),
        ("tiny/state.json", "loss", "differs"),
    }


def test_times_and_digests_are_left_out(results):
    before = manifest.digest_results(results, "tiny")
    pd.DataFrame({"rho": [0.1, 0.2], "speedup": [9.0, 9.0]}).to_csv(results / "table.csv", index=False)
    (results / "state.json").write_text(json.dumps({"loss": 1.25, "wall_time_s": 8.0, "digest": "y"}))
    assert differences(before, manifest.digest_results(results, "tiny")) == set()


def test_a_product_that_is_gone_and_a_new_field_are_seen(results):
    before = manifest.digest_results(results, "tiny")
    (results / "train.npy").unlink()
    (results / "state.json").write_text(json.dumps({"loss": 1.25, "score": 2}))
    assert differences(before, manifest.digest_results(results, "tiny")) == {
        ("tiny/train.npy", "*", "missing"),
        ("tiny/state.json", "score", "new"),
    }


def test_a_list_over_seeds_is_a_part_per_seed(tmp_path):
    path = tmp_path / "epoch1.json"
    path.write_text(json.dumps({"evaluations": [{"seed": 1, "loss": 2.0}, {"seed": 2, "loss": 3.0}], "digest": "x"}))
    assert manifest.read_json(path) == {"#seed1": {"seed": 1, "loss": 2.0}, "#seed2": {"seed": 2, "loss": 3.0}}


def test_only_what_is_explained_is_let_pass(tmp_path, monkeypatch, capsys):
    explanations = tmp_path / "differences.yaml"
    explanations.write_text(
        yaml.safe_dump(
            {
                "renamed": {"paths": {"^a/": "b/"}, "fields": {"b/*": {"old": "new"}}},
                "expected": [{"paths": ["b/x"], "field": "n", "what": ["differs"], "reason": "because"}],
            }
        )
    )
    monkeypatch.setattr(manifest, "EXPLANATIONS", explanations)
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(json.dumps({"a/x": {"old": "1", "n": "2", "m": "3"}}))
    after.write_text(json.dumps({"b/x": {"new": "1", "n": "9", "m": "3"}}))
    assert manifest.compare(before, after) == 0
    after.write_text(json.dumps({"b/x": {"new": "1", "n": "9", "m": "9"}}))
    assert manifest.compare(before, after) == 1
    assert "differs: b/x: m" in capsys.readouterr().out


def test_an_experiment_is_shortened():
    config = {
        "runs": [{"data": "a", "model": "b", "seeds": [1, 2, 3], "epochs": 48}],
        "models": {"b": {"sparsify": {"method": "gradual", "begin": 8, "end": 24}}},
    }
    short = manifest.shorten(config)
    assert short["runs"] == [{"data": "a", "model": "b", "seeds": [1, 2], "epochs": 3}]
    assert short["models"]["b"]["sparsify"] == {"method": "gradual", "begin": 0, "end": 2}
