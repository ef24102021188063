"""Lasso over gates and neurons, and pruning of whole groups: the penalty, what vanishes together, what stays exact."""

import math

import pytest
import torch

from chains import Chain, language_model
from natural_sparsity.errors import UserError
from natural_sparsity.methods import gradual_groups, group_lasso, groups
from natural_sparsity.methods.base import Place

pytestmark = pytest.mark.integration

EMBEDDING, HIDDEN, WORDS = 3, [4, 5], 9
LASSO = {"method": "group_lasso", "threshold": 0.0001, "freeze": False}
STRENGTHS = {"weights": 0.0, "gates": 0.0, "neurons": 0.0}
GRADUAL = {"method": "gradual_groups", "scope": "global", "begin": 0, "end": 3, "every": 1, "density": 0.25}


def new_model():
    torch.manual_seed(0)
    return language_model(WORDS, embedding=EMBEDDING, hidden=HIDDEN, dropout=0.0).double()


def index_groups():
    """The weights {(parameter, row, column)} of every gate (layer, gate, unit) and of every neuron (layer, unit).

    Written out index by index from the definition.
    """
    gates, neurons = {}, {}
    widths = [EMBEDDING, *HIDDEN]
    for layer, width in enumerate(HIDDEN):
        into, again = f"recurrent.{layer}.weight_ih_l0", f"recurrent.{layer}.weight_hh_l0"
        above, readers = ("output.weight", WORDS) if layer else ("recurrent.1.weight_ih_l0", 4 * HIDDEN[1])
        for k in range(width):
            neurons[layer, k] = {(again, row, k) for row in range(4 * width)} | {(above, r, k) for r in range(readers)}
            for gate in range(4):
                row = gate * width + k
                own = {(into, row, c) for c in range(widths[layer])} | {(again, row, c) for c in range(width)}
                gates[layer, gate, k] = own
                neurons[layer, k] |= own
    return gates, neurons


def norms(model, members):
    value = {name: parameter.detach().tolist() for name, parameter in model.named_parameters()}
    return [math.sqrt(sum(value[n][r][c] ** 2 for n, r, c in group) + 1e-8) for group in members]


def test_the_penalty_is_the_sum_of_norms_index_by_index():
    model = new_model()
    gates, neurons = index_groups()
    weights = groups.select_matrices(model)
    absolute = sum(float(p.detach().abs().sum()) for n, p in model.named_parameters() if "weight_" in n)
    expected = {"weights": absolute, "gates": sum(norms(model, gates.values()))}
    expected["neurons"] = sum(norms(model, neurons.values()))
    for kind, value in expected.items():
        assert float(group_lasso.penalty(weights, {**STRENGTHS, kind: 0.3})) == pytest.approx(0.3 * value, rel=1e-9)
    together = group_lasso.penalty(weights, {"weights": 0.1, "gates": 0.2, "neurons": 0.3})
    assert float(together) == pytest.approx(0.1 * absolute + 0.2 * expected["gates"] + 0.3 * expected["neurons"])


def test_the_gradient_is_the_penaltys_by_differences():
    """Some weights and a whole group are 0, where the norm has no kink."""
    model = new_model()
    with torch.no_grad():
        model.recurrent[0].weight_ih_l0[2] = model.recurrent[0].weight_hh_l0[2] = 0
    strengths = {"weights": 0.0, "gates": 0.2, "neurons": 0.3}
    method = group_lasso.make({**LASSO, "strengths": strengths}, model, {}, Place(1, 1, 1))
    gradients = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    method.adjust(gradients, None)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if name == "embedding.weight" or "bias" in name:
            assert not gradients[name].any()
            continue
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        for h in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.add_(direction, alpha=h)
                values.append(float(group_lasso.penalty(groups.select_matrices(model), strengths)))
                parameter.add_(direction, alpha=-h)
        slope = (values[0] - values[1]) / 2e-6
        assert float((gradients[name] * direction).sum()) == pytest.approx(slope, rel=1e-4)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    made = Chain(tmp_path_factory.mktemp("groups"))
    made.initialise()
    made.train("dense0", "dense1", "dense2")
    return made


def lasso(chain, name, epochs=2, **changes):
    settings = {**LASSO, **changes, "strengths": {**STRENGTHS, **changes["strengths"]}}
    chain.start(f"{name}0", "dense0", None, **settings)
    chain.train(*(f"{name}{epoch}" for epoch in range(epochs + 1)), **settings)
    return settings, chain.load(f"{name}{epochs}")


def test_no_penalty_is_the_dense_model_bit_for_bit(chain):
    _, (parameters, _, state) = lasso(chain, "free", threshold=0.0, strengths={"weights": 0.0})
    dense, _, of_dense = chain.load("dense2")
    assert all(torch.equal(parameters[name], dense[name]) for name in dense)
    assert state["dev_loss"] == of_dense["dev_loss"]


def test_a_large_penalty_on_gates_empties_whole_rows(chain):
    """Gates are constant, but their neurons are still there: biases and what reads them."""
    _, (parameters, _, _) = lasso(chain, "gated", threshold=0.01, strengths={"gates": 0.05})
    rows = torch.cat([parameters["recurrent.0.weight_ih_l0"], parameters["recurrent.0.weight_hh_l0"]], 1)
    empty = ~rows.any(1)
    assert int(empty.sum()) >= len(rows) / 2
    assert bool(parameters["recurrent.0.bias_ih_l0"][empty].any())
    assert bool(parameters["output.weight"].all())


