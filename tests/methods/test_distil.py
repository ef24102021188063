"""A student's gradient is that of the loss it is said to have; its teacher reads along and stays as it was."""

import json
import math

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from chains import ADAM, CPU, VOCABULARY, Chain, after_steps, call, make_text_step, text_batches, use_small_blocks
from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.data.base import open_data
from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import Place
from natural_sparsity.methods.distil import Distil
from natural_sparsity.model.output_layer import OutputLayer, SoftTargets
from natural_sparsity.training import initialise

pytestmark = pytest.mark.integration

STUDENT = {"method": "distil", "weight": 0.5, "temperature": 2.0, "role": "student"}
SMALL = {"embedding": 4, "hidden": [3, 3]}


@pytest.fixture
def rows(monkeypatch):
    """Double precision: features (21, 5) of a layer of 23 words, targets, a teacher's (21, 4) of its; in two blocks."""
    use_small_blocks(monkeypatch, chunk=3 * 23)
    torch.manual_seed(0)
    linear, teacher = (nn.Linear(width, 23, dtype=torch.float64) for width in (5, 4))
    features, taught = (3 * torch.randn(21, width, dtype=torch.float64) for width in (5, 4))
    return features.requires_grad_(), linear, torch.randint(23, (21,)), taught, teacher


def soft(taught, teacher, weight, temperature):
    output = OutputLayer(teacher)
    return SoftTargets(output.queries(taught), output.joint, weight, temperature)


@pytest.mark.parametrize(("weight", "temperature"), [(0.5, 1.0), (0.3, 2.0), (1.0, 4.0)])
def test_the_gradient_is_that_of_the_loss_by_autograd(rows, weight, temperature):
    features, linear, targets, taught, teacher = rows
    s, t = linear(features), teacher(taught).detach()
    divergence = functional.kl_div(
        (s / temperature).log_softmax(1), (t / temperature).log_softmax(1), reduction="batchmean", log_target=True
    )
    loss = (1 - weight) * functional.cross_entropy(s, targets) + weight * temperature**2 * divergence
    expected = torch.autograd.grad(loss, [features, linear.weight, linear.bias])
    output = OutputLayer(linear)
    plain = output.gradients(features.detach(), targets).losses
    ours = output.gradients(features.detach(), targets, soft=soft(taught, teacher, weight, temperature))
    assert torch.equal(ours.losses, plain), "the losses reported are the cross-entropy"
    for actual, gradient in zip((ours.features, ours.joint[:, :5], ours.joint[:, 5]), expected, strict=True):
        torch.testing.assert_close(actual, gradient, atol=1e-12, rtol=1e-9)


def test_by_the_logits_it_is_t_times_the_difference_of_the_softmaxes_a_token():
    torch.manual_seed(0)
    s, t = 4 * torch.randn(2, 6, 9, dtype=torch.float64)
    identity = nn.Linear(9, 9, dtype=torch.float64)
    nn.init.eye_(identity.weight)
    nn.init.zeros_(identity.bias)
    taught = soft(t, nn.Linear(9, 9, dtype=torch.float64).requires_grad_(False), 1.0, 3.0)
    taught = taught._replace(joint=torch.eye(9, taught.joint.shape[1], dtype=torch.float64))
    ours = OutputLayer(identity).gradients(s, torch.zeros(6, dtype=torch.long), soft=taught).features
    torch.testing.assert_close(ours, 3.0 * ((s / 3).softmax(1) - (t / 3).softmax(1)) / 6, atol=1e-7, rtol=0)


@pytest.mark.integration
def test_without_weight_it_is_the_training_on_words_bit_for_bit(chain):
    """With the same dropout, since the teacher has none."""
    chain.train("dense0", "unmoved1", teacher="dense3", **{**STUDENT, "weight": 0.0})
    unmoved, _, _ = chain.load("unmoved1")
    dense, _, _ = chain.load("dense1")
    assert all(torch.equal(unmoved[name], dense[name]) for name in dense)


