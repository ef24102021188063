"""``benchmarks/gpu.sh``: an experiment without Snakemake on a GPU machine; here on the CPU, with a tiny text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from natural_sparsity import files

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ROOT = Path(__file__).parents[1]
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
def folder(tmp_path_factory):
    """A working directory with what Snakemake prepares elsewhere."""
    folder = tmp_path_factory.mktemp("gpu")
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--cores", "1", "--configfile", ROOT / "tests/workflow/tiny.yaml", "--until", "words", "encode"]
    subprocess.run(command, capture_output=True, check=True)
    return folder


def run(folder, **variables):
    """Run the script in ``folder``: its exit status and what it said."""
    command = ["bash", ROOT / "benchmarks/gpu.sh", folder]
    done = subprocess.run(
        command, env={**os.environ, **SMALL, **variables}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


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
    assert [line.split(":")[1].strip() for line in said.splitlines()] == ["correlate-1", "claims-1", "fig3a-1"]
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
