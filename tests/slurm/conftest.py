"""SLURM while these tests run, and the experiment on it."""

import shutil
import subprocess

import pytest
from on_slurm import CLUSTER, OnSlurm


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """SLURM, from the first test to the last."""
    subprocess.run([CLUSTER, "start"], check=True, timeout=120)
    yield
    subprocess.run([CLUSTER, "stop"], check=True, timeout=120)


@pytest.fixture(scope="session")
def both(cluster, tmp_path_factory):
    """The whole experiment through sbatch and, at the same time, on this machine without SLURM."""
    whole, local = (OnSlurm(tmp_path_factory.mktemp(name)) for name in ("whole", "local"))
    try:
        local.start(profile=None)
        whole.status = whole.run()
        local.status = local.processes[0].wait()
        yield whole, local
    finally:
        whole.end()
        local.end()


@pytest.fixture(scope="session")
def whole(both) -> OnSlurm:
    """The experiment through sbatch. Tests leave it as it is."""
    return both[0]


@pytest.fixture(scope="session")
def local(both) -> OnSlurm:
    """The experiment without SLURM."""
    assert both[1].status == 0, both[1].log[-5000:]
    return both[1]


@pytest.fixture
def untrained(whole, tmp_path):
    """The experiment with its text and its untrained checkpoint, and nothing after them."""
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder, symlinks=True)
    (folder / "log").unlink()
    run = OnSlurm(folder)
    shutil.rmtree(folder / "results/experiments")
    for epoch in range(1, 5):
        shutil.rmtree(folder / f"results/runs/tiny/small/seed1/epoch{epoch}")
    try:
        yield run
    finally:
        run.end()
