"""Classification of texts on the rules of language models: planned, run to the table of structures, refused."""

import copy
import io
import tarfile

import pandas as pd
import pytest
import yaml
from harness import TINY

CLASSIFIER = {"architecture": {"embedding": 4, "hidden": [4, 4]}}
CLASSIFIER["training"] = {"optimiser": "adam", "learning_rate": 0.01, "clip": 1, "batch": 20}
SPARSE = {"sparsify": {"method": "sparse_vd", "of": "reader", "rewind": 1, "learning_rate": 0.02}}


def archive(members):
    """A compressed tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def config(fresh):
    """The tiny corpus, unused, and a task of 300 lines in the form of the snippets, in the run's folder."""
    lines = "\n".join(f"{i}\t{(-1) ** i}\ttext {i} is {'bad' if i % 2 else 'good'}" for i in range(300))
    inner = archive({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": lines.encode()})
    outer = archive({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner})
    (fresh.folder / "snippets.tar.gz").write_bytes(outer)
    found = yaml.safe_load(TINY.read_text())
    task = {
        "kind": "classification",
        "source": {"path": "snippets.tar.gz"},
        "format": "vader",
        "classes": 2,
        "length": 5,
    }
    runs = [{"task": "texts", "model": name, "seeds": [1], "epochs": n} for name, n in (("reader", 1), ("sparse", 2))]
    models = copy.deepcopy({"reader": CLASSIFIER, "sparse": SPARSE})  # which the tests change
    return {**found, "tasks": {"texts": task}, "models": models, "runs": runs}


def written(fresh, config):
    path = fresh.folder / "classify.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_texts_are_trained_counted_and_folded(fresh, config):
    path = written(fresh, config)
    planned = fresh.planned(configfile=path)
    ours = {"texts": 1, "initialise": 1, "sparsify": 1, "train_epoch": 2, "evaluate": 2, "structure_of": 2, "fold": 2}
    ours |= {"measure_folding": 2, "compare_structures": 1, "draw_structure": 1, "tabulate_structure": 1}
    assert {name: planned.get(name) for name in ours} == ours
    assert not {"sentences", "probe", "correlate", "draw_fig2", "compare", "compress"} & set(planned)
    assert fresh.planned("tasks", configfile=path)["evaluate"] == 2
    assert fresh.planned("explorer", configfile=path) == {"explorer": 1}, (
        "texts are not probed: there is nothing to show"
    )
    process = fresh.snakemake("structure", configfile=path)
    assert process.returncode == 0, process.stderr[-3000:]
    table = pd.read_csv(fresh.folder / "results/comparison/structure/table.csv")
    assert table["run"].tolist() == ["texts/reader"] * 2 + ["texts/sparse"] * 2
    assert table["accuracy"].between(0, 1).all()
    assert table["perplexity"].isna().all()
    assert (fresh.folder / "results/comparison/structure/structure.png").exists()
    assert fresh.planned("structure", configfile=path) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["tasks"]["texts"].update(source={"url": "https://x.org/a"}),
            "tasks.texts.source: give url and checksum",
        ),
        (lambda c: c["tasks"]["texts"].update(format="csv"), "tasks.texts.format: 'csv' is not one of"),
        (lambda c: c["tasks"]["texts"].update(format="ag_news"), "tasks.texts.test_source: ag_news has a file"),
        (lambda c: c["tasks"]["texts"].update(classes=4), "tasks.texts.classes: vader has 2, not 4"),
        (lambda c: c["tasks"]["texts"].update(source={"path": "nowhere"}), "tasks.texts.source: nowhere is no file"),
        (
            lambda c: c["models"]["sparse"]["sparsify"].update(of="other"),
            "models.sparse.sparsify.of: 'other' is no dense",
        ),
        (lambda c: c["runs"][0].update(probes=["frozen"]), "runs.0.probes: "),
        (lambda c: c["runs"][0].update(corpus="tiny"), "runs.0: give a corpus or a task"),
        (
            lambda c: c["models"].update(sparse={"sparsify": {"method": "moduli", "of": "reader", "ramp": 1}}),
            "runs.1: moduli is for language models; for classification there is sparse_vd",
        ),
        (lambda c: c["models"]["reader"]["training"].pop("clip"), "models.reader.training.clip: give it for Adam"),
        (lambda c: c["models"]["reader"]["training"].update(decay=2), "models.reader.training.decay: Adam's rate is"),
    ],
)
def test_what_does_not_fit_together_is_refused(fresh, config, change, message):
    change(config)
    process = fresh.snakemake("--dry-run", configfile=written(fresh, config))
    assert process.returncode != 0
    assert f"configuration: {message}" in process.stderr
