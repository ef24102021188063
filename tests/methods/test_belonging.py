"""Checkpoints, methods and teachers that do not belong together are refused in one line."""

import pytest

from chains import TICKET, Chain
from natural_sparsity.errors import UserError

DISTIL = {"method": "distil", "role": "student", "weight": 0.5, "temperature": 1.0}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    chain = Chain(tmp_path_factory.mktemp("chain"))
    chain.initialise()
    chain.initialise("other0", seed=4)
    chain.train("dense0", "dense1")
    chain.start("ticket0", "dense0", "dense1", **TICKET)
    return chain


def test_a_pruned_checkpoint_is_not_trained_as_a_dense_one(chain):
    with pytest.raises(UserError, match=r"ticket0: was made for the method iterative; give its block as --sparsify$"):
        chain.train("ticket0", "lost1")
    assert not chain.path("lost1").exists()


def test_a_teacher_of_another_seed_or_of_nobody_is_refused(chain):
    with pytest.raises(UserError, match=r"other0: its seed is 4, the student's 3; give its own teacher$"):
        chain.train("dense0", "student1", teacher="other0", **DISTIL)
    with pytest.raises(UserError, match=r"^--teacher: a dense model learns from nobody"):
        chain.train("dense0", "student1", teacher="dense1")


def test_a_start_without_what_it_needs_is_refused(chain):
    with pytest.raises(UserError, match=r"^--masks: iterative prunes by the weights or masks of a checkpoint"):
        chain.start("bare0", "dense0", None, **TICKET)
    with pytest.raises(UserError, match=r"^--sparsify: models of distil start from initialise"):
        chain.start("student0", "dense0", None, **DISTIL)


def test_counts_on_the_command_line_are_positive(chain):
    for option in ("batch", "window"):
        with pytest.raises(SystemExit):
            chain.evaluate("dense1", **{option: 0})
