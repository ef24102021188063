"""Tickets that go back to a step inside the dense model's first epoch."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from chains import ADAM, TICKET, VOCABULARY, Chain, after_steps, call, text_batches
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.training import retrace

pytestmark = pytest.mark.integration
# 4000 tokens in 8 streams of 500: 71 windows of 7 and one of 2.
STEPS, REWIND = 72, 20


def make_chain(folder, kind="text", **changes):
    """A dense model trained for two epochs, and its checkpoint after a step, from which training can go on."""
    chain = Chain(folder, kind, **changes)
    chain.initialise()
    chain.train("dense0", "dense1", "dense2")
    return chain


def rewind(chain, step=REWIND, **options):
    given = {"from": chain.path("dense0"), "to": chain.path("dense1"), "train": chain.split_file("train")}
    given |= {"training": chain.training, "device": "cpu", "steps": step, "resumable": True}
    call(retrace, **{**given, "checkpoint": chain.path(f"rewind{step}"), **options})
    return f"rewind{step}"


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    chain = make_chain(tmp_path_factory.mktemp("text"))
    rewind(chain)
    return chain


@pytest.mark.parametrize(
    ("kind", "changes", "step"),
    [
        ("text", {}, REWIND),
        ("text", {**ADAM, "window": 7}, REWIND),
        ("classification", {"architecture": {"dropout": 0.3}}, 5),
        ("addition", {}, 2),
    ],
    ids=["text", "text by Adam", "classification", "addition"],
)
def test_a_ticket_that_keeps_everything_is_the_dense_model_bit_for_bit(tmp_path, kind, changes, step):
    """Weights, the optimizer's memory, dropout and the order of the data: all go on where the dense model was."""
    chain = make_chain(tmp_path, kind, **changes)
    tensors = TICKET["tensors"] if kind in ("text", "classification") else ["recurrent"]
    whole = {**TICKET, "density": 1.0, "tensors": tensors}
    chain.start("whole0", rewind(chain, step), "dense2", **whole)
    chain.train("whole0", "whole1", "whole2", **whole)
    for epoch in (1, 2):
        (ours, _, state), (dense, _, of_dense) = chain.load(f"whole{epoch}"), chain.load(f"dense{epoch}")
        assert all(torch.equal(ours[name], dense[name]) for name in dense)
        memory, expected = chain.memory(f"whole{epoch}"), chain.memory(f"dense{epoch}")
        assert memory.keys() == expected.keys() and all(torch.equal(memory[name], expected[name]) for name in expected)
        for key in ("steps", "examples", "dev_loss", "learning_rate_out"):
            assert state[key] == of_dense[key], key
        assert "resumable" not in state and not checkpoint.load_tensors(chain.path("whole1"), "cpu", checkpoint.RESUME)


def test_a_ticket_starts_from_the_weights_after_the_step(chain, monkeypatch):
    seen = {}
    with monkeypatch.context() as patch:
        after_steps(patch, lambda step, n: seen.update({n: [p.clone() for p in step.model.parameters()]}))
        chain.train("dense0", "again1")
    settings = {**TICKET, "density": 0.4}
    chain.start("ticket0", "rewind20", "dense2", **settings)
    weights, masks, state = chain.load("ticket0")
    for (name, weight), expected in zip(weights.items(), seen[REWIND], strict=True):
        assert torch.equal(weight, expected * masks[name] if name in masks else expected)
    assert (state["epoch"], state["steps"], state["resumable"]) == (0, REWIND, True)


def test_a_ticket_trains_the_rest_of_the_epoch(chain, monkeypatch):
    """Each step on the batch that the dense model had there, and its pruned weights stay 0."""
    settings = {**TICKET, "density": 0.4}
    chain.start("ticket0", "rewind20", "dense2", **settings)
    counted = itertools.count()
    with monkeypatch.context() as patch:
        after_steps(patch, lambda step, n: next(counted))
        chain.train("ticket0", "ticket1", **settings)
    assert next(counted) == STEPS - REWIND
    weights, masks, state = chain.load("ticket1")
    assert (state["epoch"], state["steps"], state["examples"]) == (1, STEPS, 499 * 8)
    assert all(not bool(weights[name][~mask].any()) for name, mask in masks.items())


