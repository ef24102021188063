"""Sparse variational dropout: its divergence, noise, gradients, and the plain LSTM that its checkpoints hold."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate
from torch.nn import functional

from chains import CPU, KINDS, Chain, language_model, make_text_step
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import Batch, open_data
from natural_sparsity.errors import UserError
from natural_sparsity.methods import sparse_vd
from natural_sparsity.methods.base import Place
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.training.steps import make_step

WORDS, EMBEDDING, HIDDEN, BATCH, STEPS = 20, 5, [6, 4], 3, 8
VARIANTS = [["weights"], ["weights", "neurons"], ["weights", "gates", "neurons"]]
EVERYTHING = ["weights", "gates", "neurons", "vocabulary"]
SETTINGS = {"method": "sparse_vd", "groups": EVERYTHING, "threshold": 3, "learning_rate": 0.01, "clip": 10.0}
SETTINGS |= {"dropout": 0.0}


def begun(dtype=torch.float64, place=None, **changes):
    torch.manual_seed(0)
    model = language_model(WORDS, embedding=EMBEDDING, hidden=HIDDEN, dropout=0.3).to(dtype)
    with torch.no_grad():
        model.output.bias.uniform_(-1, 1)
    place = place or Place(1, 4, 400)
    return model, sparse_vd.make({**SETTINGS, **changes}, model, {}, place)


def shaken(method, seed=1):
    """Variables as after some training: means and noise of every size, some removed."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in method.tensors.items():
        if name.startswith((sparse_vd.MEAN, sparse_vd.LOG_SIGMA)):
            tensor.add_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype), alpha=0.7)
        if name.startswith(sparse_vd.LOG_SIGMA):
            tensor.add_(3)
    return method


def inputs(seed=2, steps=STEPS, batch=BATCH):
    return torch.randint(WORDS, (steps, batch), generator=torch.Generator().manual_seed(seed))


