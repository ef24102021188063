"""Checkpoints inside the first epoch: those of the very training, or none."""

import numpy as np
import pytest
import torch

from chains import ADAM, Chain, after_steps, call, write_tokens
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.probing import probe
from natural_sparsity.training import retrace

pytestmark = pytest.mark.integration
# 4000 tokens in 8 streams of 500: 71 windows of 7 and one of 2.
LAST, PREDICTED = 72, 499 * 8


def make_chain(folder, kind="text", **training):
    """An untrained checkpoint and that of an epoch."""
    chain = Chain(folder, kind, **training)
    chain.initialise()
    chain.train("dense0", "dense1")
    return chain


def trace(chain, *steps, to="dense1", **options):
    """Run the command; the folders are called as the checkpoints are."""
    given = {"from": chain.path("dense0"), "to": chain.path(to), "train": chain.split_file("train")}
    given |= {"training": chain.training, "device": "cpu", "steps": list(steps)}
    call(retrace, **{**given, "checkpoint": [chain.path(f"step{step}") for step in steps], **options})


def is_written(chain, name):
    """Whether anything of a checkpoint is on disk, temporary files included."""
    return chain.path(name).exists() and any(chain.path(name).iterdir())


@pytest.mark.parametrize("kind", ["text", "addition"])
def test_steps_are_those_of_the_training(tmp_path, monkeypatch, kind):
    """The weights as they were after each step when the epoch was trained, dropout and all."""
    seen = {}
    with monkeypatch.context() as patch:
        after_steps(patch, lambda step, n: seen.update({n: [p.clone() for p in step.model.parameters()]}))
        chain = make_chain(tmp_path, kind)
    before = {name: chain.bytes(name) for name in ("dense0", "dense1")}
    steps = [1, 2, 4]
    trace(chain, *steps)
    start, first = (checkpoint.read_state(chain.path(name)) for name in ("dense0", "dense1"))
    for number in steps:
        parameters, _, state = chain.load(f"step{number}")
        for tensor, expected in zip(parameters.values(), seen[number], strict=True):
            assert torch.equal(tensor, expected)
        assert (state["epoch"], state["steps"], state["before"]) == (0, number, start["parameters"])
        assert state["examples"] == number * first["examples"] // len(seen) if kind == "addition" else number * 7 * 8
        for key in ("data", "model", "seed", "kind", "vocabulary", "tokens", "architecture"):
            assert state[key] == first[key]
        assert [state[key] for key in ("train_loss", "dev_loss", "dev_score", "best_dev_loss")] == [None] * 4
        assert state["learning_rate_in"] == state["learning_rate_out"] == first["learning_rate_in"]
    assert before == {name: chain.bytes(name) for name in before}


def test_the_last_step_is_the_epochs_end(tmp_path):
    chain = make_chain(tmp_path)
    trace(chain, LAST)
    assert chain.bytes(f"step{LAST}") == chain.bytes("dense1")
    assert checkpoint.read_state(chain.path(f"step{LAST}"))["examples"] == PREDICTED


def test_what_adam_remembers_is_left_out(tmp_path):
    chain = make_chain(tmp_path, **ADAM)
    trace(chain, 4)
    assert chain.memory("dense1")
    assert not chain.memory("step4")
    with pytest.raises(UserError, match="step4: is step4, inside the first epoch; training starts from init or an epo"):
        chain.train("step4", "dense1again")
    with pytest.raises(UserError, match="step4: is step4, inside the first epoch"):
        chain.start("ticket", "step4", "dense1", method="iterative", scope="layer", role="ticket", density=0.5)


def test_an_epoch_that_ends_in_other_bits_leaves_nothing(tmp_path):
    chain = make_chain(tmp_path)
    with pytest.raises(
        UserError, match=r"dense1: its epoch, trained again, gave other parameters; it was trained on c"
    ):
        trace(chain, 1, 2, training={**chain.training, "clip": 0.2})
    tokens = np.load(chain.split_file("train"))
    tokens[17] = (tokens[17] + 1) % 60
    write_tokens(chain.split_file("train"), tokens)
    with pytest.raises(UserError, match=r"dense1: does not belong to .*train\.npy \(different train split\)"):
        trace(chain, 1, 2)
    assert not is_written(chain, "step1")
    assert not is_written(chain, "step2")


