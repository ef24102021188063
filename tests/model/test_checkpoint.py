"""A checkpoint is whole and its two files belong together, or it is refused by name."""

import json

import pytest
import torch

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.model.output_layer import OutputLayer


@pytest.fixture
def paths(tmp_path):
    torch.manual_seed(0)
    model = LanguageModel(30, Architecture(4, [5, 6]))
    paths = tmp_path / "p.safetensors", tmp_path / "s.json"
    checkpoint.save(model, *paths, dict.fromkeys(checkpoint.FIELDS, 0))
    return *paths, model


def load(paths):
    return checkpoint.load(paths[0], paths[1], torch.device("cpu"))


def test_what_is_loaded_is_what_was_saved(paths):
    model, state = load(paths)
    assert state["architecture"] == {"embedding": 4, "hidden": [5, 6], "dropout": 0.2, "cell": "lstm"}
    for name, value in paths[2].state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_every_cell_and_number_of_layers_is_saved(tmp_path, cell):
    torch.manual_seed(0)
    model = LanguageModel(30, Architecture(4, [5, 6, 3], cell=cell)).eval()
    paths = tmp_path / "p.safetensors", tmp_path / "s.json"
    checkpoint.save(model, *paths, dict.fromkeys(checkpoint.FIELDS, 0))
    loaded = load(paths)[0].eval()
    assert loaded.architecture == model.architecture
    inputs = torch.randint(30, (7, 2))
    assert torch.equal(loaded(inputs, loaded.zero_state(2))[1], model(inputs, model.zero_state(2))[1])


def test_views_into_the_output_layers_matrix_are_saved_as_tensors_of_their_own(paths):
    model = paths[2]
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    OutputLayer(model.output)
    checkpoint.save(model, *paths[:2], dict.fromkeys(checkpoint.FIELDS, 0))
    for name, value in load(paths)[0].state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_flipped_bit_is_noticed(paths):
    content = bytearray(paths[0].read_bytes())
    content[-5] ^= 1
    paths[0].write_bytes(content)
    with pytest.raises(UserError, match=r"p\.safetensors: not the parameters that .*s\.json was written with"):
        load(paths)


def test_a_flipped_bit_in_any_byte_of_the_state_is_named(paths):
    """Save in the layout: a space that becomes a tab changes nothing that is said."""
    content, stored = paths[1].read_bytes(), json.loads(paths[1].read_text())
    refused = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        paths[1].write_bytes(flipped)
        try:
            state = files.read_json(paths[1], checkpoint.FIELDS)
        except UserError as error:
            assert str(error).startswith(f"{paths[1]}: ")
            refused += 1
        else:
            assert state == stored
    assert refused > 0.8 * len(content)


def test_a_value_changed_by_hand_is_named(paths):
    paths[1].write_text(paths[1].read_text().replace('"best_dev_loss": 0', '"best_dev_loss": 9'))
    with pytest.raises(UserError, match=r"s\.json: changed since it was written \(its digest does not fit\)"):
        load(paths)


def test_another_runs_state_is_noticed(paths):
    state = json.loads(paths[1].read_text())
    files.write_json(paths[1], state | {"architecture": {"embedding": 4, "hidden": [5, 7], "dropout": 0.2}})
    with pytest.raises(UserError, match=r"s\.json: its architecture is not that of .*p\.safetensors"):
        load(paths)


@pytest.mark.parametrize(
    "changes",
    [
        {"vocabulary": 31},
        {"vocabulary": "many"},
        {"vocabulary": -1},
        {"architecture": None},
        {"architecture": []},
        {"architecture": {"hidden": 3}},
        {"architecture": {"embedding": 4, "hidden": [5]}},
        {"architecture": {"embedding": 4, "hidden": [5, 6], "cell": "gru"}},
        {"architecture": {"embedding": 4, "hidden": [5, 6], "cell": "transformer"}},
    ],
)
def test_a_state_that_describes_another_model_is_named(paths, changes):
    files.write_json(paths[1], json.loads(paths[1].read_text()) | changes)
    with pytest.raises(UserError, match=r"s\.json: its architecture is not that of .*p\.safetensors"):
        load(paths)


def test_a_state_without_its_tokens_is_named(paths):
    state = json.loads(paths[1].read_text())
    del state["tokens"]
    files.write_json(paths[1], state)
    with pytest.raises(UserError, match=r"s\.json: no field 'tokens'"):
        load(paths)


def test_a_missing_file_is_named(paths):
    paths[0].unlink()
    with pytest.raises(UserError, match=r"p\.safetensors"):
        load(paths)
