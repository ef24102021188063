"""Checkpoints, methods and teachers that do not belong together are refused in one line."""

import pytest

from chains import TICKET, Chain, call
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import fold

DISTIL = {"method": "distil", "role": "student", "weight": 0.5, "temperature": 1.0}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    chain = Chain(tmp_path_factory.mktemp("chain"))
    chain.initialise()
    chain.initialise("other0", seed=4)
    chain.train("dense0", "dense1", "dense2")
    chain.start("ticket0", "dense0", "dense1", **TICKET)
    return chain


def expect(model, epoch):
    """What a rule says of a parent."""
    return {"data": "d", "model": model, "seed": 3, "epoch": epoch, "folded": False}


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


def test_a_parent_of_another_model_or_epoch_is_refused(chain):
    """Each is of the same data, architecture and seed, and would give other weights or other masks."""
    parents = {"start": expect("m", 0), "masks": expect("m", 2)}
    call(fold, **{"from": chain.path("dense2")}, checkpoint=chain.path("folded"))
    for start, masks, message in (
        ("dense1", "dense2", r"dense1: its epoch is 1, expected 0; put it back if it was moved or renamed"),
        ("ticket0", "dense2", r"ticket0: its model is 's', expected 'm'"),
        ("dense0", "dense1", r"dense1: its epoch is 1, expected 2"),
        ("dense0", "ticket0", r"ticket0: its model is 's', expected 'm'"),
        ("dense0", "folded", r"folded: its folded is True, expected False"),
    ):
        with pytest.raises(UserError, match=message):
            chain.start("wrong0", start, masks, parents=parents, **TICKET)
        assert not chain.path("wrong0").exists()
    chain.start("right0", "dense0", "dense2", parents=parents, **TICKET)
    digests = [chain.load(name)[2]["parameters"] for name in ("dense0", "dense2")]
    assert chain.load("right0")[2]["made_from"] == dict(zip(("from", "masks"), digests, strict=True))
    chain.train("right0", "right1", **TICKET)


def test_a_teacher_of_another_model_or_epoch_is_refused(chain):
    for teacher, message in (
        ("dense0", "dense0: its epoch is 0, expected 2"),
        ("dense1", "dense1: its epoch is 1, expected 2"),
        ("ticket0", "ticket0: its model is 's', expected 'm'"),
    ):
        with pytest.raises(UserError, match=message):
            chain.train("dense0", "student1", teacher=teacher, parents={"teacher": expect("m", 2)}, **DISTIL)
    assert not chain.path("student1").exists()


def test_a_student_has_one_teacher(chain):
    """Without a rule that says which, its first epoch decides."""
    chain.train("dense0", "taught1", teacher="dense2", **DISTIL)
    assert chain.load("taught1")[2]["teacher"] == chain.load("dense2")[2]["parameters"]
    for teacher, message in (
        ("dense1", r"taught1: does not belong to .*dense1 \(different teacher\); delete the older"),
        (None, r"taught1: does not belong to a run without a teacher \(different teacher\)"),
    ):
        with pytest.raises(UserError, match=message):
            chain.train("taught1", "taught2", teacher=teacher, **DISTIL)
    chain.train("taught1", "taught2", teacher="dense2", **DISTIL)


def test_counts_on_the_command_line_are_positive(chain):
    for option in ("batch", "window"):
        with pytest.raises(SystemExit):
            chain.evaluate("dense1", **{option: 0})
