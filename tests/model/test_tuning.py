"""The sizes that a model keeps: chosen once, held by its checkpoints, and the same on every machine after that."""

import json

import pytest
import torch

from chains import CPU, Chain, call, language_model
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint, tuning
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.model.tuning import Blocks, Tuning, choose, read_table
from natural_sparsity.probing import probe

OTHER = Tuning("another", Blocks(1, 1), Blocks(2, 2), "library")


def test_every_processor_has_a_row_for_every_vocabulary():
    for processor in ("intel", "amd", "other", "cuda"):
        for vocabulary in (2, 8192, 8193, 10**7):
            assert choose(vocabulary, processor).processor == processor


def test_the_first_row_that_fits_is_taken():
    small, large = (choose(words, "amd").probe for words in (8192, 8193))
    assert small.product < large.product


def test_rows_are_in_the_order_in_which_they_are_read():
    for processor in {row["processor"] for row in read_table()}:
        sizes = [row["vocabulary"] for row in read_table() if row["processor"] == processor]
        assert sizes[-1] == "", "the last row holds for every vocabulary"
        assert sorted(map(int, sizes[:-1])) == list(map(int, sizes[:-1]))


def test_a_model_uses_its_own_blocks():
    output = OutputLayer(torch.nn.Linear(3, 100), Blocks(3200, 200))
    assert (output.block_rows, output.chunk_rows) == (32, 2 * torch.get_num_threads())


def test_a_checkpoint_holds_the_sizes_and_gives_them_back(tmp_path):
    model = language_model(7, embedding=3, hidden=[3, 3])
    model.tuning = OTHER
    state = dict.fromkeys(checkpoint.FIELDS)
    checkpoint.save(tmp_path, model, state)
    assert json.loads((tmp_path / "state.json").read_text())["tuning"]["probe"] == {"product": 2, "chunk": 2}
    loaded, _ = checkpoint.load(tmp_path, CPU)
    assert loaded.tuning == OTHER
    assert loaded.fresh().tuning == OTHER


@pytest.mark.integration
def test_a_run_goes_on_with_the_sizes_that_it_began_with(tmp_path, monkeypatch):
    """On any processor: nothing that reads a checkpoint chooses sizes."""
    chain, begin, used = Chain(tmp_path), OutputLayer.__init__, []
    monkeypatch.setattr(tuning, "choose", lambda *_: OTHER)
    chain.initialise()
    monkeypatch.setattr(tuning, "choose", lambda *_: pytest.fail("chose sizes"))
    monkeypatch.setattr(
        OutputLayer, "__init__", lambda self, linear, blocks=None: used.append(blocks) or begin(self, linear, blocks)
    )
    chain.train("dense0", "dense1")
    chain.train("dense1", "dense2")
    assert used == [OTHER.training] * 4, "an epoch and its evaluation"
    student = {"method": "distil", "role": "student", "weight": 0.5, "temperature": 2.0}
    chain.train("dense0", "student1", teacher="dense2", **student)
    assert used[4:] == [OTHER.training] * 3
    given = {"tokens": chain.split_file("train"), "checkpoint": [chain.path("dense2")], "device": "cpu"}
    call(probe, **given, probe={"batch": 8}, output=[tmp_path / "frozen.parquet"])
    assert used[7:] == [OTHER.probe]
    given |= {"from": [chain.path("dense1")], "training": chain.training, "output": [tmp_path / "training.parquet"]}
    call(probe, **given, probe={"weights": "training"})
    assert used[8:] == [OTHER.training]
    for name in ("dense0", "dense1", "dense2", "student1"):
        assert chain.open(name)[1]["tuning"] == OTHER.to_json()


def test_sizes_of_another_form_are_refused(tmp_path):
    model = language_model(7, embedding=3, hidden=[3, 3])
    checkpoint.save(tmp_path, model, dict.fromkeys(checkpoint.FIELDS))
    written = json.loads((tmp_path / "state.json").read_text())
    written["tuning"].pop("probe")
    files.write_json(tmp_path / "state.json", {key: written[key] for key in written if key not in ("digest", "format")})
    with pytest.raises(UserError, match=r"state\.json: its architecture is not that of"):
        checkpoint.load(tmp_path, CPU)
