"""Every benchmark runs, at a size that takes seconds, and their runner reports each, failed ones included."""

import csv
import importlib
import json
import math
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from natural_sparsity import files
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.held_out import evaluate
from natural_sparsity.methods.base import Place, make_method
from natural_sparsity.model import tuning
from natural_sparsity.model.recurrent import Interface, RecurrentModel
from natural_sparsity.training.loop import run_steps
from natural_sparsity.training.steps import make_step

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = {path.stem for path in FOLDER.glob("*.py")} - {"common", "run"}
# Two need the files of a corpus; one writes the table of block sizes.
BY_HAND = {"growth", "memory", "tune"}
# Packages that a GPU machine may lack.
ABSENT = ["spacy", "snakemake", "gensim", "playwright", "plotly", "psutil", "hypothesis"]


@pytest.fixture
def load(monkeypatch):
    """Import a benchmark by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def run_tiny(name, folder):
    """Run a script; return what it printed."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--tiny", "--output", str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    results = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    assert results
    assert all(result["machine"] and result["versions"] for result in results)
    return process.stdout


@pytest.mark.slow
def test_all_run_at_a_tiny_size_and_the_table_has_each(tmp_path):
    table = run_tiny("run", tmp_path).split("| Benchmark")[1].splitlines()[2:]
    rows = "training probe measures passes folding sentences tagging explorer peer overhead"
    assert [row for row in rows.split() if not any(line.startswith(f"| {row}") for line in table)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SCRIPTS & BY_HAND))
def test_a_benchmark_that_runs_by_hand(name, tmp_path):
    run_tiny(name, tmp_path)


def test_the_runner_knows_each_benchmark(load):
    assert {script for script, *_ in load("run").BENCHMARKS} == SCRIPTS - BY_HAND


@pytest.mark.integration
def test_a_failing_benchmark_gets_a_row_and_a_status_and_the_others_still_run(load, tmp_path, monkeypatch, capsys):
    run = load("run")
    save = "import json, pathlib, sys; folder = pathlib.Path(sys.argv[sys.argv.index('--output') + 1])\n"
    result = {"ours": 20_000, "reference": 5000, "ratio": 4, "unit": "tokens/s"}
    scripts = {
        "first": f"(folder / 'part.json').write_text('{json.dumps(result | {'name': 'part'})}'); raise SystemExit(3)",
        "second": f"(folder / 'whole.json').write_text('{json.dumps(result | {'name': 'whole'})}')",
        "third": "",
    }
    for name, text in scripts.items():
        (tmp_path / f"{name}.py").write_text(save + text)
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.setattr(run, "BENCHMARKS", [("first", "--some", "1"), ("second",), ("third",)])
    monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(tmp_path / "results")])
    with pytest.raises(SystemExit) as stop:
        run.main()
    assert stop.value.code == 1
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines() if line]
    assert lines[0] == list(run.HEADS) and all(set(cell) == {"-"} for cell in lines[1])
    assert [row[:5] for row in lines[2:]] == [
        ["part", "20,000", "5,000", "tokens/s", "4.00"],
        ["first --some 1", "FAILED", "", "exit status 3", ""],
        ["whole", "20,000", "5,000", "tokens/s", "4.00"],
        ["third", "not measured", "", "", ""],
    ]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"part.json", "whole.json"}
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "second", "--output", str(tmp_path / "results")])
    with pytest.raises(SystemExit) as stop:
        run.main()
    assert not stop.value.code
    assert "first" not in capsys.readouterr().out


@pytest.mark.integration
@pytest.mark.parametrize("name", ["training", "probe", "folding", "peer", "run"])
def test_it_can_be_imported_where_only_torch_and_the_like_are(name):
    script = f"import sys; sys.modules |= dict.fromkeys({ABSENT}); sys.path.insert(0, {str(FOLDER)!r}); import {name}"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_a_precision_that_there_is_not_is_refused(load, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["training.py", "--precision", "hihg"])
    with pytest.raises(SystemExit):
        load("common").arguments("Measure.", {}, precision="highest")
    assert "invalid choice: 'hihg'" in capsys.readouterr().err


def test_a_result_says_what_is_installed(load, monkeypatch, tmp_path):
    common = load("common")
    monkeypatch.setattr(common, "PACKAGES", ("torch", "no-such-package"))
    common.write(tmp_path, "name", {})
    written = json.loads((tmp_path / "name.json").read_text())
    assert written["versions"] == {"torch": version("torch"), "no-such-package": "not installed"}


def test_a_processors_rows_are_replaced_as_a_whole_or_not_at_all(load, tmp_path):
    tune, path = load("tune"), tmp_path / "tuning.csv"
    path.write_text("as it was")
    rows = [
        tune.to_row(tuning.choose(words, "amd")._replace(probe_lstm="library"), limit)
        for words, limit in tune.VOCABULARIES.items()
    ]
    with pytest.raises(ValueError, match="unknown"):
        tune.replace_rows(path, [*rows, {**rows[0], "unknown": 1}])
    assert path.read_text() == "as it was"
    tune.replace_rows(path, rows)
    written = list(csv.DictReader(path.read_text().splitlines()))
    kept = [row for row in tuning.read_table() if row["processor"] != "amd"]
    assert written[: len(kept)] == kept
    assert [(row["vocabulary"], row["probe_lstm"]) for row in written[len(kept) :]] == [
        ("8192", "library"),
        ("", "library"),
    ]


def test_no_row_is_written_that_leaves_large_vocabularies_without_one(load, monkeypatch, capsys):
    tune = load("tune")
    monkeypatch.setattr(tune, "tune", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(sys, "argv", ["tune.py", "--tiny", "--write"])
    with pytest.raises(SystemExit):
        tune.main()
    assert "--write: puts a row for every vocabulary into the table" in capsys.readouterr().err


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_peer_computes_the_losses_of_this_model(load, tmp_path, dropout):
    """From one seed: equal weights, equal losses of each step, and equal held-out losses of what was trained."""
    peer, vocabulary, batch, window = load("peer"), 60, 4, 7
    tokens = np.random.default_rng(0).zipf(1.5, batch * (4 * window + 4)) % vocabulary
    files.write_array(tmp_path / "tokens.npy", tokens.astype(np.uint8))
    text, interface = open_data("text", {}), Interface(outputs=vocabulary, vocabulary=vocabulary)
    split = text.split("train", tmp_path / "tokens.npy", batch, window, interface)
    torch.manual_seed(3)
    ours = RecurrentModel(interface, Architecture(embedding=8, hidden=[8, 8], dropout=dropout)).train()
    torch.manual_seed(3)
    recipe = peer.Recipe(vocabulary, width=8, dropout=dropout)
    for a, b in zip(ours.parameters(), recipe.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    dense = make_method({}, ours, {}, Place(1, len(split), split.examples, batch))
    torch.manual_seed(4)
    losses = [float(loss) for loss, _ in run_steps(make_step(ours, text, Training(), peer.RATE, batch, dense), split)]
    assert len(losses) == 5
    torch.manual_seed(4)
    streams = peer.cut(torch.from_numpy(tokens), batch)
    np.testing.assert_allclose(list(peer.recipe_steps(recipe, streams, peer.RATE, window)), losses, rtol=1e-4)
    for a, b in zip(ours.parameters(), recipe.parameters(), strict=True):
        b.data.copy_(a)
    assert math.isclose(peer.recipe_loss(recipe, streams, window), evaluate(ours, text, split).loss, rel_tol=1e-6)
