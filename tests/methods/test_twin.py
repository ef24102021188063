"""Twins: what differs from the original, what does not, and the barrier between the two."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from chains import ADAM, TICKET, VOCABULARY, Chain, call
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import interpolate
from natural_sparsity.methods import twin
from natural_sparsity.training import retrace

pytestmark = pytest.mark.integration
TWIN = {"method": "twin", "role": "twin", "family": "twin", "rewind": 1}


def make_chain(folder, kind="text", **changes):
    chain = Chain(folder, kind, **changes)
    chain.initialise()
    chain.train("dense0", "dense1", "dense2", "dense3")
    return chain


def rewind(chain, step):
    """A checkpoint of the dense model inside its first epoch."""
    given = {"from": chain.path("dense0"), "to": chain.path("dense1"), "train": chain.split_file("train")}
    given |= {"training": chain.training, "device": "cpu", "steps": step, "resumable": True}
    call(retrace, **given, checkpoint=chain.path(f"rewind{step}"))
    return f"rewind{step}"


def measure(chain, name, original, **options):
    """The line between two checkpoints."""
    output = chain.folder / f"{name}-line.json"
    given = {"checkpoint": chain.path(name), "original": chain.path(original), "dev": chain.split_file("dev")}
    call(interpolate, **given, device="cpu", output=output, **options)
    return files.read_json(output)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A dense model, and its twin from epoch 1 on."""
    chain = make_chain(tmp_path_factory.mktemp("text"))
    chain.start("twin1", "dense1", None, **TWIN)
    chain.train("twin1", "twin2", "twin3", **TWIN)
    return chain


@pytest.mark.parametrize(
    ("kind", "changes", "step"),
    [
        ("text", {}, 20),
        ("text", ADAM, None),
        ("classification", {}, 5),
        ("addition", {}, None),
    ],
    ids=["text from a step", "text by Adam", "classification from a step", "addition"],
)
def test_only_the_seed_of_dropout_and_order_differs(tmp_path, monkeypatch, kind, changes, step):
    """With the run's own seed, the twin is the original bit for bit, rates by the dev loss included."""
    chain = make_chain(tmp_path, kind, **changes)
    begin = rewind(chain, step) if step else "dense1"
    chain.start("begin", begin, None, **TWIN)
    names = ["dense1", "dense2", "dense3"] if step else ["dense2", "dense3"]
    chain.train("begin", *(name.replace("dense", "other") for name in names), **TWIN)
    monkeypatch.setattr(twin, "choose_seed", lambda seed: seed)
    chain.train("begin", *(name.replace("dense", "same") for name in names), **TWIN)
    for name in names:
        weights, _, original = chain.load(name)
        same, _, state = chain.load(name.replace("dense", "same"))
        assert all(torch.equal(same[key], weights[key]) for key in weights)
        for key in ("steps", "examples", "dev_loss", "best_dev_loss", "learning_rate_out"):
            assert state[key] == original[key], key
        other, _, state = chain.load(name.replace("dense", "other"))
        assert not any(torch.equal(other[key], weights[key]) for key in weights if key.startswith("recurrent"))
        assert (state["steps"], state["examples"], state["seed"]) == tuple(
            original[key] for key in ("steps", "examples", "seed")
        )


def test_a_killed_twin_goes_on_to_the_same_bits(chain, monkeypatch):
    chain.train_with_interruption(monkeypatch, 30, "twin1", "killed2", **TWIN)
    assert chain.bytes("killed2") == chain.bytes("twin2")


def test_an_epoch_of_a_twin_can_be_trained_again(chain):
    chain.start("again0", "dense0", None, **{**TWIN, "rewind": 0})
    chain.train("again0", "again1", **{**TWIN, "rewind": 0})
    given = {"from": chain.path("again0"), "to": chain.path("again1"), "train": chain.split_file("train")}
    call(retrace, **given, training=chain.training, device="cpu", steps=[3], checkpoint=[chain.path("again-step3")])
    assert chain.load("again-step3")[2]["steps"] == 3


def test_the_barrier_is_that_of_plain_torch(chain):
    line = measure(chain, "twin3", "dense3")
    ends = [[weight.detach().double() for weight in chain.load(name)[0].values()] for name in ("dense3", "twin3")]
    encoder, decoder = nn.Embedding(VOCABULARY, 6), nn.Linear(7, VOCABULARY)
    plain = nn.ModuleList([encoder, nn.LSTM(6, 5), nn.LSTM(5, 7), decoder]).double()
    inputs, targets = read_dev(chain)
    losses = []
    for point in range(21):
        for parameter, first, last in zip(plain.parameters(), *ends, strict=True):
            parameter.data = (1 - point / 20) * first + point / 20 * last
        with torch.no_grad():
            y = plain[2](plain[1](encoder(inputs))[0])[0]
            losses.append(functional.cross_entropy(decoder(y).flatten(0, 1), targets.flatten()).item())
    assert line["shares"] == pytest.approx([point / 20 for point in range(21)])
    assert line["losses"] == pytest.approx(losses, abs=1e-5)
    assert line["barrier"] == pytest.approx(max(losses) - (losses[0] + losses[-1]) / 2, abs=1e-5)
    assert [line["losses"][i] for i in (0, -1)] == [chain.load(name)[2]["dev_loss"] for name in ("dense3", "twin3")]


def read_dev(chain):
    """Inputs and targets of the whole dev split, as ten streams (steps, 10)."""
    tokens = torch.from_numpy(files.read_array(chain.split_file("dev")).astype("int64"))
    streams = tokens[: len(tokens) // 10 * 10].view(10, -1).T
    return streams[:-1], streams[1:]


def test_training_on_from_the_last_epoch_has_no_barrier(chain):
    chain.start("late3", "dense3", None, **{**TWIN, "rewind": 3})
    assert measure(chain, "late3", "dense3")["barrier"] == 0


def test_the_ends_of_a_ticket_share_its_masks(chain):
    chain.start("ticket1", "dense1", "dense3", **TICKET)
    chain.train("ticket1", "ticket2", "ticket3", **TICKET)
    chain.start("copy2", "ticket2", None, **TWIN)
    chain.train("copy2", "copy3", **TWIN)
    (ticket, masks, _), (other, kept, _) = chain.load("ticket3"), chain.load("copy3")
    assert masks.keys() == kept.keys() and len(masks) == 6
    for name, mask in masks.items():
        assert torch.equal(mask, kept[name])
        assert not other[name][~mask].any() and not torch.equal(other[name], ticket[name])


def test_models_that_are_no_twins_are_refused(chain):
    with pytest.raises(UserError, match="dense2: of another epoch than .*twin3; delete both and run again$"):
        measure(chain, "twin3", "dense2")
    parents = {"original": {"model": "other"}}
    with pytest.raises(UserError, match="dense3: its model is 'm', expected 'other'"):
        measure(chain, "twin3", "dense3", parents=parents)
    with pytest.raises(UserError, match="its epoch is 3, expected 4"):
        measure(chain, "twin3", "dense3", expect={"epoch": 4})