def test_a_large_penalty_on_neurons_empties_whole_structures(chain):
    settings, (parameters, _, _) = lasso(chain, "neural", epochs=3, threshold=0.01, strengths={"neurons": 0.1})
    weights = {name: parameters[name].detach() for name in groups.select_matrices(chain.open("neural3")[0])}
    squares = groups.sum_neuron_squares(weights)
    gone = [part == 0 for part in squares]
    assert sum(int(part.sum()) for part in gone) >= 4
    for layer, dead in enumerate(gone):
        rows, above = dead.repeat(4), "output.weight" if layer else "recurrent.1.weight_ih_l0"
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            assert not parameters[f"recurrent.{layer}.{kind}_l0"][rows].any()
        assert not parameters[f"recurrent.{layer}.weight_hh_l0"][:, dead].any()
        assert not parameters[above][:, dead].any()
    chain.train("neural2", "again3", **settings)
    assert chain.bytes("again3") == chain.bytes("neural3")


def test_frozen_zeros_stay(chain):
    strengths = {"weights": 0.001}
    settings, (last, _, _) = lasso(chain, "frozen", freeze=True, threshold=0.003, strengths=strengths)
    first = chain.load("frozen1")[0]
    lost = 0
    for name in groups.select_matrices(chain.open("frozen2")[0]):
        if name != "output.weight":
            assert not last[name][first[name] == 0].any()
            lost += int((first[name] == 0).sum())
    assert lost > 0
    moved, _, _ = lasso(chain, "thawed", threshold=0.003, strengths=strengths)[1]
    first = chain.load("thawed1")[0]
    assert any(bool(moved[name][first[name] == 0].any()) for name in first if "weight_" in name)
    assert settings["freeze"]


@pytest.fixture(scope="module", params=["gates", "neurons"])
def pruned(request, chain):
    kind = request.param
    settings = {**GRADUAL, "groups": kind}
    chain.start(f"{kind}0", "dense0", None, **settings)
    chain.train(*(f"{kind}{epoch}" for epoch in range(5)), **settings)
    return kind, settings


@pytest.mark.integration
def test_whole_groups_go_as_they_are_due_and_stay_gone(chain, pruned):
    kind, settings = pruned
    before = None
    for epoch in range(5):
        parameters, masks, _ = chain.load(f"{kind}{epoch}")
        share = 1 - 0.75 * (1 - (1 - min(epoch / 3, 1)) ** 3)
        if kind == "gates":
            kept = torch.cat([masks[f"recurrent.{layer}.weight_hh_l0"].any(1) for layer in (0, 1)])
        else:
            kept = torch.cat([masks[f"recurrent.{layer}.bias_ih_l0"].view(4, -1)[0] for layer in (0, 1)])
        assert int(kept.sum()) == round(share * len(kept))
        assert before is None or not bool((kept & ~before).any())
        for name, mask in masks.items():
            assert not parameters[name][~mask].any()
        before = kept
    chain.train(f"{kind}2", f"{kind}-again3", **settings)
    assert chain.bytes(f"{kind}-again3") == chain.bytes(f"{kind}3")


def test_a_pruned_neuron_is_silent_and_a_pruned_gate_constant(chain, pruned):
    kind, _ = pruned
    model, (_, masks, _) = chain.open(f"{kind}4")[0].eval(), chain.load(f"{kind}4")
    tokens = torch.randint(60, (12, 3), generator=torch.Generator().manual_seed(0))
    outputs, _, _ = model(tokens, model.zero_state(3))
    for layer, width in enumerate([5, 7]):
        rows = masks[f"recurrent.{layer}.weight_hh_l0"].any(1).view(4, width)
        for unit in range(width):
            hidden = outputs[1 + layer][:, :, unit]
            if kind == "neurons" and not rows[:, unit].any():
                assert not hidden.any()
            elif kind == "gates" and not rows[:, unit].any():  # all four gates: the same for every sequence
                assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
                assert bool(hidden.any())


def test_those_with_the_smallest_weights_go_first():
    model = new_model()
    with torch.no_grad():
        for unit, scale in ((1, 0.01), (3, 0.02)):
            for name in ("weight_ih_l0", "weight_hh_l0"):
                getattr(model.recurrent[0], name)[[g * 4 + unit for g in range(4)]] *= scale
            model.recurrent[0].weight_hh_l0[:, unit] *= scale
            model.recurrent[1].weight_ih_l0[:, unit] *= scale
    settings = {**GRADUAL, "groups": "neurons", "density": 7 / 9}
    tensors = gradual_groups.start(settings, model, None, {}, 1)
    method = gradual_groups.make(settings, model, tensors, Place(4, 1, 1))
    method.close()
    kept = [tensors[f"recurrent.{layer}.bias_hh_l0"].view(4, -1) for layer in (0, 1)]
    assert [part[0].tolist() for part in kept] == [[True, False, True, False], [True] * 5]


@pytest.mark.parametrize("module", [group_lasso, gradual_groups])
def test_other_cells_are_refused(module):
    model = language_model(9, embedding=3, hidden=[4], cell="rnn")
    with pytest.raises(UserError, match="is for LSTMs, and this model's cell is rnn"):
        module.make({"strengths": STRENGTHS}, model, {}, Place(1, 1, 1))
