"""Adam against the formulas of Kingma & Ba (2015, algorithm 1), on all that it moves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from chains import CPU, KINDS, language_model, make_text_step
from natural_sparsity import files
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.errors import UserError
from natural_sparsity.methods import sparse_vd
from natural_sparsity.methods.base import Method, Place
from natural_sparsity.model.recurrent import Interface, RecurrentModel
from natural_sparsity.training.steps import make_step

VOCABULARY, BATCH, WINDOW = 60, 4, 7
RATE, CLIP = 0.01, 0.25
ADAM = {"optimizer": "adam", "clip": CLIP}
BETAS, EPSILON = (0.9, 0.999), 1e-8
VARIATIONAL = {"groups": ["weights", "gates", "neurons", "vocabulary"], "threshold": 3, "dropout": 0.0}
VARIATIONAL |= {"learning_rate": RATE, "clip": CLIP}


class Formulas:
    """Moments of variables by name, and the updates that follow from them, in double precision."""

    def __init__(self):
        self.t, self.m, self.v = 0, {}, {}

    def update(self, gradients):
        """What is subtracted from each variable, for gradients (numpy) whose global norm is bounded first."""
        norm = np.sqrt(sum(np.square(g).sum() for g in gradients.values()))
        self.t += 1
        updates = {}
        for name, gradient in gradients.items():
            g = gradient * min(1.0, CLIP / (norm + 1e-6))
            self.m[name] = BETAS[0] * self.m.get(name, 0.0) + (1 - BETAS[0]) * g
            self.v[name] = BETAS[1] * self.v.get(name, 0.0) + (1 - BETAS[1]) * g**2
            m_hat, v_hat = self.m[name] / (1 - BETAS[0] ** self.t), self.v[name] / (1 - BETAS[1] ** self.t)
            updates[name] = RATE * m_hat / (np.sqrt(v_hat) + EPSILON)
        return updates, norm


@pytest.fixture
def batches(tmp_path):
    tokens = np.random.default_rng(0).zipf(1.5, BATCH * 50) % VOCABULARY
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint8))
    interface = Interface(outputs=VOCABULARY, vocabulary=VOCABULARY)
    split = open_data("text", {}).split("train", tmp_path / "train.npy", BATCH, WINDOW, interface)
    return list(split.batches(CPU))[:5]


def new_model(cell="lstm", hidden=(5, 7)):
    torch.manual_seed(0)
    return language_model(VOCABULARY, embedding=6, hidden=list(hidden), dropout=0.0, cell=cell)


def as_numpy(tensors):
    return {name: tensor.detach().double().numpy().copy() for name, tensor in tensors.items()}


@pytest.mark.parametrize(("cell", "hidden"), [("lstm", (5, 7)), ("gru", (5,)), ("rnn", (5, 4, 7))])
def test_a_language_models_parameters_move_by_the_formulas(batches, cell, hidden):
    """Along autograd's gradients of the cross-entropy of all logits, with the state carried; in double precision."""
    model = new_model(cell, hidden).double().train()
    step, formulas = make_text_step(model, RATE, batch=BATCH, window=WINDOW, **ADAM), Formulas()
    for batch in batches:
        parameters, before = dict(model.named_parameters()), as_numpy(dict(model.named_parameters()))
        _, features, _ = model(batch.inputs, [tuple(part.clone() for part in layer) for layer in step.state])
        loss = functional.cross_entropy(model.output(features).flatten(0, 1), batch.targets.flatten())
        gradients = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))
        updates, norm = formulas.update(as_numpy(gradients))
        assert norm > CLIP, "nothing is clipped"
        step(batch)
        for name, parameter in parameters.items():
            moved = before[name] - parameter.detach().numpy()
            assert np.abs(moved).max() > 0.1 * RATE, name
            np.testing.assert_allclose(moved, updates[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_without_a_bound_gradients_are_not_scaled(batches, optimizer):
    """Against torch's optimizers on autograd's gradients, three steps; a bound of 0.25 would change them."""
    model, plain = new_model().double().train(), new_model().double()
    reference = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](plain.parameters(), lr=RATE)
    step = make_text_step(model, RATE, batch=BATCH, window=WINDOW, optimizer=optimizer, clip=None)
    for batch in batches[:3]:
        _, features, _ = plain(batch.inputs, [tuple(part.clone() for part in layer) for layer in step.state])
        loss = functional.cross_entropy(plain.output(features).flatten(0, 1), batch.targets.flatten())
        reference.zero_grad()
        loss.backward()
        assert torch.nn.utils.get_total_norm([p.grad for p in plain.parameters()]) > CLIP
        reference.step()
        step(batch)
    for ours, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variational", [False, True], ids=["parameters", "means and log sigmas"])
def test_single_precision_is_the_formulas_to_six_digits(batches, variational):
    """Given the gradients that the optimizer is given; of words that do not occur they are 0, and the words stay."""
    model = new_model().train()
    method = (
        sparse_vd.make(VARIATIONAL, model, {}, Place(1, 5, 200))
        if variational
        else Method({}, model, {}, Place(1, 5, 200))
    )
    step, formulas = make_text_step(model, RATE, method, batch=BATCH, window=WINDOW, **ADAM), Formulas()
    move, given = step.optimizer.step, []

    def spy(gradients):
        given.append(as_numpy(method.by_variables(gradients.named, gradients.words)))
        move(gradients)

    step.optimizer.step = spy
    for number, batch in enumerate(batches):
        before = as_numpy(method.variables())
        method.before_step(number)
        step(batch)
        updates, _ = formulas.update(given[-1])
        assert set(updates) == set(before)
        for name, after in as_numpy(method.variables()).items():
            np.testing.assert_allclose(after, before[name] - updates[name], rtol=0, atol=1e-6, err_msg=name)
    memory = step.memory()
    assert set(memory) == {f"{kind}.{name}" for kind in ("step", "exp_avg", "exp_avg_sq") for name in before}
    for name in before:
        np.testing.assert_allclose(memory[f"exp_avg.{name}"], formulas.m[name], atol=1e-6)
        np.testing.assert_allclose(memory[f"exp_avg_sq.{name}"], formulas.v[name], atol=1e-6)
        assert float(memory[f"step.{name}"]) == len(batches)


@pytest.mark.parametrize("kind", ["addition", "navigation"])
def test_steps_on_generated_data_are_those_of_torchs_adam(kind):
    data, architecture = open_data(kind, KINDS[kind][0]), Architecture(hidden=[6, 4], dropout=0.0)
    torch.manual_seed(0)
    model = RecurrentModel(data.interface(None), architecture).double()
    twin = RecurrentModel(data.interface(None), architecture).double()
    twin.load_state_dict(model.state_dict())
    adam = torch.optim.Adam(twin.parameters(), RATE)
    training = Training(batch=8, steps=4, learning_rate=RATE, **ADAM)
    step = make_step(model, data, training, RATE, 8, Method({}, model, {}, Place(1, 4, 32)))
    for single in data.training_split(None, training, model.interface, 1, 1).batches(CPU):
        batch = single._replace(
            inputs=single.inputs.double(),
            targets=single.targets.double(),
            start=None if single.start is None else single.start.double(),
        )
        outputs, features, _ = twin(batch.inputs, twin.initial_state(8, batch.start))
        loss = data.losses(twin.output(data.read(features, batch.inputs)), batch).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), CLIP)
        adam.step()
        assert float(step(batch)) == pytest.approx(float(loss.detach()), rel=1e-12)
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=0, atol=1e-9, msg=name)


def test_a_memory_of_other_variables_is_refused():
    model = new_model()
    step = make_text_step(model, RATE, **ADAM)
    memory = {name: tensor for name, tensor in step.memory().items() if name != "exp_avg.output.bias"}
    training = Training(batch=8, learning_rate=RATE, **ADAM)
    method = Method({}, model, {}, Place(1, 1, 1))
    with pytest.raises(
        UserError, match="the checkpoint's optimizer remembers no 'exp_avg.output.bias'; delete it and run again"
    ):
        make_step(model, open_data("text", {}), training, RATE, 8, method, memory)


def test_sgd_remembers_nothing():
    assert make_text_step(new_model()).memory() == {}


@pytest.mark.integration
def test_a_step_of_adam_does_not_wait_for_torchs_compiler():
    """Importing it takes longer than an epoch of a small model."""
    code = "import sys, torch; from chains import language_model, make_text_step; words = torch.ones(7, 4).long();"
    code += " from natural_sparsity.data.base import Batch; model = language_model(5);"
    code += " make_text_step(model, 0.1, batch=4, window=7, optimizer='adam', clip=1)(Batch(words, words));"
    code += " print({'torch._dynamo', 'sympy'} & set(sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False
    )
    assert process.stdout == "set()\n", process.stderr
