"""The moduli regulariser in training: its gradient, its ramp of pruning, its controls."""

import pytest
import torch
from torch import nn

from chains import TENSORS, VOCABULARY, Chain, language_model, make_text_step, text_batches
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.methods import moduli, spaces
from natural_sparsity.methods.base import Place
from natural_sparsity.methods.masks import prunable

pytestmark = pytest.mark.integration

SETTINGS = {"method": "moduli", "space": "torus", "inhibitor": "dog", "inverted": True, "control": "none"}
SETTINGS |= {"strength": 0.1, "sparsity": 0.8, "ramp": 3, "tensors": TENSORS}


def begun(cell="lstm", **changes):
    torch.manual_seed(0)
    model = language_model(20, embedding=4, hidden=[6, 5], cell=cell)
    settings = {**SETTINGS, **changes}
    tensors = moduli.start(settings, model, None, {}, 1)
    return model, tensors, moduli.make(settings, model, tensors, Place(1, 10, 100))


def zeros(model):
    return {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_the_gradient_is_that_of_the_penalty(cell, gates):
    """By autograd, with K from the stored points; the same for every gate."""
    model, tensors, method = begun(cell)
    gradients = zeros(model)
    method.adjust(gradients, None)
    for name, weight in prunable(model, ["recurrent"]).items():
        points = tensors["points." + name]
        k = spaces.inhibition(spaces.distances("torus", points, points), "dog", inverted=True)
        leaf = weight.clone().requires_grad_()
        penalty = 0.1 * torch.cat([k * block.abs() for block in leaf.split(len(k))]).mean()
        [expected] = torch.autograd.grad(penalty, leaf)
        assert len(weight) == gates * len(k)
        assert torch.allclose(gradients[name], expected, atol=1e-9)
        assert float(expected.abs().max()) > 0
    assert not any(bool(g.any()) for name, g in gradients.items() if "weight_hh" not in name)


def test_means_of_other_weights_are_penalised_as_in_plain_torch(tmp_path):
    """Fifteen steps against autograd of the loss and of all terms of the published penalty, clipped together."""
    torch.manual_seed(0)
    ours = language_model(embedding=6, hidden=[5, 7], dropout=0.0)
    plain = nn.ModuleList([nn.Embedding(VOCABULARY, 6), nn.LSTM(6, 5), nn.LSTM(5, 7), nn.Linear(7, VOCABULARY)])
    plain.load_state_dict(dict(zip(plain.state_dict(), (p.detach().clone() for p in ours.parameters()), strict=True)))
    settings = {**SETTINGS, "l1": 3.0}
    tensors = moduli.start(settings, ours, None, {}, 1)
    step = make_text_step(ours.train(), 4.0, moduli.make(settings, ours, tensors, Place(1, 30, 1)), clip=0.05)
    files.write_array(tmp_path / "train.npy", torch.randint(VOCABULARY // 2, (1200,)).numpy().astype("uint8"))
    state = [tuple(torch.zeros(1, 8, n) for _ in range(2)) for n in (5, 7)]
    for batch in text_batches(tmp_path / "train.npy")[:15]:
        h, first = plain[1](plain[0](batch.inputs), state[0])
        h, second = plain[2](h, state[1])
        state = [tuple(part.detach() for part in pair) for pair in (first, second)]
        loss = nn.functional.cross_entropy(plain[3](h).flatten(0, 1), batch.targets.flatten())
        penalty = 3.0 * (plain[0].weight.abs().mean() + plain[3].weight.abs().mean())
        for i, lstm in enumerate(plain[1:3]):
            k = tensors[f"inhibition.recurrent.{i}.weight_hh_l0"].repeat(4, 1)
            penalty = penalty + 3.0 * lstm.weight_ih_l0.abs().mean() + 0.1 * (k * lstm.weight_hh_l0.abs()).mean()
        plain.zero_grad()
        (loss + penalty).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.05)
        with torch.no_grad():
            for parameter in plain.parameters():
                parameter -= 4.0 * parameter.grad
        assert step(batch).item() == pytest.approx(loss.item(), abs=2e-5)
    for ours_after, expected in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours_after, expected, atol=1e-5, rtol=0)
    # Half of the words are in no batch, and are penalised all the same.
    assert float(ours.embedding.weight.detach()[VOCABULARY // 2 :].abs().mean()) < 0.045


def test_a_matched_control_is_l1_of_the_same_mean_strength():
    model, tensors, method = begun(control="matched")
    _, geometric, _ = begun()
    gradients = zeros(model)
    method.adjust(gradients, None)
    for name, weight in prunable(model, ["recurrent"]).items():
        k = geometric["inhibition." + name].mean()
        assert torch.allclose(gradients[name], 0.1 * k * weight.sign() / weight.numel())


def test_a_permuted_control_has_the_same_entries_and_points():
    _, geometric, _ = begun()
    _, permuted, _ = begun(control="permuted")
    for name in geometric:
        if name.startswith("points."):
            assert torch.equal(geometric[name], permuted[name])
        elif name.startswith("inhibition."):
            assert not torch.equal(geometric[name], permuted[name])
            assert torch.equal(geometric[name].flatten().sort().values, permuted[name].flatten().sort().values)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("control", ["none", "permuted", "matched"])
def test_a_penalty_of_nothing_is_refused(inverted, control):
    """A constant K is 0 once inverted; the distance of a unit to itself is all that a layer of one unit has."""
    assert not spaces.inhibition(torch.full((3, 3), 2.0), "dog", inverted=True).any()
    torch.manual_seed(0)
    model = language_model(20, embedding=4, hidden=[6, 1])
    with pytest.raises(UserError, match=r"recurrent\.1\.weight_hh_l0: K is 0 for every pair of units"):
        moduli.start({**SETTINGS, "inverted": inverted, "control": control}, model, None, {}, 1)


@pytest.fixture(scope="module")
def ramped(tmp_path_factory):
    chain = Chain(tmp_path_factory.mktemp("moduli"))
    chain.initialise()
    chain.start("m0", "dense0", None, **SETTINGS)
    chain.train("m0", "m1", "m2", "m3", **SETTINGS)
    return chain


def test_sparsity_is_due_to_the_weight_and_masks_are_nested(ramped):
    before = None
    for epoch, due in ((0, 0), (1, 0), (2, 0.8 * 2 / 3), (3, 0.8)):
        parameters, tensors, _ = ramped.load(f"m{epoch}")
        masks = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.bool}
        total = sum(mask.numel() for mask in masks.values())
        assert abs(sum(int((~mask).sum()) for mask in masks.values()) - due * total) <= 1
        for name, mask in masks.items():
            assert bool((parameters[name][~mask] == 0).all())
            assert before is None or not bool((mask & ~before[name]).any())
        before = masks


def test_points_and_k_stay_as_they_were_drawn(ramped):
    _, first, _ = ramped.load("m0")
    _, last, _ = ramped.load("m3")
    kept = [name for name in first if name.startswith(("points.", "inhibition."))]
    assert len(kept) == 4
    assert all(torch.equal(first[name], last[name]) for name in kept)


def test_resumed_equals_uninterrupted(ramped):
    ramped.train("m2", "again3", **SETTINGS)
    assert ramped.bytes("again3") == ramped.bytes("m3")


def correlations(chain, **changes):
    """Of |W_hh|, after three epochs, with the K that was penalised and with that of the geometry; means over layers."""
    settings = {**SETTINGS, "strength": 0.003, "sparsity": 0.0, **changes}
    chain.start("p0", "dense0", None, **settings)
    chain.train("p0", "p1", "p2", "p3", **settings)
    parameters, tensors, _ = chain.load("p3")
    found = []
    for name in ("recurrent.0.weight_hh_l0", "recurrent.1.weight_hh_l0"):
        points = tensors["points." + name]
        geometry = spaces.inhibition(spaces.distances("torus", points, points), "dog", inverted=True)
        magnitudes = parameters[name].detach().abs().flatten()
        for k in (tensors["inhibition." + name], geometry):
            found.append(float(torch.corrcoef(torch.stack([k.repeat(4, 1).flatten(), magnitudes]))[0, 1]))
    return sum(found[::2]) / 2, sum(found[1::2]) / 2


@pytest.mark.integration
def test_the_penalty_leaves_weights_where_k_is_small(tmp_path):
    """Near the ring around each unit, unless K's entries are shuffled: then where the shuffled K is small."""
    chain = Chain(tmp_path)
    chain.initialise()
    without, _ = correlations(chain, strength=0.0)
    geometric, _ = correlations(chain)
    permuted, by_distance = correlations(chain, control="permuted")
    assert abs(without) < 0.2
    assert geometric < -0.4
    assert permuted < -0.4
    assert by_distance > permuted + 0.15