def masked_means(method, tokens):
    """Logits, and of each layer the gates (i, f, g, o) and outputs: a loop over time written from the formulas."""
    threshold = method.settings["threshold"]
    m = {}
    for name, mean in method.tensors.items():
        if name.startswith(sparse_vd.MEAN):
            key = name.removeprefix(sparse_vd.MEAN)
            sigma = method.tensors.get(sparse_vd.LOG_SIGMA + key)
            alpha = None if sigma is None else torch.exp(2 * sigma) / mean**2
            m[key] = mean if alpha is None else mean * (alpha.log() < threshold)
    one = torch.ones(())
    x = m["embedding.weight"][tokens] * m.get("vocabulary", torch.ones(WORDS))[tokens][..., None]
    x = x * m.get("neurons.embedding", one)
    gates = []
    for layer, width in enumerate(HIDDEN):
        w_x, w_h, b_x, b_h = (m[f"recurrent.{layer}.{k}_l0"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h = c = torch.zeros(tokens.shape[1], width, dtype=x.dtype)
        seen, outputs = [], []
        for t in range(len(tokens)):
            p = (x[t] @ w_x.T + h @ w_h.T) * m.get(f"gates.{layer}", one) + b_x + b_h
            i, f, g, o = (a(p[:, k * width : (k + 1) * width]) for k, a in enumerate(ACTIVATIONS))
            c = f * c + i * g
            h = o * torch.tanh(c) * m.get(f"neurons.{layer}", one)
            seen.append(torch.stack([i, f, g, o]))
            outputs.append(h)
        x = torch.stack(outputs)
        gates.append((torch.stack(seen), x))
    return x @ m["output.weight"].T + m["output.bias"], gates


ACTIVATIONS = (torch.sigmoid, torch.sigmoid, torch.tanh, torch.sigmoid)


def plain(model, tokens):
    """Logits and outputs of the model's own layers, without dropout."""
    model.eval()
    with torch.no_grad():
        outputs, features, _ = model(tokens, [tuple(p.double() for p in s) for s in model.zero_state(tokens.shape[1])])
        return model.output(features), outputs


def test_the_divergence_is_the_integral_to_one_percent_of_a_nat():
    """Against quadrature: KL(N(1, α) ‖ 1/|w|) less its limit, E[log|w|] − ½ log α + const; tabulated at two points."""
    a = torch.linspace(-8, 8, 321, dtype=torch.float64)
    kl = sparse_vd.divergence(torch.ones_like(a), a / 2)
    assert bool((kl.diff() < 0).all())
    assert float(sparse_vd.divergence(torch.tensor(1.0), torch.tensor(0.0))) == pytest.approx(0.4312, abs=1e-3)
    assert float(sparse_vd.divergence(torch.tensor(1.0), torch.tensor(1.5))) == pytest.approx(0.0254, abs=1e-3)
    rounded = 0.5 * torch.log(1 + torch.exp(-a)) - 0.03 - 0.64 * torch.sigmoid(1.5 * (a + 1.3))
    assert float((rounded - kl).min()) > -0.679
    assert float((rounded - kl).max()) < -0.665

    def expected(a):
        sigma = math.exp(a / 2)

        def integrand(e):
            return math.exp(-(e**2) / 2) / math.sqrt(2 * math.pi) * math.log(abs(1 + sigma * e))

        mean = integrate.quad(integrand, -9, 9, points=[-1 / sigma] if sigma > 1 / 9 else None, limit=400)[0]
        return mean - a / 2

    limit = -(np.log(2) + np.euler_gamma) / 2  # E log|e| for e ~ N(0, 1): the value where μ does not matter any more
    for at in (-3.0, 0.0, 1.0, 3.0, 5.0):
        exact = expected(at) - limit
        assert float(sparse_vd.divergence(torch.tensor(1.0), torch.tensor(at / 2))) == pytest.approx(exact, abs=0.01)


def test_the_divergence_s_gradients_are_autograds_and_finite_at_zero():
    mean = torch.tensor([0.0, 1e-9, 0.3, -2.0, 1.0, -1e-3, 50.0], dtype=torch.float64).requires_grad_()
    log_sigma = torch.tensor([-3.0, -3.0, -1.0, 0.5, 3.9, -3.0, -3.0], dtype=torch.float64).requires_grad_()
    expected = torch.autograd.grad(sparse_vd.divergence(mean, log_sigma).sum(), (mean, log_sigma))
    found = sparse_vd.divergence_gradients(mean.detach(), log_sigma.detach())
    torch.testing.assert_close(found, expected)
    assert float(expected[0].abs().max()) > 0
    assert all(bool(part.isfinite().all()) for part in found)


def test_a_fresh_model_has_its_groups_and_loses_the_smallest_weights():
    model, method = begun()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    masks = sparse_vd.kept(method.tensors, 3)
    groups = {name: mask for name, mask in masks.items() if name in method.groups}
    sizes = {"vocabulary": WORDS, "neurons.embedding": EMBEDDING, "neurons.0": 6, "neurons.1": 4}
    assert {name: len(mask) for name, mask in groups.items()} == {**sizes, "gates.0": 24, "gates.1": 16}
    assert all(bool(mask.all()) for mask in groups.values())
    for name in groups:
        alpha = sparse_vd.log_alpha(method.tensors[sparse_vd.MEAN + name], method.tensors[sparse_vd.LOG_SIGMA + name])
        torch.testing.assert_close(alpha, torch.full_like(alpha, -6))
    variables = {
        name.removeprefix(sparse_vd.LOG_SIGMA) for name in method.tensors if name.startswith(sparse_vd.LOG_SIGMA)
    }
    assert not any("bias" in name for name in variables)
    removed = 0
    for name in variables - set(groups):
        assert torch.equal(~masks[name], before[name].square() + 1e-8 <= math.exp(-9))
        removed += int((~masks[name]).sum())
    assert removed > 0
    method.settings["threshold"] = math.inf
    method.close()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name])


@pytest.mark.parametrize("groups", [*VARIANTS, EVERYTHING, ["gates"], ["neurons"]])
def test_a_checkpoint_s_plain_lstm_is_the_network_of_masked_means(groups):
    model, method = begun(groups=groups)
    shaken(method)
    method.close()
    removed = [name for name, mask in sparse_vd.kept(method.tensors, 3).items() if not mask.all()]
    assert removed
    logits, outputs = plain(model, inputs())
    expected, gates = masked_means(method, inputs())
    torch.testing.assert_close(logits, expected, atol=1e-10, rtol=0)
    for layer, (_, hidden) in enumerate(gates):
        z = method.tensors.get(f"{sparse_vd.MEAN}neurons.{layer}", torch.ones(()))
        torch.testing.assert_close(outputs[1 + layer] * z, hidden, atol=1e-10, rtol=0)


