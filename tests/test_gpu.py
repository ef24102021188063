"""On a CUDA device: the same numbers as on the CPU, in every run, and no waiting. Skipped where there is none."""

import os
import signal
from copy import deepcopy
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch

from chains import language_model
from natural_sparsity import files
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.probe import Probe
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.held_out import evaluate
from natural_sparsity.evaluation.units import UnitSums
from natural_sparsity.methods import sparse_vd
from natural_sparsity.methods.base import Method, Place
from natural_sparsity.model import lstm
from natural_sparsity.model.device import select_device, set_precision
from natural_sparsity.model.output_layer import OutputLayer, exponentiate_in_chunks, exponentiate_on_gpu
from natural_sparsity.model.recurrent import Interface, RecurrentModel
from natural_sparsity.model.replay import EAGER_STEPS, Replayed
from natural_sparsity.probing.gathering import Gathering
from natural_sparsity.probing.measures import choose
from natural_sparsity.probing.probe import observe_frozen
from natural_sparsity.probing.windows import probe_window
from natural_sparsity.registry import MEASURES
from natural_sparsity.training.loop import run_steps, train_epoch
from natural_sparsity.training.saves import Interruption, Saves
from natural_sparsity.training.steps import make_step

# Where a GPU is asked for, tests fail rather than skip without one: benchmarks/gpu.sh.
ABSENT = not torch.cuda.is_available() and not os.environ.get("TEST_DEVICE", "").startswith("cuda")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(ABSENT, reason="torch sees no CUDA device")]
VOCABULARY = 500
KINDS = ["text", "classification", "addition", "navigation"]
ADAM = {"optimizer": "adam", "learning_rate": 0.003, "clip": 1.0}
OPTIMIZERS = {"sgd": {}, "adam": ADAM}
CHOSEN = choose(list(MEASURES), Probe())
TEXT = open_data("text", {})
CUDA = torch.device("cuda")


@pytest.fixture(autouse=True, scope="module")
def as_the_commands_set_it():
    select_device("cuda", 1)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def restored_precision():
    yield
    set_precision("highest")


def open_streams(folder, vocabulary, length, exponent=1.3):
    """Forty streams of words, in windows of 35."""
    tokens = np.random.default_rng(0).zipf(exponent, 40 * length) % vocabulary
    files.write_array(folder / "train.npy", tokens.astype(np.uint16))
    return open_data("text", {}).split("train", folder / "train.npy", 40, 35, Interface(vocabulary, vocabulary))


@pytest.fixture
def streams(tmp_path):
    """Fourteen full windows and a shorter one."""
    return open_streams(tmp_path, VOCABULARY, 14 * 35 + 10)


@pytest.fixture
def texts(tmp_path):
    """Six batches of texts of one to thirty words, and a smaller one."""
    random = np.random.default_rng(0)
    rows = random.integers(1, VOCABULARY, (40 * 6 + 10, 31)) * (np.arange(31) <= random.integers(1, 31, (250, 1)))
    rows[:, 0] = random.integers(3, size=len(rows))
    files.write_array(tmp_path / "texts.npy", rows.astype(np.uint16))
    data = open_data("classification", {"classes": 3})
    return data.split("train", tmp_path / "texts.npy", 40, 35, data.interface(VOCABULARY))


def move(initial, device):
    """A copy of a model, on the device and in training."""
    model = RecurrentModel(initial.interface, initial.architecture).to(device)
    model.load_state_dict(initial.state_dict())
    return model.train()


def new_model(device, dropout=0.0, vocabulary=VOCABULARY, width=32, outputs=None):
    """The same initial weights on any device."""
    torch.manual_seed(0)
    return move(language_model(vocabulary, outputs, embedding=width, hidden=[width, width], dropout=dropout), device)


def open_kind(kind, streams, texts, device):
    """The data of a kind, a split to train on, and a model of it on the device."""
    if kind == "text":
        return TEXT, streams, new_model(device)
    if kind == "classification":
        return open_data(kind, {"classes": 3}), texts, new_model(device, outputs=3)
    data = open_data(kind, {"kind": kind, "steps": 8, **({"cells": 40} if kind == "navigation" else {})})
    torch.manual_seed(0)
    model = RecurrentModel(data.interface(None), Architecture(hidden=[32, 32], dropout=0.0))
    split = data.training_split(None, Training(batch=40, steps=8), model.interface, 1, 1)
    return data, split, move(model, device)


def new_step(model, batch=40, data=TEXT, observer=None, method=None, **training):
    """A step by SGD at rate 1 with the paper's clipping, unless ``training``, a block's keys, says otherwise."""
    method, block = method or Method({}, model, {}, Place(1, 1, 1)), Training(**{"learning_rate": 1.0, **training})
    return make_step(model, data, block, block.learning_rate, batch, method, None, observer)


