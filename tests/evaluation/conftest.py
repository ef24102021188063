"""The chain of checkpoints that several tests read."""

import pytest

from chains import Chain, make_tickets


@pytest.fixture(scope="session")
def tickets(tmp_path_factory) -> Chain:
    """A dense language model trained for three epochs, and two levels of a ticket, with one epoch of rewinding."""
    return make_tickets(tmp_path_factory.mktemp("tickets"))
