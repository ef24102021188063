"""The step: replayed on fixed buffers as it runs by itself, and observed without being changed."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from chains import CPU, language_model, make_text_step
from natural_sparsity import files
from natural_sparsity.data.base import open_data
from natural_sparsity.errors import UserError
from natural_sparsity.model import output_layer
from natural_sparsity.model.recurrent import Interface
from natural_sparsity.model.replay import EAGER_STEPS, Replayed
from natural_sparsity.training.loop import train_epoch

VOCABULARY, BATCH, WINDOW = 60, 4, 7
FULL_WINDOWS, LAST = 9, 3


@pytest.fixture
def split(tmp_path):
    """Nine windows of seven steps and a last one of three."""
    length = FULL_WINDOWS * WINDOW + LAST + 1
    tokens = np.random.default_rng(0).zipf(1.5, BATCH * length) % VOCABULARY
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint8))
    interface = Interface(outputs=VOCABULARY, vocabulary=VOCABULARY)
    return open_data("text", {}).split("train", tmp_path / "train.npy", BATCH, WINDOW, interface)


class Watch:
    """Keeps each window's observation, with p put together from the blocks."""

    def __init__(self):
        self.windows = []

    def see_block(self, block):
        p = block.others.scatter(1, block.targets[:, None], block.target[:, None])
        block.others.fill_(torch.nan)  # which an observer may do
        return p / (block.other_sum + block.target)[:, None]

    def see_window(self, observation):
        return observation, torch.cat(observation.blocks)

    def add(self, seen):
        self.windows.append(seen)


def new_step(observer=None, dtype=torch.float32, hidden=(5, 7), cell="lstm"):
    torch.manual_seed(0)
    model = language_model(VOCABULARY, embedding=6, hidden=list(hidden), dropout=0.3, cell=cell).to(dtype).train()
    torch.manual_seed(1)
    return make_text_step(model, 2.0, observer=observer, batch=BATCH, window=WINDOW)


def everything(step):
    """All that a step leaves behind."""
    parameters = {name: value.clone() for name, value in step.model.state_dict().items()}
    state = {f"state {i}": torch.cat(layer) for i, layer in enumerate(step.state)}
    return parameters | state | {"total": step.total, "finite": step.finite, "random": torch.get_rng_state()}


def batches(split):
    return list(split.batches(CPU))


@pytest.mark.parametrize(("cell", "hidden"), [("lstm", (5, 7)), ("gru", (5,)), ("rnn", (5, 4, 7))])
def test_replayed_on_fixed_buffers_equals_step_by_step(split, cell, hidden):
    """The same bits, over windows of one shape and a shorter last one; here what is captured is just called again."""
    plain, captured = new_step(cell=cell, hidden=hidden), []
    losses = [plain(batch).item() for batch in batches(split)]
    expected = everything(plain)

    def capture(function):
        captured.append(0)

        def replay():
            captured[0] += 1
            return function()

        return replay

    step = new_step(cell=cell, hidden=hidden)
    run = Replayed(step, capture)
    assert [run(batch).item() for batch in batches(split)] == losses
    assert captured == [FULL_WINDOWS - EAGER_STEPS]
    for name, value in everything(step).items():
        assert torch.equal(value, expected[name]), name


def test_an_observed_step_trains_the_same_bits(split):
    watch = Watch()
    plain, observed = new_step(), new_step(watch)
    for batch in batches(split):
        torch.manual_seed(3)
        plain(batch)
        torch.manual_seed(3)
        observed(batch)
    assert len(watch.windows) == FULL_WINDOWS + 1
    for name, value in everything(observed).items():
        assert torch.equal(value, everything(plain)[name]), name


@pytest.mark.parametrize(("cell", "hidden"), [("lstm", (5, 7)), ("gru", (5, 7, 4)), ("rnn", (5,))])
def test_observations_equal_autograd_through_the_whole_model(split, cell, hidden):
    """With dropout on, against cross-entropy of all logits summed over the window; the state is carried."""
    watch = Watch()
    step = new_step(watch, torch.float64, hidden, cell)
    model = step.model
    for number, batch in enumerate(batches(split)):
        inputs, targets = batch.inputs, batch.targets
        before = [tuple(part.clone() for part in layer) for layer in step.state]
        random = torch.get_rng_state()
        embedded = functional.embedding(inputs, model.embedding.weight)
        outputs, features, _ = model.layers([embedded], before)
        logits = model.output(features).flatten(0, 1)
        loss = functional.cross_entropy(logits, targets.flatten(), reduction="sum")
        gradients = torch.autograd.grad(loss, outputs)
        outputs = [output.detach() for output in outputs]
        p = torch.softmax(logits.detach(), 1)
        torch.set_rng_state(random)
        step(batch)
        observation, seen = watch.windows[number]
        assert torch.equal(observation.inputs, inputs)
        assert torch.equal(observation.targets, targets)
        torch.testing.assert_close(observation.outputs, outputs)
        torch.testing.assert_close(observation.gradients, list(gradients))
        torch.testing.assert_close(observation.losses.sum(), loss.detach())
        torch.testing.assert_close(seen, p)


def test_all_embeddings_at_once_as_on_a_gpu_equal_those_that_occur(split, monkeypatch):
    here = new_step(dtype=torch.float64)
    expected = [here(batch).item() for batch in batches(split)]
    there = new_step(dtype=torch.float64)
    table = there.model.embedding.weight
    monkeypatch.setattr(there, "used_embedding", lambda inputs: (None, table.detach().requires_grad_(), inputs))
    assert [there(batch).item() for batch in batches(split)] == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(table, here.model.embedding.weight)


def test_aligned_rows_train_the_same_model(split, monkeypatch):
    left = []
    for alignment in (1, 16):
        monkeypatch.setattr(output_layer, "ALIGNMENT", alignment)
        step = new_step(dtype=torch.float64)
        for batch in batches(split):
            step(batch)
        left.append(everything(step))
    assert step.output.joint.shape == (VOCABULARY, 16)
    assert not step.output.joint[:, 8:].any()
    torch.testing.assert_close(left[1], left[0])


def test_the_total_is_the_loss_summed_over_tokens(split):
    step = new_step()
    expected = sum(step(batch).item() * batch.targets.numel() for batch in batches(split))
    assert step.total.item() == pytest.approx(expected, rel=1e-12)
    assert step.finite == len(split)


def test_a_loss_that_is_not_finite_is_named_with_its_first_step(split):
    """The word that spoils it first occurs in a window in the middle; the message comes at the end of the epoch."""
    inputs = [set(batch.inputs.flatten().tolist()) for batch in batches(split)]
    first, word = next(
        (k, word) for k in range(3, len(inputs)) for word in sorted(inputs[k]) if word not in set().union(*inputs[:k])
    )
    step = new_step()
    with torch.no_grad():
        step.model.embedding.weight[word] = torch.nan
    with pytest.raises(UserError, match=rf"^epoch 3, step {first + 1}: the loss is not finite at learning rate 2; "):
        train_epoch(step, split, "epoch 3")
