"""The tiny run from the dump to the figures: what is in its products."""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from natural_sparsity.files import read_digest, read_metadata

RUN = "results/runs/tiny/small/seed1"
EXPERIMENT = "results/experiments/tiny"
OF_RUN = f"{EXPERIMENT}/tiny/small"
FIGURES = Path(f"{OF_RUN}/frozen/figures/chi")
STEMS = [FIGURES / name for name in ("fig2", "fig3a", "fig3b", "fig4", "fig5")]
STEMS += [
    Path(f"{OF_RUN}/figures/training"),
    Path(f"{OF_RUN}/frozen/figures/claims"),
    Path(f"{EXPERIMENT}/figures/chi"),
]


@pytest.fixture
def words(finished):
    return pd.read_parquet(finished.folder / "results/data/tiny/words.parquet")


@pytest.fixture
def last_probe(finished):
    return pd.read_parquet(finished.folder / RUN / "epoch2/frozen.parquet")


def test_every_figure_is_there_in_three_forms(finished):
    for stem in STEMS:
        assert (finished.folder / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
        assert (finished.folder / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_csv(finished.folder / f"{stem}.csv")) > 0


def test_nothing_is_written_outside_of_results(finished):
    assert {path.name for path in finished.folder.iterdir()} <= {"results", ".snakemake", "changes.yaml"}
    assert not list((finished.folder / "results").rglob("*.part"))


def test_the_text_is_prose_in_lower_case(finished, words):
    corpus = finished.folder / "results/data/tiny"
    tokens = np.load(corpus / "tokens/train.npy")
    text = words["word"].to_numpy()[tokens]
    assert (text == "<eos>").mean() == pytest.approx(1 / 15, abs=0.06)
    assert (words["word"] == words["word"].str.lower()).all()
    assert {"the", "of", "and", ",", "."} <= set(words["word"][2:12])
    assert not words["word"].str.contains(r"\[\[|\{\{|\|", regex=True).any()


def test_training_counts_are_those_of_the_stream(finished, words):
    tokens = np.load(finished.folder / "results/data/tiny/tokens/train.npy")
    np.testing.assert_array_equal(np.bincount(tokens, minlength=len(words)), words["count"])


def test_every_training_token_is_tagged(words):
    real = words[2:]
    assert (real["tagged"] == real["count"]).all()
    pos = words.set_index("word")["pos"]
    assert (pos["of"], pos["and"], pos["the"], pos["is"]) == ("ADP", "CCONJ", "DET", "AUX")
    assert words["matched"].sum() == 30


def test_probe_counts_every_position_in_both_roles(finished, last_probe, words):
    tokens = np.load(finished.folder / "results/data/tiny/tokens/train.npy")
    streams = tokens[: len(tokens) // 10 * 10].reshape(10, -1)
    for role, positions in (("target", streams[:, 1:]), ("input", streams[:, :-1])):
        expected = np.bincount(positions.ravel(), minlength=len(words))
        for _, group in last_probe[last_probe["role"] == role].groupby("tensor", observed=True):
            np.testing.assert_array_equal(
                group.set_index("id")["count"].reindex(range(len(words)), fill_value=0), expected
            )


def test_chi_is_within_its_bounds(last_probe):
    for tensor, dimension in {"h_e": 8, "grad_h_2": 8, "h_1": 8}.items():
        chi = last_probe.loc[last_probe["tensor"] == tensor, "chi_mean"]
        assert chi.between(1 / np.sqrt(dimension) - 1e-6, 1 + 1e-6).all()


def test_correlations_follow_from_probe_and_counts(finished, last_probe, words):
    table = pd.read_parquet(finished.folder / OF_RUN / "seed1/frozen/correlations.parquet")
    chosen = last_probe[
        (last_probe["role"] == "target") & (last_probe["tensor"] == "grad_h_2") & (last_probe["id"] > 1)
    ]
    expected = stats.pearsonr(words["count"][chosen["id"]], chosen["chi_mean"]).statistic
    row = table.query(
        "epoch == 2 and role == 'target' and tensor == 'grad_h_2' and measure == 'chi'"
        " and words == 'all' and statistic == 'pearson'"
    )
    assert row["value"].item() == pytest.approx(expected)
    drawn = pd.read_csv(finished.folder / FIGURES / "fig3a.csv")
    assert np.isclose(drawn.select_dtypes("number"), expected).any(), "fig3a does not show the value of the table"


def test_training_learns_and_records_its_losses(finished):
    states = [json.loads((finished.folder / RUN / f"epoch{k}/state.json").read_text()) for k in (1, 2)]
    assert states[1]["dev_loss"] < states[0]["dev_loss"] < np.log(states[0]["interface"]["vocabulary"])


def test_a_step_runs_alone(finished, tmp_path):
    """The command that a rule's shell line calls, by hand, gives the rule's product."""
    epoch = finished.folder / RUN / "epoch2"
    command = [str(Path(sys.executable).with_name("natural-sparsity")), "probe"]
    command += ["--tokens", str(finished.folder / "results/data/tiny/tokens/train.npy"), "--probe", '{"batch": 10}']
    command += ["--checkpoint", str(epoch)]
    subprocess.run([*command, "--output", str(tmp_path / "probe.parquet")], check=True, capture_output=True)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "probe.parquet"), pd.read_parquet(epoch / "frozen.parquet")
    )