@pytest.mark.parametrize("step", [1, 30, STEPS - REWIND])
def test_a_killed_first_epoch_goes_on_to_the_same_bits(chain, monkeypatch, step):
    settings = {**TICKET, "density": 0.4}
    chain.start("ticket0", "rewind20", "dense2", **settings)
    chain.train("ticket0", "undisturbed1", **settings)
    chain.train_with_interruption(monkeypatch, step, "ticket0", "killed1", **settings)
    assert chain.bytes("killed1") == chain.bytes("undisturbed1")
    states = [chain.load(name)[2] for name in ("killed1", "undisturbed1")]
    assert states[0]["train_loss"] == states[1]["train_loss"]


class Plain(nn.Module):
    """The network as one would write it with torch's modules."""

    def __init__(self, weights):
        super().__init__()
        self.encoder, self.first, self.second = nn.Embedding(VOCABULARY, 6), nn.LSTM(6, 5), nn.LSTM(5, 7)
        self.decoder = nn.Linear(7, VOCABULARY)
        self.double().load_state_dict(dict(zip(self.state_dict(), weights, strict=True)))

    def forward(self, words, hidden):
        y, first = self.first(self.encoder(words), hidden[0])
        y, second = self.second(y, hidden[1])
        return self.decoder(y), [tuple(h.detach() for h in pair) for pair in (first, second)]


def test_the_course_is_that_of_plain_torch(tmp_path):
    """Twenty dense steps, pruning, the rest of the epoch with the dense model's hidden state: by torch alone."""
    chain = make_chain(tmp_path, architecture={"dropout": 0.0}, learning_rate=4.0)
    settings = {**TICKET, "density": 0.4}
    chain.start("ticket0", rewind(chain), "dense2", **settings)
    chain.train("ticket0", "ticket1", **settings)
    untrained, _, _ = chain.load("dense0")
    weights, masks, state = chain.load("ticket1")
    plain = Plain([weight.double() for weight in untrained.values()])
    kept = [masks[name].double() if name in masks else None for name in untrained]
    hidden = [tuple(torch.zeros(1, 8, n).double() for _ in range(2)) for n in (5, 7)]
    losses, examples = [], 0

    def prune():
        for parameter, mask in zip(plain.parameters(), kept, strict=True):
            if mask is not None:
                parameter.data *= mask

    for number, (inputs, targets, _) in enumerate(text_batches(tmp_path / "train.npy"), 1):
        logits, hidden = plain(inputs, hidden)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        plain.zero_grad()
        loss.backward()
        if number > REWIND:
            losses.append(loss.item() * targets.numel())
            examples += targets.numel()
            for parameter, mask in zip(plain.parameters(), kept, strict=True):
                parameter.grad *= 1 if mask is None else mask
        nn.utils.clip_grad_norm_(plain.parameters(), 0.25)
        for parameter in plain.parameters():
            parameter.data -= 4.0 * parameter.grad
        if number >= REWIND:
            prune()
    for ours, theirs in zip(weights.values(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.double(), theirs.detach(), rtol=1e-4, atol=1e-5)
    assert state["train_loss"] == pytest.approx(np.sum(losses) / examples, abs=1e-5)


def test_the_last_step_of_the_epoch_is_no_step_to_rewind_to(chain):
    with pytest.raises(UserError, match=f"has {STEPS} steps, .* set sparsify.rewind to a step below {STEPS}, or to an"):
        rewind(chain, STEPS)
    assert not chain.path(f"rewind{STEPS}").exists()


def test_a_step_of_another_number_is_refused(chain):
    parents = {"start": {"epoch": 0, "steps": 64}}
    with pytest.raises(UserError, match="its steps is 20, expected 64"):
        chain.start("refused", "rewind20", "dense2", parents=parents, **TICKET)


def test_a_step_that_was_kept_for_probes_alone_is_refused(chain):
    rewind(chain, 3, checkpoint=chain.path("step3"), resumable=None)
    with pytest.raises(UserError, match="is step3, inside the first epoch"):
        chain.start("refused", "step3", "dense2", **TICKET)
