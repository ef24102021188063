"""The worked examples of docs/own-*.md, followed in a copy of the project, and those that need the workflow run."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from harness import ROOT, Workflow, results_in
from safetensors.numpy import load_file

from natural_sparsity import files
from worked_examples import REGISTRY, copy_project, environment, follow, pick, read_example, run_python

PACKAGE = "src/natural_sparsity"
RULES = "workflow/rules"
# All that has to be touched, besides a user's own configuration.
TOUCHED = {
    "Add a corpus or a model": [],
    "Add a format of text": [f"{PACKAGE}/corpus/readers/subrip.py", REGISTRY],
    "Add a kind of data": [f"{PACKAGE}/config/data/recall.py", f"{PACKAGE}/data/recall.py", REGISTRY],
    "Add a model option": [f"{PACKAGE}/config/architecture.py", f"{PACKAGE}/model/recurrent.py"],
    "Add a sparsification method": [
        f"{PACKAGE}/config/methods/bounded.py",
        f"{PACKAGE}/methods/bounded.py",
        REGISTRY,
    ],
    "Add a measure": [f"{PACKAGE}/probing/peak.py", REGISTRY],
    "Add a figure": [f"{PACKAGE}/figures/gap.py", REGISTRY, f"{RULES}/figures.smk", "workflow/report/gap.rst"],
    "Add a table": [f"{PACKAGE}/tables/best.py", REGISTRY, f"{RULES}/tables.smk", "workflow/report/best.rst"],
}
CHECK = """
from pathlib import Path
from natural_sparsity.config import reference
reference.main()
page, schema = (Path(path).read_text(encoding="utf-8") for path in (reference.PAGE, reference.SCHEMA))
for name in ("subrip", "recall", "bounded", "initial_range", "peak", "gap"):
    assert name in page and name in schema, name
"""


@pytest.fixture
def project(tmp_path) -> Path:
    return copy_project(tmp_path)


def run_in(workflow, project, *targets, **options):
    """Run the copy's Snakefile to the end."""
    process = workflow.snakemake(*targets, root=project, environment=environment(project), **options)
    assert process.returncode == 0, process.stderr[-3000:]


@pytest.mark.parametrize("title", TOUCHED)
def test_an_example_is_a_settings_file_an_implementation_and_an_entry(title):
    blocks = read_example(title)
    paths = [block.path for block in blocks if block.path and not block.path.startswith("experiments/")]
    assert list(dict.fromkeys(paths)) == TOUCHED[title]


def test_the_configuration_of_each_example_is_in_its_schema_and_on_its_page(project):
    for title in TOUCHED:
        follow(read_example(title), project)
    run_python(CHECK, project=project, folder=project)


def test_the_example_of_a_corpus_and_a_model_runs(fresh):
    blocks = read_example("Add a corpus or a model")
    prepare, call = pick(blocks, "bash")
    [configuration] = [block for block in blocks if block.language == "yaml"]
    assert call.split("--configfile ")[1].strip() == configuration.path
    variables = os.environ | environment(ROOT)
    subprocess.run(["bash", "-ec", prepare], cwd=fresh.folder, env=variables, check=True)
    (fresh.folder / "news.yaml").write_text(configuration.text)
    # All figures are planned; the run itself goes as far as what depends on the blocks.
    planned = fresh.planned(configfile=fresh.folder / "news.yaml")
    assert (planned["train"], planned["draw_fig5"]) == (2, 1)
    probe = "results/runs/news/gru/seed1/epoch1/frozen.parquet"
    process = fresh.snakemake(probe, configfile=fresh.folder / "news.yaml")
    assert process.returncode == 0, process.stderr[-3000:]
    table = pd.read_parquet(fresh.folder / probe)
    assert set(table["tensor"]) >= {"h_1", "grad_h_2"}
    vocabulary = pd.read_parquet(fresh.folder / "results/data/news/vocabulary.parquet")
    assert {"australia", "sydney"} <= set(vocabulary["word"])
    assert vocabulary["count"].sum() > 8_000


def test_the_examples_of_a_figure_and_a_table_are_made_from_a_finished_run_and_get_into_the_report(copied, project):
    for title in ("Add a figure", "Add a table"):
        follow(read_example(title), project)
    options = {"root": project, "environment": environment(project), "changes": {"figures": {"gap": {"width": 4}}}}
    planned = copied.planned("gap", "best", **options)
    assert {name: count for name, count in planned.items() if name not in ("gap", "best")} == {
        "draw_gap": 1,
        "tabulate_best": 1,
    }
    run_in(copied, project, "gap", "best", changes=options["changes"])
    results = Path("results/experiments/tiny/tiny/small")
    curve = pd.read_csv(copied.folder / results / "figures/training.csv")
    drawn = pd.read_csv(copied.folder / results / "figures/gap.csv")
    pd.testing.assert_series_equal(drawn["gap"], curve["dev_loss"] - curve["train_loss"], check_names=False)
    assert (copied.folder / results / "figures/gap.pdf").read_bytes().startswith(b"%PDF")
    [row] = pd.read_csv(copied.folder / results / "best.csv").to_dict("records")
    assert row["best_epoch"] == curve["dev_loss"].idxmin() + 1
    assert (row["best_loss"], row["last_loss"]) == (curve["dev_loss"].min(), curve["dev_loss"].iloc[-1])
    assert "| 1 | " in (copied.folder / results / "best.md").read_text(encoding="utf-8")

    run_in(copied, project, "gap", "best", "--report", "report.html", changes=options["changes"])
    entries = results_in(copied.folder / "report.html")
    assert sorted(entries) == [f"{results}/{name}" for name in ("best.html", "figures/gap.csv", "figures/gap.png")]
    for path, entry in entries.items():
        assert "How to read it" in entry["caption"], path
        assert "{" not in entry["caption"], path


def test_the_example_of_a_kind_of_data_is_learnt_and_pruned(tmp_path, project):
    follow(read_example("Add a kind of data"), project)
    run = Workflow(tmp_path / "run")
    run.folder.mkdir()
    few = {"epochs_per_job": {"train": 3}}
    run_in(run, project, "evaluations", configfile=project / "experiments/recall.yaml", changes=few)
    dense, half = (
        files.read_json(run.folder / f"results/runs/first/{model}/seed1/epoch3/evaluation.json")
        for model in ("rnn", "half-level1")
    )
    assert dense["measure"] == half["measure"] == "mean absolute error"
    assert 0 < dense["score"] < 0.15  # always to answer a half has 0.25
    assert 0 < half["score"] < 0.2
    assert half["density"] == pytest.approx(0.5, abs=0.01)


def test_the_example_of_a_model_option_is_followed(copied, project):
    """On data that are there already: they are not made again."""
    blocks = read_example("Add a model option")
    follow(blocks, project)
    [models] = pick(blocks, "yaml")
    changes = {**yaml.safe_load(models), "runs": [{"data": "tiny", "model": "wide", "epochs": 1}]}
    folder = "results/runs/tiny/wide/seed1/init"
    options = {"root": project, "environment": environment(project), "changes": changes}
    assert copied.planned(f"{folder}/state.json", **options) == {"initialise": 1}
    run_in(copied, project, f"{folder}/state.json", changes=changes)
    parameters = load_file(copied.folder / folder / "parameters.safetensors")
    for name in ("embedding.weight", "output.weight"):
        assert 0.4 < np.abs(parameters[name]).max() <= 0.5
