"""Windows that are probed at once give the bits of windows that are probed one after the other."""

import copy
import threading

import numpy as np
import pandas as pd
import pytest
import torch

from chains import call, language_model
from natural_sparsity import files
from natural_sparsity.config.probe import Probe
from natural_sparsity.evaluation import units
from natural_sparsity.model import checkpoint
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.model.tuning import Blocks
from natural_sparsity.probing import probe
from natural_sparsity.probing.gathering import Gathering
from natural_sparsity.probing.measures import choose
from natural_sparsity.probing.windows import probe_windows

VOCABULARY, BATCH, STEPS, WINDOWS = 31, 4, 6, 9
SECONDS = 20
MEASURES = choose(["chi", "gini"], Probe())


@pytest.fixture
def model():
    torch.manual_seed(4)
    model = language_model(VOCABULARY, embedding=8, hidden=[6, 5], dropout=0.4)
    model.tuning = model.tuning._replace(probe=Blocks(16 * VOCABULARY, VOCABULARY))  # two blocks, rows one by one
    return model.requires_grad_(False).train()


@pytest.fixture
def windows():
    """Nine windows; the last is shorter."""
    torch.manual_seed(5)
    words = torch.randint(VOCABULARY, (WINDOWS, STEPS + 1, BATCH))
    return [(part[:-1], part[1:]) for part in (*words[:-1], words[-1, :4])]


class Meeting(Gathering):
    """Of every two windows, each waits in its first block until the other is there, so that both are under way."""

    def __init__(self, model, measures, parties=1):
        super().__init__(model, measures)
        self.barrier, self.met = threading.Barrier(parties), threading.local()
        self.order, self.left = [], WINDOWS - WINDOWS % parties

    def see_block(self, block):
        if not getattr(self.met, "this_window", False) and self.left > 0:
            self.met.this_window, self.left = True, self.left - 1
            self.barrier.wait(SECONDS)
        return super().see_block(block)

    def see_window(self, observation):
        self.met.this_window = False
        return super().see_window(observation)

    def add(self, seen):
        self.order.append(seen[0]["target"])
        super().add(seen)


def sums_of(model, windows, threads):
    torch.manual_seed(6)  # of dropout
    gathering = Meeting(model, MEASURES, threads)
    positions = list(probe_windows(model, windows, BATCH, gathering, threads))
    assert positions == [targets.numel() for _, targets in windows]
    for seen, (_, targets) in zip(gathering.order, windows, strict=True):
        torch.testing.assert_close(seen, targets.flatten())
    return [gathering.loss, *(part for sums in gathering.sums.values() for part in (sums.sums, sums.losses))]


@pytest.mark.parametrize("threads", [2, 3])
def test_windows_at_once_give_the_same_bits_in_the_same_order(model, windows, threads):
    alone, together = sums_of(model, windows, 1), sums_of(model, windows, threads)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("make", [lambda model: Gathering(model, MEASURES), units.UnitSums], ids=["words", "units"])
def test_an_observer_keeps_all_that_it_adds_in_tensors(model, windows, make, monkeypatch):
    """When a GPU replays a window, tensors change and no Python runs: as here for a copy that shares all tensors."""
    both, recorded = make(model), make(model)
    monkeypatch.setattr(torch.Tensor, "__deepcopy__", lambda tensor, _: tensor)
    replayed = copy.deepcopy(recorded)
    for observers in ([both, both], [recorded, replayed]):
        torch.manual_seed(6)
        for observer, window in zip(observers, windows, strict=False):
            list(probe_windows(model, [window], BATCH, observer))
    pd.testing.assert_frame_equal(recorded.table(), both.table())


def test_a_fault_in_a_thread_ends_the_probe(model, windows):
    class Broken(Gathering):
        def see_window(self, observation):
            raise ArithmeticError("not measured")

    with pytest.raises(ArithmeticError, match="not measured"):
        list(probe_windows(model, windows, BATCH, Broken(model, MEASURES), 2))


def test_a_copy_of_the_output_layer_has_buffers_of_its_own(model):
    layer = OutputLayer(model.output)
    next(layer.exponentials(torch.randn(3, 5)))
    copied = layer.copy()
    next(copied.exponentials(torch.randn(3, 5)))
    assert copied.joint.data_ptr() == layer.joint.data_ptr()
    assert copied.buffer.data_ptr() != layer.buffer.data_ptr()


@pytest.mark.parametrize("command", [probe, units])
def test_a_command_writes_the_same_bytes_with_any_number_of_threads(tmp_path, command):
    """At a size at which torch would divide an operation between threads."""
    vocabulary = 2000
    torch.manual_seed(4)
    model = language_model(vocabulary, embedding=64, hidden=[96, 64], dropout=0.2)
    tokens = np.random.default_rng(3).integers(vocabulary, size=6000).astype(np.uint16)
    files.write_array(tmp_path / "train.npy", tokens, {"split": "train", "vocabulary": 0})
    state = dict.fromkeys(checkpoint.FIELDS, 0) | {"kind": "text", "epoch": 1, "seed": 9, "sparsify": {}}
    checkpoint.save(tmp_path / "epoch1", model, state)
    usual = torch.get_num_threads()
    written = []
    try:
        for threads in (1, 2, 3):
            output, folder = tmp_path / f"{threads}.parquet", tmp_path / "epoch1"
            block = {"batch": 40, "window": 35, "measures": ["chi"]}
            several = command is probe
            call(
                command,
                tokens=tmp_path / "train.npy",
                checkpoint=[folder] if several else folder,
                probe=block,
                condition="mine",
                device="cpu",
                threads=threads,
                output=[output] if several else output,
            )
            written.append(output.read_bytes())
    finally:
        torch.set_num_threads(usual)
    assert written[0] == written[1] == written[2]
