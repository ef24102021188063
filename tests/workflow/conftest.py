"""Finished and empty folders of the tiny run."""

import fcntl
import pickle
import shutil
from pathlib import Path

import pytest
from harness import Workflow


def written(workflow):
    """When each result was written: what tells that a job ran."""
    return {path: path.stat().st_mtime_ns for path in (workflow.folder / "results").rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """The tiny run, finished; ``first`` is the process that made it, once for all test processes.

    Tests share it, in any order: what runs jobs on top of it takes ``copied``.
    """
    base = tmp_path_factory.getbasetemp()
    made = Workflow((base if worker_id == "master" else base.parent) / "finished")
    with Path(f"{made.folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        first = Path(f"{made.folder}.first")
        if not first.exists():
            made.folder.mkdir(exist_ok=True)
            first.write_bytes(pickle.dumps(made.run()))
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    shutil.copytree(made.folder, workflow.folder, dirs_exist_ok=True)
    workflow.first = pickle.loads(first.read_bytes())
    before = written(workflow)
    yield workflow
    assert written(workflow) == before, "a test ran jobs in the folder of the finished run: let it take copied"


@pytest.fixture
def copied(finished, tmp_path) -> Workflow:
    """The finished run in a folder of one's own, to go on from."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    return Workflow(folder)


@pytest.fixture
def with_data(copied) -> Workflow:
    """A copy of the finished run that has its data and no models."""
    for name in ("runs", "experiments"):
        shutil.rmtree(copied.folder / "results" / name)
    return copied


@pytest.fixture
def fresh(tmp_path) -> Workflow:
    """An empty folder."""
    return Workflow(tmp_path)
