"""The worked examples of docs/extending.md that need the workflow: a corpus and a model, a figure, a task."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest
import yaml
from harness import ROOT, Workflow

from natural_sparsity import files

BIN = Path(sys.executable).parent


def blocks(title):
    """The section's blocks of code, by language."""
    sections = re.split("^# ", (ROOT / "docs/extending.md").read_text(), flags=re.MULTILINE)
    section = next(text for text in sections if text.startswith(f"{title}\n"))
    found = defaultdict(list)
    for language, text in re.findall(r"^ *```(\w+)\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL):
        found[language].append(textwrap.dedent(text))
    return found


def test_the_example_of_a_corpus_and_a_model_runs(fresh):
    example = blocks("Adding a corpus or a model")
    prepare, call = example["bash"]
    assert call.split("--configfile ")[1].strip() == "experiments/news.yaml"
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-ec", prepare], cwd=fresh.folder, env=environment, check=True)
    (fresh.folder / "news.yaml").write_text(example["yaml"][0])
    # All figures are planned; the run itself goes as far as what depends on the blocks.
    planned = fresh.planned(configfile=fresh.folder / "news.yaml")
    assert (planned["train_epoch"], planned["draw_fig5"]) == (2, 1)
    probe = "results/news/gru/seed1/epoch1/frozen.parquet"
    process = fresh.snakemake(probe, configfile=fresh.folder / "news.yaml")
    assert process.returncode == 0, process.stderr[-3000:]
    table = pd.read_parquet(fresh.folder / probe)
    assert set(table["tensor"]) >= {"h_1", "grad_h_2"}
    vocabulary = pd.read_parquet(fresh.folder / "results/news/corpus/vocabulary.parquet")
    assert {"australia", "sydney"} <= set(vocabulary["word"])
    assert vocabulary["count"].sum() > 8_000


def project(folder):
    """A copy of the project, to be added to."""
    left_out = shutil.ignore_patterns(".*", "results", "tests", "__pycache__", "*.egg-info")
    return Path(shutil.copytree(ROOT, folder / "project", ignore=left_out))


def test_the_example_of_a_figure_is_drawn(copied, tmp_path):
    """In a copy of the project, from the finished run, which has all that the figure needs."""
    example = blocks("Adding a figure")
    module, entry = example["python"]
    copy = project(tmp_path)
    figures = copy / "src/natural_sparsity/figures"
    (figures / "gap.py").write_text(module)
    imported, rest = entry.split("\n\n\n", 1)
    text = (figures / "draw.py").read_text().replace("\n\nINPUTS = ", f"\n{imported}\n\nINPUTS = ", 1)
    assert imported in text
    (figures / "draw.py").write_text(text + "\n\n" + rest)
    rules = copy / "workflow/rules/figures.smk"
    rules.write_text(rules.read_text() + "\n\n" + example["snakemake"][0])
    common = copy / "workflow/rules/common.smk"
    common.write_text(common.read_text().replace("TITLES = {", 'TITLES = {\n    "gap": "Dev less train loss",', 1))
    (copy / "workflow/report/gap.rst").write_text("The gap.\n")
    schema = copy / "workflow/schemas/config.schema.yaml"
    schema.write_text(schema.read_text().replace("{enum: [all, ", "{enum: [all, gap, ", 1))
    assert "gap" in yaml.safe_load(schema.read_text())["$defs"]["figures"]["propertyNames"]["enum"]

    environment = {"PYTHONPATH": str(copy / "src")}
    styled = {"figures": {"gap": {"width": 4}}}
    process = copied.snakemake("gap", root=copy, environment=environment, changes=styled)
    assert process.returncode == 0, process.stderr[-3000:]
    drawn = pd.read_csv(copied.folder / "results/tiny/small/figures/gap.csv")
    curve = pd.read_csv(copied.folder / "results/tiny/small/figures/training.csv")
    pd.testing.assert_series_equal(drawn["gap"], curve["dev_loss"] - curve["train_loss"], check_names=False)
    assert (copied.folder / "results/tiny/small/figures/gap.pdf").read_bytes().startswith(b"%PDF")


def test_the_example_of_a_task_is_learnt_and_pruned(tmp_path):
    example = blocks("Adding a task")
    (module, entry), (schema, configuration) = example["python"], example["yaml"]
    copy = project(tmp_path)
    tasks = copy / "src/natural_sparsity/tasks"
    (tasks / "recall.py").write_text(module)
    (tasks / "kinds.py").write_text((tasks / "kinds.py").read_text() + "\n\n" + entry)
    path = copy / "workflow/schemas/config.schema.yaml"
    whole = yaml.safe_load(path.read_text())
    whole["$defs"].update(yaml.safe_load(schema))
    whole["$defs"]["task"]["oneOf"].append({"$ref": "#/$defs/recall"})
    path.write_text(yaml.safe_dump(whole, sort_keys=False))

    run = Workflow(tmp_path / "run")
    run.folder.mkdir()
    (run.folder / "recall.yaml").write_text(configuration)
    environment = {"PYTHONPATH": str(copy / "src")}
    process = run.snakemake("tasks", root=copy, environment=environment, configfile=run.folder / "recall.yaml")
    assert process.returncode == 0, process.stderr[-3000:]
    dense, half = (
        files.read_json(run.folder / f"results/first/{model}/evaluation/epoch3.json")["evaluations"][0]
        for model in ("rnn", "half-level1")
    )
    assert dense["measures"] == half["measures"] == "mean absolute error"
    assert 0 < dense["error"] < 0.15  # always to answer a half has 0.25
    assert 0 < half["error"] < 0.2
    assert half["density"] == pytest.approx(0.5, abs=0.01)
