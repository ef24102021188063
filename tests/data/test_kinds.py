"""What every kind of data brings: splits that go on from any batch, and draws that depend on keys alone."""

import math

import pytest
import torch

from chains import CPU, KINDS, VOCABULARY, Chain
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.text import PerplexityTally
from natural_sparsity.errors import UserError
from natural_sparsity.registry import DATA

WORDS = ("text", "classification")


@pytest.fixture(params=KINDS)
def opened(request, tmp_path):
    """The data, their interface, the training's block, and a function that gives the training split of an epoch."""
    chain = Chain(tmp_path, request.param)
    data = chain.open_data()
    interface = data.interface(VOCABULARY if request.param in WORDS else None)
    training = Training(**chain.training)

    def open_epoch(seed=1, epoch=1):
        return data.training_split(chain.split_file("train"), training, interface, seed, epoch)

    return request.param, chain, data, interface, open_epoch


def equal(one, other):
    """Whether two batches are the same."""
    return all(
        (a is None and b is None) or (a.shape == b.shape and torch.equal(a, b)) for a, b in zip(one, other, strict=True)
    )


def read_all(split, first=0):
    return list(split.batches(CPU, first))


def test_a_split_has_as_many_batches_and_examples_as_it_says(opened):
    kind, chain, data, interface, open_epoch = opened
    for split in (open_epoch(), data.split("dev", chain.split_file("dev"), 10, 7, interface)):
        batches = read_all(split)
        assert len(batches) == len(split)
        predictions = [batch.targets.numel() if kind == "text" else batch.inputs.shape[1] for batch in batches]
        assert sum(predictions) == split.examples
        assert max(batch.inputs.shape[1] for batch in batches) == split.batch


def test_a_split_goes_on_from_any_batch(opened):
    """As an epoch does that was interrupted."""
    *_, open_epoch = opened
    batches = read_all(open_epoch())
    for first in (1, len(batches) - 1, len(batches)):
        rest = read_all(open_epoch(), first)
        assert len(rest) == len(batches) - first
        assert all(equal(one, other) for one, other in zip(rest, batches[first:], strict=True))


def test_an_epoch_depends_on_seed_and_epoch_alone(opened):
    """Text is the same in every epoch; texts come in another order, and sequences are new ones."""
    kind, *_, open_epoch = opened
    first = read_all(open_epoch())
    assert all(equal(one, other) for one, other in zip(read_all(open_epoch()), first, strict=True))
    for keys in ({"seed": 2}, {"epoch": 2}):
        other = read_all(open_epoch(**keys))
        assert all(equal(a, b) for a, b in zip(first, other, strict=True)) == (kind == "text")


def test_the_interface_fits_what_the_batches_have(opened):
    kind, _, data, interface, open_epoch = opened
    batch = read_all(open_epoch())[0]
    if kind in WORDS:
        assert batch.inputs.dtype == torch.int64
        assert int(batch.inputs.max()) < interface.vocabulary == VOCABULARY
        assert int(batch.targets.max()) < interface.outputs
    else:
        assert interface.vocabulary is None
        assert batch.inputs.shape[2] == interface.inputs
    assert (batch.start is None) == (interface.start == 0)
    assert batch.start is None or batch.start.shape[1] == interface.start
    assert data.carries_state == (kind == "text")


def test_a_vocabulary_is_asked_for_where_there_are_words():
    for kind in WORDS:
        with pytest.raises(UserError, match="--vocabulary: "):
            open_data(kind, KINDS[kind][0]).interface(None)


def test_files_are_asked_for_where_there_are_some(opened):
    kind, _, data, interface, _ = opened
    if kind in WORDS:
        with pytest.raises(UserError, match=r"--test: .* the \.npy file of the test split"):
            data.split("test", None, 10, 7, interface)
    else:
        assert len(data.split("test", None, 10, 7, interface)) == 2


def test_held_out_sequences_are_of_the_datas_own_seed():
    """Another seed, other sequences; as many as are asked for."""
    splits = [
        open_data("addition", {"kind": "addition", "seed": seed, "held_out": n}).split("dev", None, 1, 1, None)
        for seed, n in ((1, 250), (2, 250), (1, 200))
    ]
    first, other, fewer = map(read_all, splits)
    assert [batch.inputs.shape[1] for batch in first] == [100, 100, 50]
    assert [batch.inputs.shape[1] for batch in fewer] == [100, 100]
    assert not equal(first[0], other[0])
    assert equal(first[1], fewer[1])


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(UserError, match=f"kind: 'speech' is no kind of data; the kinds are {', '.join(DATA)}"):
        open_data("speech", {})


@pytest.mark.parametrize("block", [{"kind": "addition", "step": 6}, {"kind": "addition", "steps": 1}, {"cells": 5}])
def test_a_block_of_another_form_is_refused_in_one_line(block):
    with pytest.raises(UserError, match="^block") as error:
        open_data("addition", block)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("loss", "perplexity"), [(2.0, math.exp(2)), (709.0, math.exp(709)), (1e30, math.inf)])
def test_a_run_that_diverged_has_a_perplexity(loss, perplexity):
    assert PerplexityTally.score(object(), loss, 1) == perplexity
