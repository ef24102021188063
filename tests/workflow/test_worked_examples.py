"""The worked examples of docs/extending.md that need the workflow: a corpus and a model, and a figure."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

import pandas as pd
import yaml
from harness import ROOT, Workflow

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


def test_the_example_of_a_figure_is_drawn(finished, tmp_path):
    """In a copy of the project; from a copy of the finished run, which has all that the figure needs."""
    example = blocks("Adding a figure")
    module, entry = example["python"]
    copy = tmp_path / "project"
    left_out = shutil.ignore_patterns(".*", "results", "tests", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=left_out)
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

    workflow = Workflow(tmp_path / "run")
    shutil.copytree(finished.folder / "results", workflow.folder / "results")
    shutil.copytree(finished.folder / ".snakemake", workflow.folder / ".snakemake")
    environment = {"PYTHONPATH": str(copy / "src")}
    styled = {"figures": {"gap": {"width": 4}}}
    process = workflow.snakemake("gap", root=copy, environment=environment, changes=styled)
    assert process.returncode == 0, process.stderr[-3000:]
    drawn = pd.read_csv(workflow.folder / "results/tiny/small/figures/gap.csv")
    curve = pd.read_csv(workflow.folder / "results/tiny/small/figures/training.csv")
    pd.testing.assert_series_equal(drawn["gap"], curve["dev_loss"] - curve["train_loss"], check_names=False)
    assert (workflow.folder / "results/tiny/small/figures/gap.pdf").read_bytes().startswith(b"%PDF")