class Watch:
    """Sums on the device of what an observer sees."""

    def __init__(self):
        self.sums = torch.zeros(3, dtype=torch.float64, device="cuda")

    def see_block(self, block):
        others = (block.other_sum / (block.other_sum + block.target)).double().sum()
        block.others.zero_()
        return others

    def see_window(self, observation):
        gradient = observation.gradients[0].double().abs().sum()
        return torch.stack([observation.losses.double().sum(), gradient, sum(observation.blocks)])

    def add(self, seen):
        self.sums += seen


def train_all(streams, replayed, observer=None):
    """Train over all windows with dropout; the losses and everything that is left."""
    torch.cuda.manual_seed(1)
    step = new_step(new_model("cuda", 0.3), observer=observer)
    run = Replayed(step) if replayed else step
    losses = torch.stack([run(batch).clone() for batch in streams.batches(CUDA)])
    left = [*step.model.state_dict().values(), *(part for layer in step.state for part in layer), step.total]
    return [losses, *(value.cpu() for value in left), torch.cuda.get_rng_state()]


def test_training_losses_are_those_of_the_cpu(streams):
    losses = [
        [float(loss) for loss, _ in run_steps(new_step(new_model(device)), streams)] for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-3)


def test_a_replayed_graph_equals_the_eager_steps_with_dropout(streams):
    for replayed, eager in zip(train_all(streams, True), train_all(streams, False), strict=True):
        assert torch.equal(replayed.cpu(), eager.cpu())


def test_two_runs_are_the_same_bits(streams):
    for first, second in zip(train_all(streams, True), train_all(streams, True), strict=True):
        assert torch.equal(first.cpu(), second.cpu())


def test_an_epoch_that_is_interrupted_and_resumed_is_the_same_bits(streams, tmp_path):
    """Interrupted among the replayed steps; resumed by eager ones."""
    expected = train_all(streams, True)

    def start(seed, stop_at):
        """Train until the signal after step ``stop_at``, from what was saved before if there is something."""
        torch.cuda.manual_seed(seed)
        step, interruption = new_step(new_model("cuda", 0.3)), Interruption()
        saves = Saves(tmp_path / "partial", "epoch 1", {}, step.tensors(), len(streams), 1000, interruption)
        adjust, seen = step.method.adjust, []

        def signalled(*arguments):
            seen.append(adjust(*arguments))  # counted while eager and once in the capture
            interruption.came = signal.SIGTERM if len(seen) == stop_at else None

        step.method.adjust = signalled
        train_epoch(step, streams, "epoch 1", saves)
        return step

    with pytest.raises(SystemExit):
        start(1, EAGER_STEPS + 1)
    step = start(2, 0)
    left = [*step.model.state_dict().values(), *(part for layer in step.state for part in layer), step.total]
    for resumed, whole in zip([*left, torch.cuda.get_rng_state()], expected[1:], strict=True):
        assert torch.equal(resumed.cpu(), whole.cpu())


def test_an_observer_sees_every_replayed_step_and_changes_none(streams):
    watch = Watch()
    observed = train_all(streams, True, watch)
    for value, plain in zip(observed, train_all(streams, True), strict=True):
        assert torch.equal(value.cpu(), plain.cpu())
    *_, total, _ = observed
    torch.testing.assert_close(watch.sums[0].cpu(), total)
    assert (watch.sums[1:] > 0).all()


def test_what_is_gathered_in_training_is_the_same_replayed(streams):
    tables = []
    for replayed in (True, False):
        gathering = Gathering(new_model("cuda"), CHOSEN)
        train_all(streams, replayed, gathering)
        tables.append(gathering.table())
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["gini_mean"].notna().all()
    assert tables[0]["surprisal_mean"].gt(0).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("replayed", [False, True])
