"""The chain of checkpoints that several tests read."""

import pytest

from chains import Chain, make_tickets


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A dense model trained for three epochs, and two levels of a ticket, with one epoch of rewinding."""
    return make_tickets(tmp_path_factory.mktemp("chain"))