def step_of(chain, student, teacher, **settings):
    """A step of the student's, without dropout of its own, and the batches."""
    model, _ = chain.open(student)
    place = Place(1, 1, 1, 8, open_data("text", {}), chain.path(teacher))
    step = make_text_step(model.eval(), 4.0, Distil({**STUDENT, **settings}, model, {}, place))
    return step, text_batches(chain.folder / "train.npy")


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_model_that_teaches_itself_learns_nothing(chain, temperature):
    step, batches = step_of(chain, "dense2", "dense2", weight=1.0, temperature=temperature)
    before = {name: parameter.detach().clone() for name, parameter in step.model.named_parameters()}
    for batch in batches[:3]:
        step(batch)
    for name, parameter in step.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name], atol=2e-6, rtol=0)
    step, _ = step_of(chain, "dense1", "dense2", weight=1.0, temperature=temperature)
    step(batches[0])
    moved = (step.model.output.weight.detach() - chain.load("dense1")[0]["output.weight"]).abs().max()
    assert float(moved.detach()) > 1e-3


def test_the_teacher_carries_its_own_state_and_stays_as_it_was(chain):
    step, batches = step_of(chain, "dense1", "dense3")
    teacher = chain.open("dense3")[0].eval()
    state = teacher.zero_state(8)
    for batch in batches[:3]:
        with torch.no_grad():  # as the teacher reads; on some processors, torch's LSTM has other bits when it records
            _, features, state = teacher(batch.inputs, state)
        taught = step.method.soft_targets
        seen = []
        step.method.soft_targets = lambda x, taught=taught, seen=seen: seen.append(taught(x)) or seen[0]
        step(batch)
        step.method.soft_targets = taught
        torch.testing.assert_close(seen[0].queries[:, :7], features.flatten(0, 1))
        assert torch.equal(step.tensors()["method.teacher.1.0"], state[1][0])
    for name, parameter in step.method.teacher.named_parameters():
        assert parameter.grad is None and not parameter.requires_grad
        assert torch.equal(parameter, teacher.get_parameter(name))


@torch.no_grad()
def divergence(chain, student, teacher):
    """Mean KL(teacher ‖ student) over the dev stream, nats."""
    data = open_data("text", {})
    models = [chain.open(name)[0].eval() for name in (teacher, student)]
    total, split = 0.0, data.split("dev", chain.folder / "dev.npy", 5, 7, models[0].interface)
    states = [model.zero_state(5) for model in models]
    for batch in split.batches(CPU):
        logits = []
        for i, model in enumerate(models):
            _, features, states[i] = model(batch.inputs, states[i])
            logits.append(model.output(features).flatten(0, 1).log_softmax(1))
        total += float(functional.kl_div(logits[1], logits[0], reduction="sum", log_target=True))
    return total / split.examples


def test_a_student_of_another_shape_comes_nearer_to_its_teacher_than_one_without(chain):
    chain.initialise("student0", **SMALL)
    taught = {**STUDENT, "weight": 0.9, "temperature": 1.0}
    chain.train("student0", "student1", "student2", "student3", teacher="dense3", **taught)
    chain.train("student0", "alone1", "alone2", "alone3", **{**STUDENT, "role": "no_teacher"})
    plain = chain.load("alone3")[0]
    assert plain["recurrent.0.weight_hh_l0"].shape == (12, 3)
    assert divergence(chain, "student3", "dense3") < 0.9 * divergence(chain, "alone3", "dense3")
    # The loss reported is the cross-entropy: with the teacher's term it would be far below.
    _, _, state = chain.load("student3")
    assert 0.5 * math.log(VOCABULARY) < state["train_loss"] < math.log(VOCABULARY)
    assert state["sparsify"]["role"] == "student"


def test_the_control_trains_as_a_dense_model_would(chain):
    chain.train("dense0", "control1", **{**STUDENT, "role": "no_teacher"})
    assert all(
        torch.equal(a, b) for a, b in zip(*(chain.load(n)[0].values() for n in ("control1", "dense1")), strict=True)
    )


