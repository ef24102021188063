"""Finished and empty folders of the tiny run."""

import pytest
from harness import Workflow


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The tiny run, finished. Tests that share it leave it as it was."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    workflow.run()
    return workflow


@pytest.fixture
def fresh(tmp_path) -> Workflow:
    """An empty folder."""
    return Workflow(tmp_path)