def test_no_step_waits_for_the_device(streams, replayed, optimizer):
    step = new_step(new_model("cuda", 0.3), **OPTIMIZERS[optimizer])
    run = Replayed(step) if replayed else step
    batches = streams.batches(CUDA)
    for batch in islice(batches, EAGER_STEPS + 1):  # the libraries' first calls and the capture may wait
        run(batch)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            run(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("kind", KINDS)
def test_adam_has_the_losses_of_the_cpu_and_is_replayed_as_it_runs(kind, streams, texts):
    """On every kind of data; from step to step, its memory is on the device."""
    losses, memories = {}, {}
    for device, replayed in (("cpu", False), ("cuda", False), ("cuda", True)):
        data, split, model = open_kind(kind, streams, texts, device)
        step = new_step(model, split.batch, data, **ADAM)
        run = Replayed(step) if replayed else step
        batches = split.batches(torch.device(device))
        losses[device, replayed] = torch.stack([run(batch).clone() for batch in batches]).cpu()
        memories[device, replayed] = {name: tensor.cpu() for name, tensor in step.memory().items()}
    torch.testing.assert_close(losses["cuda", False], losses["cpu", False], atol=1e-3, rtol=0)
    assert torch.equal(losses["cuda", True], losses["cuda", False])
    for name, tensor in memories["cuda", False].items():
        assert torch.equal(memories["cuda", True][name], tensor), name
        assert not name.startswith("step.") or float(tensor) == len(split)


VARIATIONAL = {"groups": ["weights", "gates", "neurons", "vocabulary"], "threshold": 3, "learning_rate": 0.01}
VARIATIONAL |= {"clip": 1.0, "dropout": 0.0}


def variational_step(device, kind, streams, texts, log_sigma=None):
    """A step of sparse variational dropout with every group; ``log_sigma``: of all variables, in place of the first."""
    data, split, model = open_kind(kind, streams, texts, device)
    groups = [group for group in VARIATIONAL["groups"] if group != "vocabulary" or model.embedding]
    method = sparse_vd.make({**VARIATIONAL, "groups": groups}, model, {}, Place(1, len(split), split.examples))
    for name, tensor in method.tensors.items():
        if log_sigma is not None and name.startswith(sparse_vd.LOG_SIGMA):
            tensor.fill_(log_sigma)
    return new_step(model, split.batch, data, method=method), split


def run_all(step, run, batches):
    """What :func:`run_steps` does; the losses."""
    losses = []
    for number, batch in enumerate(batches):
        step.method.before_step(number)
        losses.append(run(batch).clone())
    return torch.stack(losses).cpu()


@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")
@pytest.mark.parametrize("kind", KINDS)
def test_variational_dropout_without_noise_has_the_losses_of_the_cpu(kind, streams, texts):
    losses = []
    for device in ("cpu", "cuda"):
        step, split = variational_step(device, kind, streams, texts, log_sigma=-30.0)
        losses.append(run_all(step, step, split.batches(torch.device(device))))
    torch.testing.assert_close(losses[1], losses[0], atol=1e-3, rtol=0)


@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")
def test_variational_dropout_replayed_is_that_of_eager_steps(streams, texts):
    """The noise of the groups is drawn within the graph, that of the weights before it."""
    left = []
    for replayed in (True, False):
        torch.cuda.manual_seed(1)
        step, split = variational_step("cuda", "text", streams, texts)
        losses = run_all(step, Replayed(step) if replayed else step, split.batches(CUDA))
        left.append({"losses": losses, **{name: tensor.cpu() for name, tensor in step.method.tensors.items()}})
    for name, tensor in left[0].items():
        torch.testing.assert_close(tensor, left[1][name], msg=name)
    steps = [float(value) for name, value in step.memory().items() if name.startswith("step.")]
    assert set(steps) == {len(streams)}


@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")
@pytest.mark.parametrize("kind", ["text", "classification"])
@pytest.mark.parametrize("replayed", [False, True])
def test_no_step_of_variational_dropout_waits_for_the_device(replayed, kind, streams, texts):
    step, split = variational_step("cuda", kind, streams, texts)
    run, batches = Replayed(step) if replayed else step, split.batches(CUDA)
    run_all(step, run, islice(batches, EAGER_STEPS + 1))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number, batch in enumerate(batches, EAGER_STEPS + 1):
            step.method.before_step(number)
            run(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


class Record(Gathering):
    """Keeps the values of the last window."""

    def see_window(self, observation):
        return self.measure_window(observation)

    def add(self, seen):
        self.values = seen.cpu()


def probe_first_window(model, streams):
    """Norms and measures of all tensors at all positions of the first window, (positions, tensors, 2 + measures)."""
    model.requires_grad_(False).eval()
    model.recurrent.train()
    device = model.embedding.weight.device
    inputs, targets, _ = next(streams.batches(device))
    with torch.no_grad():
        record = Record(model, CHOSEN)
        probe_window(model, OutputLayer(model.output), record, inputs, targets, model.zero_state(streams.batch))
    return record.values


def test_the_probe_runs_without_dropout_and_agrees(streams):
    here, there = (probe_first_window(new_model(device, 0.3), streams) for device in ("cpu", "cuda"))
    for column, name in enumerate(["l1", "l2", *CHOSEN]):
        # An entry close to ε of the largest may be counted here and not there.
        tolerance = {"rtol": 0, "atol": 2 / 32} if name == "l0" else {"rtol": 1e-3, "atol": 1e-5}
        torch.testing.assert_close(there[:, :, column], here[:, :, column], **tolerance)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_coarser_products_change_losses_and_chi_little(tmp_path, precision):
    streams = open_streams(tmp_path, 2000, 35 * 12, exponent=1.2)
    losses, chi = [], []
    for chosen in ("highest", precision):
        set_precision(chosen)
        model = new_model("cuda", vocabulary=2000, width=200)
        losses.append(torch.stack([loss.clone() for loss, _ in run_steps(new_step(model), streams)]).cpu())
        chi.append(probe_first_window(model, streams)[:, :, 2])
    torch.testing.assert_close(losses[1], losses[0], rtol=0.01, atol=0)
    difference = (chi[1] / chi[0] - 1).abs()
    print(f"{precision}: loss {(losses[1] / losses[0] - 1).abs().max():.1e}, chi by tensor {difference.mean(0)}")
    assert difference.mean() < 0.01


@pytest.mark.parametrize(
    ("steps", "batch", "width", "hidden"), [(35, 40, 200, 200), (9, 3, 5, 4), (5, 17, 30, 256), (1, 16, 16, 16)]
)
def test_an_lstm_in_one_kernel_is_the_librarys(steps, batch, width, hidden):
    """Values, last state, and gradients by inputs, first state and weights, against double precision on the CPU."""
    set_precision("high")
    torch.manual_seed(0)
    layer = torch.nn.LSTM(width, hidden)
    given = [torch.randn(steps, batch, width), *torch.randn(2, 1, batch, hidden)]
    weights = [torch.randn(steps, batch, hidden), *torch.randn(2, 1, batch, hidden)]
    results = []
    for module, run, move in (
        (deepcopy(layer).double(), lambda layer, x, state: layer(x, state), torch.Tensor.double),
        (deepcopy(layer).cuda(), lstm.run, torch.Tensor.cuda),
    ):
        x, h, c = (move(tensor).requires_grad_() for tensor in given)
        assert not x.is_cuda or lstm.fits(x, hidden)
        outputs, last = run(module, x, (h, c))
        values = [outputs, *last]
        loss = sum((value * move(weight)).sum() for value, weight in zip(values, weights, strict=True))
        gradients = torch.autograd.grad(loss, [x, h, c, *module.parameters()])
        assert len({gradient.data_ptr() for gradient in gradients}) == len(gradients), (
            "a method may change one in place"
        )
        results.append([*values, *gradients])
    for expected, ours in zip(*results, strict=True):
        error = torch.linalg.norm(ours.double().cpu() - expected) / torch.linalg.norm(expected)
        assert error < 5e-3


def test_an_lstm_in_one_kernel_has_the_same_bits_every_time():
    set_precision("high")
    torch.manual_seed(0)
    layer, x = torch.nn.LSTM(200, 200).cuda(), torch.randn(35, 40, 200, device="cuda", requires_grad=True)
    state = tuple(torch.zeros(2, 1, 40, 200, device="cuda"))
    first, *others = (
        torch.autograd.grad(lstm.run(layer, x, state)[0].sin().sum(), [x, *layer.parameters()]) for _ in range(20)
    )
    for other in others:
        assert all(torch.equal(*pair) for pair in zip(first, other, strict=True))


def test_a_batch_of_many_rows_goes_to_the_library():
    """Its programs could not all run at once, and would wait for each other forever."""
    set_precision("high")
    assert not lstm.fits(torch.zeros(1, 1280, 200, device="cuda"), 200)


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("words", [3, 4096, 19_500])
def test_exponentials_in_one_kernel_are_those_of_single_operations(words, left_out):
    torch.manual_seed(0)
    logits = (20 * torch.randn(70, words + 5, device="cuda"))[:, :words]
    targets = torch.randint(words, (70,), device="cuda") if left_out else None
    plain = logits.clone()
    expected = exponentiate_in_chunks(plain, targets, 70)
    ours = exponentiate_on_gpu(logits, targets, 70)
    torch.testing.assert_close(logits, plain, rtol=1e-5, atol=1e-35)  # below, there are few digits
    for value, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-5, atol=0)


def test_a_replayed_evaluation_is_that_of_the_cpu(streams):
    losses = [evaluate(new_model(device), TEXT, streams).loss for device in ("cpu", "cuda")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_replayed_units_are_those_of_the_cpu(streams):
    tables = []
    for device in ("cpu", "cuda"):
        sums = UnitSums(model := new_model(device))
        observe_frozen(model, streams.streams, Probe(), sums, {"seed": 1, "epoch": 1}, "units")
        tables.append(sums.table())
    pd.testing.assert_frame_equal(*tables, rtol=1e-3)


def test_a_replayed_probe_is_that_of_the_cpu(streams):
    state, tables = {"seed": 1, "epoch": 1}, []
    for device in ("cpu", "cuda"):
        gathering = Gathering(model := new_model(device), choose(["chi"], Probe()))
        observe_frozen(model, streams.streams, Probe(), gathering, state, "probe")
        tables.append(gathering.table(static=True))
    pd.testing.assert_frame_equal(*tables, rtol=1e-3)
    assert "static" in set(tables[1]["tensor"])
    assert tables[1]["surprisal_mean"].gt(0).all()