def remove(method, group, which=slice(None)):
    method.tensors[sparse_vd.LOG_SIGMA + group][which] = 8.0


def test_a_removed_gate_is_constant_at_its_bias():
    model, method = begun()
    block = slice(6, 12)  # the forget gates of the first layer
    remove(method, "gates.0", block)
    seen = masked_means(method, inputs(steps=20, batch=7))[1][0][0][:, 1]
    bias = (model.recurrent[0].bias_ih_l0 + model.recurrent[0].bias_hh_l0)[block]
    torch.testing.assert_close(seen, bias.sigmoid().detach().expand_as(seen))
    method.close()
    assert not model.recurrent[0].weight_ih_l0[block].any()
    assert not model.recurrent[0].weight_hh_l0[block].any()
    assert bool(model.recurrent[0].bias_ih_l0[block].all())


def test_a_neuron_of_constant_gates_is_the_same_for_every_text_but_moves():
    _, method = begun()
    for gate in range(4):
        remove(method, "gates.0", gate * 6 + 2)
    hidden = masked_means(method, inputs(steps=20, batch=7))[1][0][1][:, :, 2]
    torch.testing.assert_close(hidden, hidden[:, :1].expand_as(hidden))
    assert float(hidden[:, 0].std()) > 1e-4


def test_a_removed_neuron_is_silent_and_its_weights_are_zero():
    model, method = begun()
    remove(method, "neurons.0", 2)
    method.close()
    logits, outputs = plain(model, inputs())
    assert not outputs[1][:, :, 2].any()
    first, second = model.recurrent
    rows = [gate * 6 + 2 for gate in range(4)]
    for tensor in (first.weight_ih_l0[rows], first.bias_ih_l0[rows], first.bias_hh_l0[rows], second.weight_ih_l0[:, 2]):
        assert not tensor.any()
    torch.testing.assert_close(logits, masked_means(method, inputs())[0], atol=1e-10, rtol=0)


@pytest.mark.parametrize("groups", VARIANTS)
def test_noise_is_constant_in_time_and_of_each_sequence_its_own(groups):
    """Groups only differ between sequences; the weights are one sample for all; two passes differ."""
    model, method = begun(groups=groups)
    tokens = inputs(batch=1).expand(-1, 2)
    embedded = model.embedding.weight[tokens].detach()
    passes = []
    for _ in range(2):
        method.before_step(0)
        weights = model.recurrent[0].weight_hh_l0.detach().clone()
        outputs, *_ = method.layers(embedded, tokens, [tuple(p.double() for p in s) for s in model.zero_state(2)])
        passes.append((weights, outputs[-1].detach(), {k: v.detach().clone() for k, v in method.drawn().items()}))
    (first, out, z), (second, other, _) = passes
    assert not torch.equal(first, second)
    assert not torch.equal(out, other)
    assert torch.equal(out[:, 0], out[:, 1]) == (groups == ["weights"])
    assert all(len(sample) == 2 and not torch.equal(sample[0], sample[1]) for sample in z.values())


def test_two_equal_steps_see_the_same_noise():
    """Without recurrent weights, and with gates that forget all, the output depends on the step's input alone."""
    model, method = begun(groups=["weights", "gates", "neurons"])
    with torch.no_grad():
        for name in ("recurrent.0.weight_hh_l0", "recurrent.0.bias_ih_l0"):
            method.tensors[sparse_vd.MEAN + name].zero_()
        method.tensors[sparse_vd.LOG_SIGMA + "recurrent.0.weight_hh_l0"].fill_(-60.0)
        method.tensors[sparse_vd.MEAN + "recurrent.0.bias_ih_l0"][6:12] = -60.0
    method.before_step(0)
    tokens = torch.tensor([[3, 4], [5, 6], [3, 4]])
    embedded = model.embedding.weight[tokens].detach()
    outputs, *_ = method.layers(embedded, tokens, [tuple(p.double() for p in s) for s in model.zero_state(2)])
    torch.testing.assert_close(outputs[1][0], outputs[1][2])
    assert not torch.allclose(outputs[1][0], outputs[1][1])


