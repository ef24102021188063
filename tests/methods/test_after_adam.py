"""Language models that Adam trains are pruned, quantised and distilled like others, and its memory goes with them."""

import pytest
import torch

from chains import ADAM, TENSORS, TICKET, Chain
from natural_sparsity.methods.qat import integers

pytestmark = pytest.mark.integration

STEPS = 72
EIGHT = {"method": "qat", "bits": 8, "scope": "channel", "role": "qat"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    chain = Chain(tmp_path_factory.mktemp("adam"), **{**ADAM, "learning_rate": 0.01, "window": 7})
    chain.initialise()
    chain.train("dense0", "dense1", "dense2", "dense3")
    return chain


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def steps_of(memory):
    return {float(value) for name, value in memory.items() if name.startswith("step.")}


def test_the_rate_is_constant_and_the_memory_complete(chain):
    states = [chain.load(f"dense{epoch}")[2] for epoch in range(4)]
    assert {state["learning_rate_out"] for state in states} == {0.01}
    assert states[3]["dev_loss"] < states[1]["dev_loss"]
    assert chain.memory("dense0") == {}
    for epoch in (1, 2, 3):
        assert steps_of(chain.memory(f"dense{epoch}")) == {epoch * STEPS}
    assert {name.partition(".")[2] for name in chain.memory("dense1")} == set(chain.load("dense1")[0])


def test_a_ticket_that_keeps_everything_is_the_dense_model_from_its_rewinding_on(chain):
    """Weights and memory, bit for bit."""
    whole = {**TICKET, "density": 1.0}
    chain.start("whole1", "dense1", "dense3", **whole)
    chain.train("whole1", "whole2", "whole3", **whole)
    for epoch in (1, 2, 3):
        assert equal(chain.load(f"whole{epoch}")[0], chain.load(f"dense{epoch}")[0])
        assert equal(chain.memory(f"whole{epoch}"), chain.memory(f"dense{epoch}"))


def test_a_ticket_goes_on_with_the_memory_of_the_rewound_epoch_and_stays_pruned(chain):
    settings = {**TICKET, "density": 0.3, "scope": "global"}
    chain.start("ticket1", "dense1", "dense3", **settings)
    assert equal(chain.memory("ticket1"), chain.memory("dense1"))
    chain.train("ticket1", "ticket2", "ticket3", **settings)
    chain.train("ticket2", "again3", **settings)
    assert chain.bytes("again3") == chain.bytes("ticket3")
    assert steps_of(chain.memory("ticket3")) == {3 * STEPS}
    parameters, masks, _ = chain.load("ticket3")
    memory = chain.memory("ticket3")
    for name, mask in masks.items():
        assert not parameters[name][~mask].any()
        # Those that are pruned take no gradient: what is left of the moment has only decayed since the rewinding.
        decayed = chain.memory("ticket1")[f"exp_avg.{name}"][~mask] * 0.9 ** (2 * STEPS)
        torch.testing.assert_close(memory[f"exp_avg.{name}"][~mask], decayed, rtol=1e-3, atol=1e-12)
        assert bool(memory[f"exp_avg.{name}"][mask].any())


def test_a_random_mask_keeps_the_memory_and_new_weights_have_none(chain):
    settings = {**TICKET, "density": 0.3}
    chain.start("kept1", "dense1", "dense3", **settings)
    chain.start("mask1", "dense1", "kept1", **{**settings, "role": "random_mask"})
    chain.start("init1", "dense1", "kept1", **{**settings, "role": "random_init"})
    assert equal(chain.memory("mask1"), chain.memory("dense1"))
    assert chain.memory("init1") == {}
    chain.train("init1", "init2", **{**settings, "role": "random_init"})
    assert steps_of(chain.memory("init2")) == {STEPS}


def test_gradual_pruning_reaches_its_density(chain):
    settings = {"method": "gradual", "scope": "global", "tensors": TENSORS, "density": 0.25, "role": "gradual"}
    settings |= {"begin": 0, "end": 2, "every": 10}
    chain.start("gradual0", "dense0", None, **settings)
    chain.train("gradual0", "gradual1", "gradual2", **settings)
    parameters, masks, _ = chain.load("gradual2")
    assert sum(int(mask.sum()) for mask in masks.values()) == round(0.25 * sum(mask.numel() for mask in masks.values()))
    assert not any(bool(parameters[name][~mask].any()) for name, mask in masks.items())


def test_a_quantised_model_goes_on_with_the_memory_and_stays_on_its_grid(chain):
    chain.start("eight2", "dense2", None, **EIGHT)
    assert equal(chain.memory("eight2"), chain.memory("dense2"))
    chain.train("eight2", "eight3", **EIGHT)
    chain.train("eight2", "again3", **EIGHT)
    assert chain.bytes("again3") == chain.bytes("eight3")
    model, state = chain.open("eight3")
    assert len(integers(model, chain.load("eight3")[1])) == 6
    assert steps_of(chain.memory("eight3")) == {3 * STEPS}
    # Eight bits cost little: the loss is near that of the model in single precision.
    assert state["dev_loss"] == pytest.approx(chain.load("dense3")[2]["dev_loss"], abs=0.02)


def test_a_student_of_a_teacher_of_adams_learns_by_adam(chain):
    settings = {"method": "distil", "weight": 0.5, "temperature": 1.0, "role": "student"}
    chain.initialise("student0", embedding=4, hidden=[3])
    chain.train("student0", "student1", "student2", teacher="dense3", **settings)
    losses = [chain.load(f"student{epoch}")[2]["train_loss"] for epoch in (1, 2)]
    assert losses[1] < losses[0] - 0.2
    assert steps_of(chain.memory("student2")) == {2 * STEPS}


def test_moduli_prune_in_their_ramp(chain):
    settings = {"method": "moduli", "space": "torus", "inhibitor": "dog", "inverted": True, "control": "none"}
    settings |= {"strength": 0.1, "sparsity": 0.5, "ramp": 2, "tensors": TENSORS, "role": "moduli"}
    chain.start("moduli0", "dense0", None, **settings)
    chain.train("moduli0", "moduli1", "moduli2", **settings)
    parameters, tensors, _ = chain.load("moduli2")
    masks = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.bool}
    assert sum(int(mask.sum()) for mask in masks.values()) == round(0.5 * sum(mask.numel() for mask in masks.values()))
    assert not any(bool(parameters[name][~mask].any()) for name, mask in masks.items())


def test_random_variables_have_a_memory_of_their_own(chain):
    settings = {"method": "sparse_vd", "groups": ["weights", "neurons"], "threshold": 3, "learning_rate": 0.02}
    settings |= {"clip": 10.0, "dropout": 0.0, "role": "sparse_vd"}
    chain.start("noisy1", "dense1", None, **settings)
    assert chain.memory("noisy1") == {}
    chain.train("noisy1", "noisy2", **settings)
    assert steps_of(chain.memory("noisy2")) == {STEPS}
    assert chain.load("noisy2")[2]["learning_rate_in"] == 0.02
