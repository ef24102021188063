"""``benchmarks/gpu.sh``: an experiment without Snakemake on a GPU machine; here on the CPU, with a tiny text."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from harness import ROOT

from natural_sparsity import files

pytestmark = pytest.mark.slow
SMALL = {
    "DEVICE": "cpu",
    "PYTHON": sys.executable,
    "DATA": "tiny",
    "MODEL": "small",
    "SEEDS": "1",
    "EPOCHS": "3",
    "PIECE": "2",
    "PARTS": "run",
    "ARCHITECTURE": '{"embedding": 4, "hidden": [4, 4]}',
    "TRAINING": '{"batch": 4, "window": 7, "evaluation_batch": 4}',
    "PROBE": '{"batch": 4, "window": 7}',
    "STATISTICS": '{"resamples": 100}',
}
RUN = "results/runs/tiny/small/seed1"
ANALYSIS = "results/experiments/gpu/tiny/small/seed1/frozen"


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """A working directory with the files that Snakemake prepares elsewhere, by the script's first comment."""
    folder = tmp_path_factory.mktemp("gpu")
    for name in ("vocabulary.parquet", "words.parquet", "tokens/train.npy", "tokens/dev.npy"):
        path = f"results/data/tiny/{name}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(finished.folder / path, folder / path)
    return folder


def run(folder, called_in=ROOT, **variables):
    """Run the script in ``folder``: its exit status and what it said."""
    command = ["bash", ROOT / "benchmarks/gpu.sh", folder]
    environment = {**os.environ, **SMALL, **variables}
    done = subprocess.run(command, cwd=called_in, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def names(said):
    """The parts that ran."""
    return [line.split(":")[1].strip() for line in said.splitlines()]


def write_python(folder, line):
    """A program in place of Python, which runs a line of shell."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


def test_without_time_it_says_so_and_fails(folder):
    status, said = run(folder, SECONDS_LEFT="0")
    assert status == 1
    assert "init-1: no time left; run again to go on" in said


def test_a_part_that_fails_shows_the_end_of_its_log(folder):
    status, said = run(folder, STATISTICS='{"resamples": 1}')
    assert status == 1
    assert "correlate-1: FAILED" in said
    assert "statistics.resamples: 1 is not an integer from 100 to 100000" in said


def test_it_goes_on_to_the_figure_and_leaves_what_is_done(folder):
    """After the part that failed; the epochs were trained before."""
    before = (folder / RUN / "epoch3/state.json").stat().st_mtime_ns
    status, said = run(folder)
    assert status == 0, said
    assert names(said) == ["correlate-1", "claims-1", "fig3a-1"]
    assert (folder / RUN / "epoch3/state.json").stat().st_mtime_ns == before
    assert (folder / ANALYSIS / "claims.parquet").exists()
    assert (folder / ANALYSIS / "fig3a.png").stat().st_size > 1000
    assert run(folder) == (0, "")


def test_snakemake_goes_on_from_its_checkpoints(folder):
    """The paths and the states are Snakemake's."""
    state = files.read_json(folder / RUN / "epoch3/state.json", ["seed"])
    assert (state["data"], state["model"], state["seed"], state["epoch"]) == ("tiny", "small", 1, 3)


def test_an_unknown_part_is_refused(folder):
    status, said = run(folder, PARTS="all")
    assert status == 1
    assert said == "gpu: PARTS: there is no part all; the parts are tests, benchmarks and run\n"


ALL = [
    "init-1",
    "probe-1-init",
    "train-1-2",
    "probe-1-2",
    "train-1-3",
    "probe-1-3",
    "correlate-1",
    "claims-1",
    "fig3a-1",
]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"TRAINING": "{}"}, ALL),
        ({"MODEL": "other"}, ALL),
        ({"PROBE": "{}"}, [name for name in ALL if name[:5] not in ("init-", "train")]),
        ({"STATISTICS": "{}"}, ALL[-3:]),
        ({"EPOCHS": "4"}, ["train-1-4", "probe-1-4", *ALL[-3:]]),
    ],
)
def test_what_is_done_with_other_settings_runs_again_with_all_that_follows(tmp_path, changed, expected):
    python = write_python(tmp_path, "exit 0")
    assert names(run(tmp_path, PYTHON=python)[1]) == ALL
    assert run(tmp_path, PYTHON=python) == (0, "")
    assert names(run(tmp_path, PYTHON=python, **changed)[1]) == expected


def test_a_part_that_began_again_and_failed_is_not_done(tmp_path):
    python = write_python(tmp_path, 'case "$*" in *broken*) exit 1; esac')
    run(tmp_path, PYTHON=python)
    assert run(tmp_path, PYTHON=python, STATISTICS="broken")[0] == 1
    assert names(run(tmp_path, PYTHON=python)[1]) == ALL[-3:]


def test_python_is_found_from_where_the_script_was_called(tmp_path):
    (tmp_path / "a folder").mkdir()
    write_python(tmp_path, "exit 0")
    status, said = run("a folder", tmp_path, PYTHON="./python")
    assert status == 0, said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_gpu_tests_fail_where_a_gpu_is_asked_for_and_there_is_none(tmp_path):
    status, _ = run(tmp_path, PARTS="tests", DEVICE="cuda")
    assert status == 1
    assert "sees no CUDA device" in (tmp_path / "gpu/tests.log").read_text()
    assert run(tmp_path, PARTS="tests")[0] == 0, "on a CPU they are skipped"


def test_a_signal_to_all_ends_the_part_too(tmp_path):
    """Otherwise it would go on alone, and the next run would write to the same files."""
    python = write_python(tmp_path, "echo $$ > number; exec sleep 300")
    command, environment = ["bash", ROOT / "benchmarks/gpu.sh", tmp_path], {**os.environ, **SMALL, "PYTHON": python}
    script = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    number = tmp_path / "number"
    while not (number.exists() and number.read_text().strip()):
        time.sleep(0.05)
    os.killpg(script.pid, signal.SIGTERM)
    assert script.wait(timeout=30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("EPOCHS", "ten", "ten is not a whole number"), ("PIECE", "", " is not a whole number")],
)
def test_a_number_that_is_none_is_refused(tmp_path, name, value, reason):
    assert run(tmp_path, **{name: value}) == (1, f"gpu: {name}: {reason}\n")
    assert not (tmp_path / "gpu").exists()
