"""Finished and empty folders of the tiny run."""

import shutil

import pytest
from harness import Workflow


def written(workflow):
    """When each result was written: what tells that a job ran."""
    return {path: path.stat().st_mtime_ns for path in (workflow.folder / "results").rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The tiny run, finished; ``first`` is the process that made it.

    Tests share it, in any order: what runs jobs on top of it takes ``copied``.
    """
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    workflow.first = workflow.run()
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
def fresh(tmp_path) -> Workflow:
    """An empty folder."""
    return Workflow(tmp_path)
