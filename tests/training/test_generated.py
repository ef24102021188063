"""Epochs of training on generated data: reproducible, resumable, with the methods of sparsity."""

import pytest
import safetensors.torch
import torch
from torch import nn

from chains import CPU, KINDS, TENSORS, Chain
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.held_out import evaluate
from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import Method, Place
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import generator_of
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.training.steps import make_step

CELLS = ["rnn", "gru", "lstm"]
# What an optimizer changes in the training's block.
OPTIMIZERS = {"adam": {}, "sgd": {"optimizer": "sgd"}}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("cell", CELLS)
def test_resumed_equals_uninterrupted(tmp_path, cell, optimizer):
    """From the checkpoint between epochs; Adam's memory is in it."""
    chain = Chain(tmp_path, "addition", architecture={"cell": cell, "hidden": [5, 4]}, **OPTIMIZERS[optimizer])
    chain.initialise()
    chain.train("dense0", "a1", "a2", "a3")
    chain.train("a1", "b2")
    chain.train("b2", "b3")
    assert chain.bytes("a3") == chain.bytes("b3")
    parameters, _, state = chain.load("a3")
    memory = chain.memory("a3")
    assert (state["epoch"], state["steps"]) == (3, 15)
    assert bool(memory) == (optimizer == "adam")
    if memory:
        assert float(memory["step.output.weight"]) == 15
        assert set(memory) == {f"{kind}.{name}" for kind in ("step", "exp_avg", "exp_avg_sq") for name in parameters}


def test_an_epoch_that_was_killed_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    chain = Chain(tmp_path, "addition", architecture={"cell": "lstm"})
    chain.initialise()
    chain.train("dense0", "a1")
    chain.train_with_interruption(monkeypatch, 3, "dense0", "b1")
    assert chain.bytes("a1") == chain.bytes("b1")
    assert list(tmp_path.rglob("*partial*")) == []


def test_a_step_is_that_of_torch():
    """Forward, loss, clipping and Adam, against a model of torch's own parts."""
    data, architecture = open_data("addition", KINDS["addition"][0]), {**KINDS["addition"][1], "hidden": [6]}
    training = Training(batch=8, steps=4, clip=0.05, optimizer="adam", learning_rate=0.01)
    torch.manual_seed(0)
    model = RecurrentModel(data.interface(None), Architecture(**architecture))
    layer, output = nn.RNN(2, 6, nonlinearity="relu"), nn.Linear(6, 1)
    layer.load_state_dict(model.recurrent[0].state_dict())
    output.load_state_dict(model.output.state_dict())
    parameters = [*layer.parameters(), *output.parameters()]
    adam = torch.optim.Adam(parameters, 0.01)
    step = make_step(model, data, training, 0.01, 8, Method({}, model, {}, Place(1, 4, 32)))
    total = 0.0
    for number in range(4):
        batch = data.draw(8, generator_of(1, number))
        step(batch)
        adam.zero_grad()
        loss = (output(layer(batch.inputs)[0][-1])[:, 0] - batch.targets).square().mean()
        loss.backward()
        assert float(nn.utils.clip_grad_norm_(parameters, 0.05)) > 0.05, "or nothing is clipped"
        adam.step()
        total += 8 * float(loss.detach())
    assert float(step.total) == pytest.approx(total, rel=1e-5)
    assert torch.allclose(model.recurrent[0].weight_hh_l0, layer.weight_hh_l0, atol=1e-6)
    assert torch.allclose(model.output.bias, output.bias, atol=1e-6)


def held_out(data, split):
    return data.split(split, None, 10, 1, data.interface(None))


def test_held_out_sequences_do_not_depend_on_model_or_batch(tmp_path):
    chain = Chain(tmp_path, "addition")
    chain.initialise()
    chain.train("dense0", "a1")
    model, state = chain.open("a1")
    data = chain.open_data()
    batches = list(held_out(data, "dev").batches(CPU))
    targets = torch.cat([batch.targets for batch in batches])
    features = [model(batch.inputs, model.zero_state(len(batch.targets)))[1][-1] for batch in batches]
    answers = model.output(torch.cat(features))[:, 0].detach()
    assert len(targets) == 150
    assert state["dev_score"] == pytest.approx(float((answers - targets).square().mean()), rel=1e-5)
    assert state["dev_loss"] == state["dev_score"]
    other = torch.cat([batch.targets for batch in held_out(data, "test").batches(CPU)])
    assert not torch.equal(targets, other)
    found = chain.evaluate("a1")
    for split in (held_out(data, "test"), data.split("test", None, 77, 9, model.interface)):
        assert (found["loss"], found["score"]) == pytest.approx(evaluate(model, data, split))


def test_the_seed_draws_weights_and_sequences(tmp_path):
    chain = Chain(tmp_path, "addition")
    for seed in (1, 2):
        chain.initialise(f"s{seed}", seed)
        chain.train(f"s{seed}", f"t{seed}")
    assert chain.bytes("s1") != chain.bytes("s2")
    assert chain.load("t1")[2]["train_loss"] != chain.load("t2")[2]["train_loss"]