def test_an_epoch_that_is_killed_goes_on_with_the_teachers_state(chain, monkeypatch):
    chain.initialise("student0", **SMALL)
    chain.train("student0", "undisturbed1", teacher="dense3", **STUDENT)
    steps = []
    after_steps(monkeypatch, lambda *_: steps.append(1))
    chain.train_with_interruption(monkeypatch, 20, "student0", "killed1", teacher="dense3", **STUDENT)
    assert chain.bytes("killed1") == chain.bytes("undisturbed1")
    assert len(steps) == len(text_batches(chain.folder / "train.npy"))


def test_a_missing_teacher_and_one_of_other_words_are_refused(chain, tmp_path):
    with pytest.raises(UserError, match="no teacher to learn from; give --teacher"):
        chain.train("dense0", "refused1", **STUDENT)
    files.write_parquet(tmp_path / "vocabulary.parquet", pd.DataFrame({"id": range(9)}))
    names = {"data": "d", "kind": "text", "model": "m", "seed": 3, "vocabulary": tmp_path / "vocabulary.parquet"}
    blocks = {"architecture": chain.architecture, "training": chain.training}
    call(initialise, **names, **blocks, checkpoint=chain.path("other"))
    with pytest.raises(
        UserError, match=r"other: does not belong to .*dense0 \(different vocabulary\); delete the older of the two"
    ):
        chain.train("dense0", "refused1", teacher="other", **STUDENT)


def test_a_probe_of_the_training_has_the_teacher_too(chain, tmp_path):
    """It ends in the checkpoint bit for bit, or fails."""
    chain.initialise("student0", **SMALL)
    chain.train("student0", "watched1", teacher="dense3", **STUDENT)
    training = json.dumps(chain.training)
    output = tmp_path / "p.parquet"
    line = f"probe --tokens {chain.folder / 'train.npy'} --condition during --device cpu --output {output}".split()
    line += ["--training", training, "--probe", '{"weights":"training"}']
    line += ["--checkpoint", str(chain.path("watched1")), "--from", str(chain.path("student0"))]
    main([*line, "--teacher", str(chain.path("dense3"))])
    assert len(files.read_parquet(output, ["id"])) > 100
    with pytest.raises(SystemExit, match="no teacher to learn from"):
        main(line)


@pytest.mark.integration
def test_a_student_of_a_classifier_learns_from_its_teacher_by_adam(tmp_path):
    """The teacher reads the texts that the student reads, each from a state of 0; its own updates are over."""
    chain = Chain(tmp_path, "classification", **{**ADAM, "learning_rate": 0.01})
    chain.initialise("teacher0")
    chain.train(*(f"teacher{epoch}" for epoch in range(9)))
    chain.initialise("student0", embedding=5, hidden=[4])
    taught = {**STUDENT, "weight": 1.0, "temperature": 1.0}
    names = [f"student{epoch}" for epoch in range(9)]
    chain.train(*names, teacher="teacher8", **taught)
    chain.train("student7", "again8", teacher="teacher8", **taught)
    assert chain.bytes("again8") == chain.bytes("student8")
    data = chain.open_data()
    teacher, untaught, student = (chain.open(name)[0].eval() for name in ("teacher8", "student0", "student8"))

    @torch.no_grad()
    def divergence_from_teacher(model):
        total, split = 0.0, data.split("dev", chain.folder / "dev.npy", 10, 1, model.interface)
        for batch in split.batches(CPU):
            logits = []
            for each in (model, teacher):
                features = each(batch.inputs, each.zero_state(len(batch.targets)))[1]
                logits.append(each.output(data.read(features, batch.inputs)).log_softmax(1))
            total += float(functional.kl_div(*logits, reduction="sum", log_target=True))
        return total / split.examples

    assert divergence_from_teacher(student) < 0.5 * divergence_from_teacher(untaught)
