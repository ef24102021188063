"""The chain of checkpoints that several tests read."""

import pytest
from chains import TICKET, Chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Chain:
    """A dense model trained for three epochs, and two levels of a ticket, with one epoch of rewinding."""
    made = Chain(tmp_path_factory.mktemp("chain"))
    made.initialise()
    made.train("dense0", "dense1", "dense2", "dense3")
    for level, before in ((1, "dense3"), (2, "level1-3")):
        settings = {**TICKET, "density": 0.5**level}
        made.start(f"level{level}-1", "dense1", before, **settings)
        made.train(f"level{level}-1", f"level{level}-2", f"level{level}-3", **settings)
    return made
