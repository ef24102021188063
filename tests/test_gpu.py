"""On a CUDA device: the same numbers as on the CPU, in every run, and no waiting. Skipped where there is none."""

import signal
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.model.device import select_device, set_precision
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.probing.gather import Gathering
from natural_sparsity.probing.measures import MEASURES, choose
from natural_sparsity.probing.probe import probe_window
from natural_sparsity.probing.settings import Probe
from natural_sparsity.sparsify import sparse_vd
from natural_sparsity.sparsify.method import Place
from natural_sparsity.tasks.classify import ClassifierStep, Examples
from natural_sparsity.training.saves import Interruption, Saves
from natural_sparsity.training.settings import Training
from natural_sparsity.training.step import EAGER_STEPS, Replayed, Step
from natural_sparsity.training.train import train_epoch, train_steps

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")]
VOCABULARY = 500
CHOSEN = choose(list(MEASURES), Probe())


@pytest.fixture(autouse=True, scope="module")
def as_the_commands_set_it():
    select_device("cuda", 1)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def restored_precision():
    yield
    set_precision("highest")


@pytest.fixture
def streams(tmp_path):
    """Fourteen full windows and a shorter one."""
    tokens = np.random.default_rng(0).zipf(1.3, 40 * (14 * 35 + 10)) % VOCABULARY
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint16))
    return Streams(tmp_path / "train.npy", 40, 35, VOCABULARY)


def new_model(device, dropout=0.0, vocabulary=VOCABULARY, width=32):
    """The same initial weights on any device."""
    torch.manual_seed(0)
    initial = LanguageModel(vocabulary, Architecture(width, [width, width], dropout))
    model = LanguageModel(vocabulary, Architecture(width, [width, width], dropout)).to(device)
    model.load_state_dict(initial.state_dict())
    return model.train()


class Watch:
    """Sums on the device of what an observer sees."""

    def __init__(self):
        self.sums = torch.zeros(3, dtype=torch.float64, device="cuda")

    def see_block(self, block):
        self.sums[2] += (block.other_sum / (block.other_sum + block.target)).double().sum()
        block.others.zero_()

    def see_window(self, observation):
        self.sums[0] += observation.losses.double().sum()
        self.sums[1] += observation.gradients[0].double().abs().sum()


def train_all(streams, replayed, observer=None):
    """Train over all windows with dropout; the losses and everything that is left."""
    torch.cuda.manual_seed(1)
    step = Step(new_model("cuda", 0.3), Training(), 1.0, streams.batch, observer)
    run = Replayed(step) if replayed else step
    losses = torch.stack([run(*window).clone() for window in streams.windows(torch.device("cuda"))])
    left = [*step.model.state_dict().values(), *(part for layer in step.state for part in layer), step.total]
    return [losses, *(value.cpu() for value in left), torch.cuda.get_rng_state()]


