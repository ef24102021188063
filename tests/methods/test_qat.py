"""Quantisation-aware training against autograd through torch's fake quantisation, and what its checkpoints hold."""

import pytest
import torch
from torch import nn

from chains import VOCABULARY, Chain, language_model, make_text_step, text_batches
from natural_sparsity import files
from natural_sparsity.data.base import open_data
from natural_sparsity.data.held_out import evaluate
from natural_sparsity.errors import UserError
from natural_sparsity.methods import qat
from natural_sparsity.methods.base import Place
from natural_sparsity.methods.masks import TENSORS, prunable
from natural_sparsity.methods.qat import SINGLE, integers, quantise
from natural_sparsity.model import checkpoint

pytestmark = pytest.mark.integration

EIGHT = {"method": "qat", "bits": 8, "scope": "channel", "family": "qat", "role": "qat"}


@pytest.mark.parametrize("scope", ["channel", "tensor"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_values_lie_on_a_grid_of_as_many_bits(bits, scope):
    torch.manual_seed(0)
    weight = torch.randn(9, 5000)
    weight[3] = 0
    values, scale = quantise(weight, bits, scope)
    largest = 2 ** (bits - 1) - 1
    for part in values if scope == "channel" else [values]:
        assert len(part.unique()) <= 2 * largest + 1
    assert len(values[0].unique()) > largest
    # No weight is farther from its own than half a step, the largest is kept.
    steps = scale.view(-1, 1)
    assert bool(((values - weight).abs() <= steps / 2 * (1 + 1e-5)).all())
    assert float(values.abs().max()) == pytest.approx(float(weight.abs().max()))
    assert scale.shape == ((9,) if scope == "channel" else (1,))
    assert not values[3].any()


@pytest.mark.parametrize("scope", ["channel", "tensor"])
def test_whole_numbers_times_scales_are_the_weights_of_the_checkpoint_exactly(chain, scope):
    chain.start("grid0", "dense2", None, **{**EIGHT, "scope": scope})
    chain.train("grid0", "grid1", **{**EIGHT, "scope": scope})
    for name in ("grid0", "grid1"):
        model, (_, tensors, _) = chain.open(name)[0], chain.load(name)
        found = integers(model, tensors)
        assert set(found) == set(prunable(model, list(TENSORS)))
        for key, (q, scale) in found.items():
            assert q.dtype == torch.int8 and int(q.abs().max()) == 127
            assert torch.equal(q.float() * scale[:, None], model.get_parameter(key))
            # The weights in single precision round to these, and are not on the grid themselves.
            single = tensors[SINGLE + key]
            assert torch.equal(quantise(single, 8, scope)[0], model.get_parameter(key))
            assert not torch.equal(single, model.get_parameter(key))
    with torch.no_grad():
        model.output.weight[0, 0] += 1e-4
    with pytest.raises(UserError, match="output.weight: its weights are not on the grid"):
        integers(model, tensors)


class Fake(nn.Module):
    """Fake quantisation with straight-through gradients, as autograd has it."""

    def __init__(self, bits):
        super().__init__()
        self.n = 2 ** (bits - 1) - 1

    def forward(self, weight):
        scale = weight.detach().abs().amax(1) / self.n
        zero = torch.zeros(len(scale), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -self.n, self.n)


@pytest.mark.parametrize("bits", [3, 8])
def test_training_is_that_of_torchs_fake_quantisation(tmp_path, bits):
    """Against torch's parametrisation of plain modules, clipped by the norm of the straight-through gradients."""
    torch.manual_seed(0)
    ours = language_model(embedding=6, hidden=[5, 7], dropout=0.0)
    plain = nn.ModuleList([nn.Embedding(VOCABULARY, 6), nn.LSTM(6, 5), nn.LSTM(5, 7), nn.Linear(7, VOCABULARY)])
    plain.load_state_dict(dict(zip(plain.state_dict(), (p.detach().clone() for p in ours.parameters()), strict=True)))
    for module in plain:
        for name, _ in list(module.named_parameters()):
            if "weight" in name:
                nn.utils.parametrize.register_parametrization(module, name, Fake(bits))
    settings = {**EIGHT, "bits": bits}
    tensors = qat.start(settings, ours, None, {}, 0)
    method = qat.make(settings, ours, tensors, Place(1, 30, 1))
    step = make_text_step(ours.train(), 4.0, method, clip=0.05)
    state = [tuple(torch.zeros(1, 8, n) for _ in range(2)) for n in (5, 7)]
    words = (torch.distributions.Geometric(0.1).sample((1200,)).long() % VOCABULARY).numpy()
    files.write_array(tmp_path / "train.npy", words.astype("uint8"))
    for batch in text_batches(tmp_path / "train.npy")[:15]:
        inputs, targets, _ = batch
        h, first = plain[1](plain[0](inputs), state[0])
        h, second = plain[2](h, state[1])
        state = [tuple(part.detach() for part in pair) for pair in (first, second)]
        loss = nn.functional.cross_entropy(plain[3](h).flatten(0, 1), targets.flatten())
        plain.zero_grad()
        loss.backward()
        originals = list(plain.parameters())
        assert all(bool(p.grad.count_nonzero()) for p in originals), "a weight has no gradient"
        assert float(nn.utils.clip_grad_norm_(originals, 0.05)) > 0.05, "nothing was clipped"
        with torch.no_grad():
            for parameter in originals:
                parameter -= 4.0 * parameter.grad
        assert step(batch).item() == pytest.approx(loss.item(), abs=2e-5)
    for name, module in (("embedding.weight", plain[0]), ("output.weight", plain[3])):
        original = module.parametrizations.weight.original.detach()
        torch.testing.assert_close(tensors[SINGLE + name], original, atol=1e-5, rtol=0)


def test_every_weight_gets_a_gradient_and_biases_stay_in_single_precision(chain):
    chain.start("grad0", "dense2", None, **EIGHT)
    chain.train("grad0", "grad1", **EIGHT)
    before, after = (chain.load(name)[1] for name in ("grad0", "grad1"))
    names = [name for name in before if name.startswith(SINGLE)]
    assert len(names) == 6
    for name in names:
        moved = (after[name] != before[name]).double().mean()
        assert float(moved) > 0.95, name
    assert not any("bias" in name for name in after)


def test_the_dev_loss_is_that_of_the_quantised_weights(chain):
    two = {**EIGHT, "bits": 2}
    chain.start("two0", "dense3", None, **two)
    chain.train("two0", "two4", **two)
    model, state = chain.open("two4")
    assert chain.evaluate("two4", "dev", window=7)["loss"] == pytest.approx(state["dev_loss"], abs=1e-6)
    assert all(len(row.unique()) <= 3 for row in model.output.weight.detach())
    # A 2-bit network that is merely rounded from the dense one is worse than one that was trained so.
    rounded, data = chain.open("two0")[0], open_data("text", {})
    split = data.split("dev", chain.folder / "dev.npy", 10, 7, rounded.interface)
    assert evaluate(rounded, data, split).loss > state["dev_loss"]


def test_interrupted_and_resumed_equals_uninterrupted(chain, monkeypatch):
    chain.start("q0", "dense1", None, **EIGHT)
    chain.train("q0", "q1", "q2", **EIGHT)
    chain.train_with_interruption(monkeypatch, 20, "q1", "r2", **EIGHT)
    assert chain.bytes("r2") == chain.bytes("q2")


SCHEDULE = {"learning_rate": 4.0, "decay": 8, "milestones": [1, 3]}
OWN = {**EIGHT, "bits": 2, "learning_rate": 2.0}


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory):
    """A dense model on a schedule; from its second epoch on, a model at a rate of its own and the control."""
    chain = Chain(tmp_path_factory.mktemp("scheduled"), **SCHEDULE)
    chain.initialise()
    chain.train("dense0", "dense1", "dense2", "dense3", "dense4")
    for name, role in (("two", "qat"), ("rounded", "rounded")):
        chain.start(f"{name}2", "dense2", None, **{**OWN, "role": role})
        chain.train(f"{name}2", f"{name}3", f"{name}4", **{**OWN, "role": role})
    return chain


def test_a_rate_of_its_own_is_lowered_at_the_milestones_to_come(scheduled):
    states = {name: [scheduled.load(f"{name}{k}")[2] for k in (3, 4)] for name in ("dense", "two", "rounded")}
    rates = {name: [state["learning_rate_in"] for state in of_model] for name, of_model in states.items()}
    assert rates == {"dense": [0.5, 0.0625], "two": [2.0, 0.25], "rounded": [2.0, 0.25]}


def test_the_control_trains_as_the_dense_model_would_at_that_rate(scheduled):
    """Bit for bit, against a dense model whose checkpoint says that its rate is another."""
    scheduled.copy("dense2", "slow2")
    path = scheduled.path("slow2") / checkpoint.STATE
    state = {key: value for key, value in files.read_json(path).items() if key not in ("digest", "format")}
    files.write_json(path, {**state, "learning_rate_out": OWN["learning_rate"]})
    scheduled.train("slow2", "slow3", "slow4")
    for epoch in (3, 4):
        slow, control = (scheduled.load(f"{name}{epoch}") for name in ("slow", "rounded"))
        assert all(torch.equal(slow[0][name], control[0][name]) for name in slow[0])
        assert control[1] == {}, "the control has weights of few bits"
        assert control[2]["learning_rate_in"] == slow[2]["learning_rate_in"]