@pytest.mark.parametrize("limit", [None, "99/1s"], ids=["no limit given", "a limit given"])
def test_snakemake_weighs_waiting_jobs_only_when_one_ends(copied, limit):
    """By default, it does so every second, and ever more often the more jobs have ended."""
    drawn = ["fig2", "fig3a", "fig3b", "fig4", "fig5"]
    options = ["--verbose", "--forcerun", *(f"draw_{name}" for name in drawn)]
    options += ["--max-jobs-per-timespan", limit] if limit else []
    process = copied.snakemake(*(f"{FIGURES / name}.csv" for name in drawn), *options, cores=1)
    assert process.returncode == 0, process.stderr[-3000:]
    looks = process.stderr.count("Ready jobs: ")
    assert looks > len(drawn) + 1 if limit else looks == len(drawn)


def test_shards_do_not_change_the_results(finished, fresh):
    """Tokens, vocabulary and tags of one shard are those of two, though the tables name the shards."""
    corpus = "results/data/tiny"
    fresh.run(f"{corpus}/words.parquet", f"{corpus}/tokens/train.npy", changes={"data": {"tiny": {"shards": 1}}})
    for name in ("tokens/train.npy", "tokens/dev.npy", "tokens/test.npy", "vocabulary.parquet", "words.parquet"):
        one, two = (read_digest(workflow.folder / corpus / name) for workflow in (fresh, finished))
        assert one == two, name


def test_a_run_that_is_extended_equals_one_that_was_not_interrupted(finished, copied):
    """Two epochs, then three: the third epoch and its probe are those of a run of three at once."""
    three = {"runs": [{"data": "tiny", "model": "small", "seeds": [1], "epochs": 3}]}
    targets = [f"{RUN}/epoch3/frozen.parquet"]
    assert not (finished.folder / RUN / "epoch3").exists()
    copied.run(*targets, changes=three)
    extended = copied.folder / RUN
    products = {
        name: (extended / name).read_bytes() for name in ("epoch3/parameters.safetensors", "epoch3/frozen.parquet")
    }
    for k in (1, 2, 3):
        shutil.rmtree(extended / f"epoch{k}")
    copied.run(*targets, changes=three)
    for name, content in products.items():
        assert (extended / name).read_bytes() == content, name


def test_epochs_that_share_a_job_have_the_same_products(finished, with_data):
    """Two epochs trained in one job, and probed in one with the untrained model, give what a job each gives."""
    checkpoints = [f"{RUN}/{name}" for name in ("init", "epoch1", "epoch2")]
    targets = [f"{folder}/frozen.parquet" for folder in checkpoints]
    changes = {"epochs_per_job": {"train": 2, "probe": 2}}
    assert with_data.planned(*targets, changes=changes).keys() >= {
        "train_tiny_small_1_to_2",
        "probe_tiny_small_init_to_2",
    }
    with_data.run(*targets, changes=changes)
    for folder in checkpoints:
        for name in ("parameters.safetensors", "frozen.parquet"):
            path = f"{folder}/{name}"
            assert (with_data.folder / path).read_bytes() == (finished.folder / path).read_bytes(), path


def test_a_probe_gathers_during_training(copied):
    """From the checkpoint before; the first epoch's is the untrained one."""
    targets = [f"{RUN}/epoch{k}/during.parquet" for k in (1, 2)]
    changes = {"probes": {"during": {"weights": "training", "measures": ["chi", "gini"]}}}
    assert copied.planned(*targets, changes=changes) == {"probe": 2}
    copied.run(*targets, changes=changes)
    for k in (1, 2):
        during, frozen = (
            pd.read_parquet(copied.folder / RUN / f"epoch{k}" / f"{p}.parquet") for p in ("during", "frozen")
        )
        frozen = frozen[frozen["tensor"] != "static"].reset_index(drop=True)  # which needs weights that stand still
        assert during["count"].equals(frozen["count"])
        assert during["gini_mean"].between(0, 1).all()
        assert not during["chi_mean"].equals(frozen["chi_mean"])
        metadata = read_metadata(copied.folder / RUN / f"epoch{k}/during.parquet")
        state = json.loads((copied.folder / RUN / f"epoch{k}/state.json").read_text())
        assert metadata["loss"] == pytest.approx(state["train_loss"], rel=1e-6)


def test_a_corpus_by_url_is_downloaded_and_checked(fresh):
    """A compressed text from a server on the loopback; then one whose digest is another."""
    text = gzip.compress(b"\n\n".join(b"Document %d is here. It has two sentences." % i for i in range(150)))
    (fresh.folder / "served").mkdir()
    (fresh.folder / "served/text.txt.gz").write_bytes(text)
    requests = 0

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            nonlocal requests
            requests += 1
            super().do_GET()

    handler = partial(Handler, directory=fresh.folder / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/text.txt.gz"
        for digest, code in ((hashlib.sha256(text).hexdigest(), 0), ("0" * 64, 1)):
            source = {"source": {"url": url, "checksum": f"sha256:{digest}"}, "min_count": 1, "format": "text"}
            name = f"code{code}"
            changes = {"data": {name: source}, "runs": [{"data": name, "model": "small"}]}
            process = fresh.snakemake(f"results/data/{name}/tokens/train.npy", changes=changes)
            downloaded = fresh.folder / f"results/data/{name}/download/source/text.txt.gz"
            assert process.returncode == code, process.stderr
            assert downloaded.exists() == (code == 0)
        server.shutdown()
    assert requests == 2, "a file with a wrong checksum is not downloaded again"
    assert "0" * 64 in process.stderr
    assert hashlib.sha256(text).hexdigest() in process.stderr
    assert not list((fresh.folder / "results/data/code1").glob("download/*/*"))