def test_a_step_that_the_epoch_lacks_is_refused_before_training(tmp_path, monkeypatch):
    chain = make_chain(tmp_path)
    after_steps(monkeypatch, lambda step, n: pytest.fail("trained"))
    with pytest.raises(
        UserError,
        match="dense1: its epoch has 72 steps, so there is no step 128; lower first_epoch_checkpoints to 7 or less",
    ):
        trace(chain, *(2**i for i in range(8)))
    assert not is_written(chain, "step1")


def test_only_the_first_epoch_is_traced(tmp_path):
    chain = make_chain(tmp_path)
    chain.train("dense1", "dense2")
    with pytest.raises(UserError, match="dense2: is epoch2; give epoch1, the only one with checkpoints inside"):
        trace(chain, 1, to="dense2", **{"from": chain.path("dense1")})
    with pytest.raises(
        UserError,
        match=r"dense1: is epoch1 of d/m, seed 3; but .*dense1, which is epoch1 of d/m, seed 3, was not trained",
    ):
        trace(chain, 1, **{"from": chain.path("dense1")})
    with pytest.raises(UserError, match="2 --steps but 1 --checkpoint; give one folder per step"):
        trace(chain, 1, 2, checkpoint=chain.path("step1"))
    with pytest.raises(UserError, match="--steps: a step repeats"):
        trace(chain, 1, 1)
    with pytest.raises(UserError, match="--checkpoint: .*step1 is given twice"):
        trace(chain, 1, 2, checkpoint=[chain.path("step1")] * 2)
    with pytest.raises(UserError, match="--teacher: .*dense1 was trained without a teacher; leave it out"):
        trace(chain, 1, teacher=chain.path("dense1"))
    with pytest.raises(UserError, match="dense1: its seed is 3, expected 4"):
        trace(chain, 1, expect={"seed": 4})


def test_no_other_checkpoint_is_written_over(tmp_path, monkeypatch):
    chain = make_chain(tmp_path)
    chain.train("dense1", "dense2")
    trace(chain, 1, 2)
    trace(chain, 1, 2)
    with pytest.raises(UserError, match="step1: is step1, inside the first epoch; training starts from init"):
        trace(chain, 2, **{"from": chain.path("step1")})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    after_steps(monkeypatch, lambda step, n: pytest.fail("trained"))
    for name, there in (("dense0", "init"), ("dense1", "epoch1"), ("dense2", "epoch2"), ("step2", "step2")):
        with pytest.raises(UserError, match=f"{name}: holds {there} of d/m, seed 3, which step1 would replace"):
            trace(chain, 1, checkpoint=chain.path(name))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}


def test_a_model_that_is_pruned_as_it_trains_is_traced(tmp_path):
    chain = Chain(tmp_path)
    chain.initialise()
    gradual = {"method": "gradual", "tensors": ["output"], "scope": "layer", "begin": 0, "end": 1, "every": 4}
    gradual |= {"role": "pruned", "density": 0.5}
    chain.start("dense0", "dense0", None, **gradual)
    chain.train("dense0", "dense1", **gradual)
    trace(chain, 16)
    kept = [int(chain.load(name)[0]["output.weight"].count_nonzero()) for name in ("dense0", "step16", "dense1")]
    assert kept[0] > kept[1] > kept[2]


def test_a_model_that_is_a_sample_until_the_epoch_ends_is_refused(tmp_path):
    chain = Chain(tmp_path, architecture={"dropout": 0.0})
    chain.initialise()
    variational = {
        "method": "sparse_vd",
        "groups": ["weights"],
        "threshold": 3,
        "learning_rate": 0.01,
        "clip": 1.0,
        "dropout": 0.0,
    }
    chain.train("dense0", "dense1", **variational)
    line = "dense1: models of sparse_vd exist only at the end of an epoch; leave out first_epoch_checkpoints"
    with pytest.raises(UserError, match=line):
        trace(chain, 1)


def test_steps_are_probed(tmp_path):
    chain = make_chain(tmp_path)
    trace(chain, 1, 8)
    names = ["dense0", "step1", "step8", "dense1"]
    given = {"checkpoint": [chain.path(name) for name in names], "tokens": chain.split_file("train"), "device": "cpu"}
    outputs = [tmp_path / f"{name}.parquet" for name in names]
    call(probe, **given, output=outputs, probe={"batch": 8}, named=["init", "step1", "step8", "epoch1"])
    losses = [files.read_metadata(path)["loss"] for path in outputs]
    assert losses[0] > losses[2] > losses[3]