MODULI = {"method": "moduli", "space": "torus", "inhibitor": "dog", "inverted": True, "control": "none"}
MODULI |= {"strength": 0.1, "sparsity": 0.8, "ramp": 3, "tensors": TENSORS, "role": "moduli"}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("space", ["circle", "sphere", "torus", "torus6", "klein"])
def test_moduli_on_every_cell_and_space(tmp_path, cell, space):
    chain = Chain(tmp_path, "addition", architecture={"cell": cell})
    settings = {**MODULI, "space": space}
    chain.initialise()
    chain.start("m0", "dense0", None, **settings)
    chain.train("m0", "m1", "m2", "m3", **settings)
    before = None
    for epoch, due in ((1, 0), (2, 0.8 * 2 / 3), (3, 0.8)):
        parameters, tensors, _ = chain.load(f"m{epoch}")
        masks = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.bool}
        total = sum(mask.numel() for mask in masks.values())
        pruned = sum(int((parameters[name] == 0).sum()) for name in masks)
        assert abs(pruned - due * total) <= 1
        assert all(bool((parameters[name][~mask] == 0).all()) for name, mask in masks.items())
        assert before is None or not any(bool((masks[name] & ~before[name]).any()) for name in masks)
        before = masks
    found = chain.evaluate("m3")
    assert found["weights"] - found["nonzero"] == pruned


def test_retrained_weights_are_new_under_the_same_masks(tmp_path):
    chain = Chain(tmp_path, "addition")
    chain.initialise()
    chain.start("m0", "dense0", None, **MODULI)
    chain.train("m0", "m1", "m2", "m3", **MODULI)
    retrained = {**MODULI, "role": "retrained"}
    chain.start("r0", "dense0", "m3", **retrained)
    chain.train("r0", "r1", "r2", "r3", **retrained)
    dense, _, _ = chain.load("dense0")
    trained, decided, _ = chain.load("m3")
    begun, at_start, state = chain.load("r0")
    assert chain.memory("r0") == {} and state["epoch"] == 0
    for epoch in ("r0", "r1", "r3"):
        parameters, tensors, _ = chain.load(epoch)
        assert all(torch.equal(tensors[name], decided[name]) for name in decided), "masks, points and K stay"
        for name, mask in decided.items():
            if mask.dtype == torch.bool:
                assert bool((parameters[name][~mask] == 0).all())
    for name, mask in at_start.items():
        if mask.dtype == torch.bool and bool(mask.any()):
            assert not torch.isclose(begun[name][mask], dense[name][mask]).any()
            assert not torch.isclose(begun[name][mask], trained[name][mask]).any()


def test_a_ticket_that_keeps_everything_is_the_dense_model(tmp_path):
    """From epoch 1, with Adam's memory."""
    chain = Chain(tmp_path, "addition")
    chain.initialise()
    chain.train("dense0", "dense1", "dense2", "dense3")
    ticket = {"method": "iterative", "scope": "global", "tensors": TENSORS, "role": "ticket", "density": 1.0}
    chain.start("k1", "dense1", "dense3", **ticket)
    chain.train("k1", "k2", "k3", **ticket)
    ticket, dense = chain.load("k3")[0], chain.load("dense3")[0]
    assert all(torch.equal(ticket[name], dense[name]) for name in dense)
    memory, of_dense = chain.memory("k3"), chain.memory("dense3")
    assert all(torch.equal(memory[name], of_dense[name]) for name in of_dense)


def test_pruned_weights_stay_zero_under_adam(tmp_path):
    chain = Chain(tmp_path, "addition")
    chain.initialise()
    chain.train("dense0", "dense1", "dense2")
    ticket = {"method": "iterative", "scope": "global", "tensors": TENSORS, "role": "ticket", "density": 0.3}
    chain.start("k1", "dense1", "dense2", **ticket)
    chain.train("k1", "k2", **ticket)
    parameters, masks, _ = chain.load("k2")
    memory = chain.memory("k2")
    assert float(memory["exp_avg.recurrent.0.weight_hh_l0"].abs().max()) > 0
    for name, mask in masks.items():
        assert bool((parameters[name][~mask] == 0).all())
        assert bool((parameters[name][mask] != 0).all())


def test_a_checkpoint_with_other_parameters_is_refused(tmp_path):
    chain = Chain(tmp_path, "addition")
    chain.initialise()
    path = chain.path("dense0") / checkpoint.PARAMETERS
    safetensors.torch.save_file({**safetensors.torch.load_file(path), "output.weight": torch.zeros(2, 12)}, path)
    with pytest.raises(UserError, match="not the parameters that"):
        chain.load("dense0")


def test_a_loss_that_is_not_finite_stops_the_epoch(tmp_path):
    chain = Chain(tmp_path, "addition", optimizer="sgd", learning_rate=1e30, clip=1e30)
    chain.initialise()
    with pytest.raises(UserError, match=r"the loss is not finite at learning rate 1e\+30; lower it"):
        chain.train("dense0", "x1")
    assert not (chain.path("x1") / checkpoint.STATE).exists()
