"""Classification of texts by the rules of all other data: planned, run to the table of structures, refused."""

import copy
import re

import pandas as pd
import pytest
import yaml
from harness import TINY

from example_downloads import make_archive

CLASSIFIER = {"architecture": {"embedding": 4, "hidden": [4, 4]}}
CLASSIFIER["training"] = {"optimizer": "adam", "learning_rate": 0.01, "clip": 1, "batch": 20}
SPARSE = {"sparsify": {"method": "sparse_vd", "of": "reader", "rewind": 1, "learning_rate": 0.02}}


@pytest.fixture
def config(fresh):
    """The tiny text, unused, and 300 lines in the form of the snippets, in the run's folder."""
    lines = "\n".join(f"{i}\t{(-1) ** i}\ttext {i} is {'bad' if i % 2 else 'good'}" for i in range(300))
    inner = make_archive({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": lines.encode()})
    outer = make_archive({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner})
    (fresh.folder / "snippets.tar.gz").write_bytes(outer)
    texts = {
        "kind": "classification",
        "source": {"path": "snippets.tar.gz"},
        "format": "vader",
        "classes": 2,
        "length": 5,
    }
    found = yaml.safe_load(TINY.read_text())
    runs = [{"data": "texts", "model": name, "seeds": [1], "epochs": n} for name, n in (("reader", 1), ("sparse", 2))]
    models = copy.deepcopy({"reader": CLASSIFIER, "sparse": SPARSE})  # which the tests change
    return {**found, "data": {**found["data"], "texts": texts}, "models": models, "runs": runs}


def written(fresh, config):
    path = fresh.folder / "classify.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_texts_are_trained_counted_and_folded(fresh, config):
    path = written(fresh, config)
    planned = fresh.planned(configfile=path)
    ours = {"labelled": 1, "initialise": 1, "sparsify": 1, "train": 2, "evaluate": 2, "measure_structure": 2, "fold": 2}
    ours |= {"measure_speedup": 2, "tabulate_structure": 1, "draw_structure": 1}
    assert {name: planned.get(name) for name in ours} == ours
    assert not {"sentences", "probe", "correlate", "draw_fig2", "tabulate_comparison", "measure_footprint"} & set(
        planned
    )
    assert fresh.planned("evaluations", configfile=path)["evaluate"] == 2
    assert fresh.planned("explorer", configfile=path) == {"explorer": 1}, (
        "texts are not probed: there is nothing to show"
    )
    process = fresh.snakemake("structure", configfile=path)
    assert process.returncode == 0, process.stderr[-3000:]
    experiment = fresh.folder / "results/experiments/tiny"
    table = pd.read_csv(experiment / "structure.csv")
    assert table["model"].tolist() == ["reader"] * 2 + ["sparse"] * 2
    assert set(table["data"]) == {"texts"}
    assert (experiment / "figures/structure.png").exists()
    assert fresh.planned("structure", configfile=path) == {}


def test_texts_are_pruned_as_all_data_are(fresh, config):
    config["models"]["sparse"] = {"sparsify": {"method": "iterative", "of": "reader", "levels": 1}}
    config["runs"] = [{**run, "epochs": 1} for run in config["runs"]]
    planned = fresh.planned("lottery", configfile=written(fresh, config))
    ours = {"labelled": 1, "initialise": 1, "sparsify": 1, "train": 2, "evaluate": 2}
    assert planned == {**ours, "tabulate_lottery": 1, "draw_lottery": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["data"]["texts"].update(format="ag_news"), "data.texts.test_source: give it for format ag_news"),
        (lambda c: c["data"]["texts"].update(source={"path": "nowhere"}), "data.texts.source: nowhere does not exist"),
        (
            lambda c: c["models"]["sparse"]["sparsify"].update(of="other"),
            "models.sparse.sparsify.of: 'other' is no dense",
        ),
        (lambda c: c["runs"][0].update(probes=["frozen"]), "runs.0.probes: "),
    ],
)
def test_what_does_not_fit_together_is_refused(fresh, config, change, message):
    change(config)
    process = fresh.snakemake("--dry-run", configfile=written(fresh, config))
    assert process.returncode != 0
    assert re.search(rf"\w+\.yaml, line \d+: {re.escape(message)}", process.stderr)