def test_training_losses_are_those_of_the_cpu(streams):
    losses = [
        [float(loss) for loss, _ in train_steps(new_model(device), streams, Training(), 1.0)]
        for device in ("cpu", "cuda")
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
        step, interruption = Step(new_model("cuda", 0.3), Training(), 1.0, streams.batch), Interruption()
        saves = Saves(tmp_path / "partial", "epoch 1", {}, step.tensors(), len(streams), 1000, interruption)
        advance, seen = step.advance, []

        def signalled(*arguments):
            seen.append(advance(*arguments))  # counted while eager and once in the capture
            interruption.came = signal.SIGTERM if len(seen) == stop_at else None

        step.advance = signalled
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


@pytest.mark.parametrize("replayed", [False, True])
def test_no_step_waits_for_the_device(streams, replayed):
    step = Step(new_model("cuda", 0.3), Training(), 1.0, streams.batch)
    run = Replayed(step) if replayed else step
    windows = streams.windows(torch.device("cuda"))
    for window in islice(windows, EAGER_STEPS + 1):  # the libraries' first calls and the capture may wait
        run(*window)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for window in windows:
            run(*window)
    finally:
        torch.cuda.set_sync_debug_mode("default")


VARIATIONAL = {"groups": ["weights", "gates", "neurons", "vocabulary"], "threshold": 3, "learning_rate": 0.01}
VARIATIONAL |= {"clip": 1.0, "dropout": 0.0}


def variational_step(device, streams, step_of=Step, classes=None, log_sigma=None):
    """A step of sparse variational dropout with every group; ``log_sigma``: of all variables, in place of the first."""
    model = new_model(device)
    if classes:
        torch.manual_seed(0)
        model.output = torch.nn.Linear(32, classes).to(device)
    method = sparse_vd.make(VARIATIONAL, model, {}, Place(1, len(streams), streams.tokens))
    for name, tensor in method.tensors.items():
        if log_sigma is not None and name.startswith(sparse_vd.LOG_SIGMA):
            tensor.fill_(log_sigma)
    return step_of(model, Training(), 1.0, streams.batch, method=method)


def run_all(step, run, windows):
    """What :func:`run_steps` does; the losses."""
    losses = []
    for number, window in enumerate(windows):
        step.method.before_step(number)
        losses.append(run(*window).clone())
    return torch.stack(losses).cpu()


@pytest.fixture
def texts(tmp_path):
    """Six batches of texts of one to thirty words, and a smaller one."""
    random = np.random.default_rng(0)
    rows = random.integers(1, VOCABULARY, (40 * 6 + 10, 31)) * (np.arange(31) <= random.integers(1, 31, (250, 1)))
    rows[:, 0] = random.integers(3, size=len(rows))
    files.write_array(tmp_path / "texts.npy", rows.astype(np.uint16))
    return Examples(tmp_path / "texts.npy", 40, 35, VOCABULARY)


@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")
def test_variational_dropout_without_noise_has_the_losses_of_the_cpu(streams, texts):
    for data, step_of, classes in ((streams, Step, None), (texts, ClassifierStep, 3)):
        losses = []
        for device in ("cpu", "cuda"):
            step = variational_step(device, data, step_of, classes, log_sigma=-30.0)
            losses.append(run_all(step, step, data.windows(torch.device(device))))
        torch.testing.assert_close(losses[1], losses[0], atol=1e-3, rtol=0)


@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")
def test_variational_dropout_replayed_is_that_of_eager_steps(streams):
    """The noise of the groups is drawn within the graph, that of the weights before it."""
    left = []
    for replayed in (True, False):
        torch.cuda.manual_seed(1)
        step = variational_step("cuda", streams)
        losses = run_all(step, Replayed(step) if replayed else step, streams.windows(torch.device("cuda")))
        left.append({"losses": losses, **{name: tensor.cpu() for name, tensor in step.method.tensors.items()}})
    for name, tensor in left[0].items():
        torch.testing.assert_close(tensor, left[1][name], msg=name)
    assert float(left[0]["steps"]) == len(streams)


@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")
@pytest.mark.parametrize("replayed", [False, True])
def test_no_step_of_variational_dropout_waits_for_the_device(streams, texts, replayed):
    for data, step_of, classes in ((streams, Step, None), (texts, ClassifierStep, 3)):
        step = variational_step("cuda", data, step_of, classes)
        run, windows = Replayed(step) if replayed else step, data.windows(torch.device("cuda"))
        run_all(step, run, islice(windows, EAGER_STEPS + 1))
        torch.cuda.set_sync_debug_mode("error")
        try:
            for number, window in enumerate(windows, EAGER_STEPS + 1):
                step.method.before_step(number)
                run(*window)
        finally:
            torch.cuda.set_sync_debug_mode("default")


class Record(Gathering):
    """Keeps the values of the last window."""

    def see_window(self, observation):
        self.values = self.values_of(observation).cpu()


def probe_first_window(model, streams):
    """Norms and measures of all tensors at all positions of the first window, (positions, tensors, 2 + measures)."""
    model.requires_grad_(False).eval()
    model.recurrent.train()
    device = model.embedding.weight.device
    inputs, targets = next(streams.windows(device))
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
    tokens = np.random.default_rng(0).zipf(1.2, 40 * 35 * 12) % 2000
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint16))
    streams = Streams(tmp_path / "train.npy", 40, 35, 2000)
    losses, chi = [], []
    for chosen in ("highest", precision):
        set_precision(chosen)
        model = new_model("cuda", vocabulary=2000, width=200)
        losses.append(torch.stack([loss for loss, _ in train_steps(model, streams, Training(), 1.0)]).cpu())
        chi.append(probe_first_window(model, streams)[:, :, 2])
    torch.testing.assert_close(losses[1], losses[0], rtol=0.01, atol=0)
    difference = (chi[1] / chi[0] - 1).abs()
    print(f"{precision}: loss {(losses[1] / losses[0] - 1).abs().max():.1e}, chi by tensor {difference.mean(0)}")
    assert difference.mean() < 0.01