def reference_gradients(model, method, before, tokens, targets, noise):
    """By autograd through the sample itself: cross-entropy + KL / tokens, by every mean and log σ."""
    variables = {
        name: tensor.clone().requires_grad_()
        for name, tensor in before.items()
        if name.startswith((sparse_vd.MEAN, sparse_vd.LOG_SIGMA))
    }
    values, kl = {}, 0.0
    for name in list(variables):
        key = name.removeprefix(sparse_vd.MEAN)
        if not name.startswith(sparse_vd.MEAN):
            continue
        values[key] = variables[name]
        if sparse_vd.LOG_SIGMA + key in variables:
            sigma = variables[sparse_vd.LOG_SIGMA + key]
            values[key] = values[key] + sigma.exp() * noise[key]
            kl = kl + sparse_vd.divergence(variables[name], sigma).sum()
    one = torch.ones(())
    batch = torch.arange(tokens.shape[1])
    x = values["embedding.weight"][tokens]
    x = x * (values["vocabulary"][batch, tokens][..., None] if "vocabulary" in values else one)
    x = x * values.get("neurons.embedding", one)
    for layer, width in enumerate(HIDDEN):
        w_x, w_h, b_x, b_h = (
            values[f"recurrent.{layer}.{k}_l0"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = c = torch.zeros(tokens.shape[1], width, dtype=x.dtype)
        outputs = []
        for step in x:
            p = (step @ w_x.T + h @ w_h.T) * values.get(f"gates.{layer}", one) + b_x + b_h
            i, f, g, o = (a(p[:, k * width : (k + 1) * width]) for k, a in enumerate(ACTIVATIONS))
            c = f * c + i * g
            h = o * torch.tanh(c) * values.get(f"neurons.{layer}", one)
            outputs.append(h)
        x = torch.stack(outputs)
    logits = (x @ values["output.weight"].T + values["output.bias"]).flatten(0, 1)
    loss = functional.cross_entropy(logits, targets.flatten()) + kl / method.place.examples
    return loss, dict(zip(variables, torch.autograd.grad(loss, list(variables.values())), strict=True))


@pytest.mark.parametrize("groups", [*VARIANTS, EVERYTHING])
def test_a_step_is_adam_on_the_bound_by_autograd(groups, monkeypatch):
    """Through the command's own step, with words that do not occur; some means are exactly 0."""
    model, method = begun(groups=groups)
    with torch.no_grad():
        for name in ("embedding.weight", "recurrent.0.weight_hh_l0"):
            method.tensors[sparse_vd.MEAN + name][1].zero_()
    before = {name: tensor.clone() for name, tensor in method.tensors.items()}
    step = make_text_step(model, 99.0, method, batch=BATCH)
    tokens, targets = inputs() % 9, inputs(5)
    torch.manual_seed(4)
    method.before_step(0)
    loss = step(Batch(tokens, targets))
    sigma = {name: tensor.exp() for name, tensor in before.items() if name.startswith(sparse_vd.LOG_SIGMA)}
    noise = {name: (z.detach() - before[sparse_vd.MEAN + name]) / sigma[sparse_vd.LOG_SIGMA + name] for name, z in
             method.samples.items()}  # fmt: skip
    for name, parameter in model.named_parameters():
        if sparse_vd.LOG_SIGMA + name in sigma:
            noise[name] = (parameter.detach() - before[sparse_vd.MEAN + name]) / sigma[sparse_vd.LOG_SIGMA + name]
    with_kl, expected = reference_gradients(model, method, before, tokens, targets, noise)
    assert float(loss) < float(with_kl.detach())  # what is reported is the cross-entropy
    for name, gradient in expected.items():
        assert bool(gradient.isfinite().all())
        assert bool(gradient.any()), name
        torch.testing.assert_close(step.memory()[f"exp_avg.{name}"], 0.1 * gradient, msg=name)
        leaf = before[name].clone().requires_grad_()
        leaf.grad = gradient
        torch.optim.Adam([leaf], lr=0.01).step()
        big = gradient.abs() > 1e-6  # elsewhere Adam's first step is the sign of what is lost in rounding
        torch.testing.assert_close(method.tensors[name][big], leaf.detach()[big], msg=name)


def test_twice_the_tokens_halve_the_divergence_s_part():
    """Of the gradient by log σ of what the loss does not touch: the embedding of a word that does not occur."""
    parts = []
    for tokens in (400, 800):
        model, method = begun(groups=["weights"], place=Place(1, 4, tokens), clip=1e9)
        step = make_text_step(model, 1.0, method, batch=BATCH)
        torch.manual_seed(1)
        method.before_step(0)
        step(Batch(inputs() % 9, inputs()))
        parts.append(step.memory()[f"exp_avg.{sparse_vd.LOG_SIGMA}embedding.weight"][15].clone())
    assert bool(parts[0].any())
    torch.testing.assert_close(parts[0], 2 * parts[1])


@pytest.mark.integration
@pytest.mark.parametrize("groups", [["weights"], EVERYTHING])
def test_epochs_resume_bit_for_bit_and_lose_weights(tmp_path, groups):
    chain = Chain(tmp_path)
    chain.initialise()
    settings = {**SETTINGS, "groups": groups, "learning_rate": 0.02}
    chain.train("dense0", "s1", "s2", "s3", **settings)
    chain.train("s2", "again3", **settings)
    assert chain.bytes("again3") == chain.bytes("s3")
    parameters, tensors, state = chain.load("s3")
    assert state["learning_rate_in"] == state["learning_rate_out"] == 0.02
    assert {float(value) for name, value in chain.memory("s3").items() if name.startswith("step.")} == {state["steps"]}
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    zeros = sum(int((value == 0).sum()) for name, value in parameters.items() if "weight" in name)
    assert zeros > 0.2 * sum(value.numel() for name, value in parameters.items() if "weight" in name)
    for name, value in sparse_vd.effective(tensors, 3).items():
        assert torch.equal(value, parameters[name].detach())


@pytest.mark.integration
def test_training_can_start_from_trained_weights(tmp_path):
    chain = Chain(tmp_path)
    chain.initialise()
    chain.train("dense0", "dense1")
    chain.start("s1", "dense1", None, **SETTINGS)
    dense, _, _ = chain.load("dense1")
    _, tensors, state = chain.load("s1")
    assert state["epoch"] == 1
    assert all(torch.equal(tensors[sparse_vd.MEAN + name], value.detach()) for name, value in dense.items())
    chain.train("s1", "s2", **SETTINGS)
    assert chain.load("s2")[2]["epoch"] == 2


@pytest.mark.parametrize("kind", ["addition", "navigation"])
@pytest.mark.parametrize("groups", VARIANTS)
def test_without_noise_a_step_has_the_loss_of_the_plain_model(kind, groups):
    """Of generated data; in navigation, the output before the first step has the neurons' variables too.

    One neuron is removed: what it starts from must not be read either.
    """
    data = open_data(kind, KINDS[kind][0])
    torch.manual_seed(0)
    model = RecurrentModel(data.interface(None), Architecture(hidden=HIDDEN, dropout=0.3)).double()
    method = sparse_vd.make({**SETTINGS, "groups": groups}, model, {}, Place(1, 4, 400))
    shaken(method)
    for name, tensor in method.tensors.items():
        if name.startswith(sparse_vd.LOG_SIGMA):
            tensor.fill_(-30.0)
    if "neurons" in groups:
        method.tensors[f"{sparse_vd.MEAN}neurons.0"][2] = 0
    plain = model.fresh().double().eval()
    plain.load_state_dict(sparse_vd.effective(method.tensors, 3))
    training = Training(batch=8, steps=3)
    step = make_step(model.train(), data, training, 1.0, 8, method)
    batch = next(data.training_split(None, training, model.interface, 1, 1).batches(CPU))
    batch = Batch(*(None if part is None else part.double() for part in batch))
    method.before_step(0)
    _, features, _ = plain(batch.inputs, plain.initial_state(8, batch.start))
    expected = data.losses(plain.output(data.read(features, batch.inputs)), batch).mean()
    assert float(step(batch)) == pytest.approx(float(expected.detach()), rel=1e-9)


def test_other_cells_are_refused():
    with pytest.raises(UserError, match="sparse_vd is for LSTMs, and this model's cell is gru"):
        sparse_vd.make(SETTINGS, language_model(9, embedding=3, hidden=[4], cell="gru"), {}, Place(1, 1, 1))
