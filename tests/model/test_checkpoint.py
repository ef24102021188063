"""A checkpoint is whole and its two files belong together, or it is refused by name."""

import json
import subprocess
import sys

import pytest
import torch
import xxhash

from chains import CPU, language_model
from natural_sparsity import files
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.model.recurrent import Interface, RecurrentModel

STATE = dict.fromkeys(checkpoint.FIELDS, 0)


@pytest.fixture
def saved(tmp_path):
    """The folder of a checkpoint, its two files and the model."""
    torch.manual_seed(0)
    model = language_model(30, embedding=4, hidden=[5, 6])
    folder = tmp_path / "epoch1"
    checkpoint.save(folder, model, STATE)
    return folder, folder / checkpoint.PARAMETERS, folder / checkpoint.STATE, model


def load(saved):
    return checkpoint.load(saved[0], CPU)


def test_what_is_loaded_is_what_was_saved(saved):
    model, state = load(saved)
    assert Architecture(**state["architecture"]) == Architecture(embedding=4, hidden=[5, 6], dropout=0.2)
    assert state["interface"] == {"outputs": 30, "vocabulary": 30, "inputs": 0, "start": 0}
    for name, value in saved[3].state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


@pytest.mark.integration
@pytest.mark.parametrize("shared", [False, True], ids=["a row per word", "shared rows"])
def test_loading_does_not_wait_for_torchs_compiler(tmp_path, shared):
    """Importing it takes longer than reading a checkpoint of a million parameters."""
    model = language_model(30, embedding=4, hidden=[5])
    if shared:
        model.share_rows(3)
    checkpoint.save(tmp_path / "epoch1", model, STATE)
    code = "import sys, torch; from pathlib import Path; from natural_sparsity.model import checkpoint;"
    code += f" checkpoint.load(Path({str(tmp_path / 'epoch1')!r}), torch.device('cpu'));"
    code += " print({'torch._dynamo', 'sympy'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout == "set()\n", process.stderr


def test_a_checkpoint_is_a_folder_of_two_files_with_a_format_and_a_digest_of_its_own(saved):
    folder, parameters, state, model = saved
    assert sorted(path.name for path in folder.iterdir()) == ["parameters.safetensors", "state.json"]
    stored = json.loads(state.read_text())
    assert next(iter(stored)) == "format"
    assert stored["format"] == 3
    assert stored["parameters"] == xxhash.xxh3_128_hexdigest(parameters.read_bytes()) == checkpoint.digest(model)
    assert checkpoint.read_state(folder) == stored


def test_tensors_of_the_method_and_of_the_optimizer_are_kept_apart(saved):
    folder, _, _, model = saved
    masks, moments = {"output.weight": torch.ones(30, 6).bool()}, {"step": torch.tensor(3.0)}
    checkpoint.save(folder, model, STATE, masks, moments)
    for prefix, expected in ((checkpoint.METHOD, masks), (checkpoint.OPTIMIZER, moments)):
        [(name, tensor)] = checkpoint.load_tensors(folder, CPU, prefix).items()
        assert torch.equal(tensor, expected[name])
    assert dict(load(saved)[0].named_parameters()).keys() == dict(model.named_parameters()).keys()
    assert checkpoint.digest(model, masks, moments) == files.compute_digest(folder / checkpoint.PARAMETERS).hex()
    assert checkpoint.digest(model) != checkpoint.digest(model, masks)


INTERFACES = {
    "words": Interface(outputs=30, vocabulary=30),
    "classes": Interface(outputs=3, vocabulary=30),
    "vectors": Interface(outputs=1, inputs=2),
    "a start": Interface(outputs=16, inputs=2, start=16),
}


@pytest.mark.parametrize("hidden", [[5], [5, 6], [5, 6, 3]], ids=["one layer", "two", "three"])
@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_every_cell_interface_and_number_of_layers_is_saved(tmp_path, cell, interface, hidden):
    torch.manual_seed(0)
    activation = {"activation": "relu"} if cell == "rnn" else {}
    model = RecurrentModel(interface, Architecture(embedding=4, hidden=hidden, cell=cell, **activation)).eval()
    checkpoint.save(tmp_path, model, STATE)
    loaded = checkpoint.load(tmp_path, CPU)[0].eval()
    assert (loaded.architecture, loaded.interface) == (model.architecture, model.interface)
    inputs = torch.randint(30, (7, 2)) if interface.vocabulary else torch.randn(7, 2, interface.inputs)
    begin = torch.randn(2, interface.start) if interface.start else None
    before, after = (each(inputs, each.initial_state(2, begin))[1] for each in (model, loaded))
    assert torch.equal(before, after)


def test_views_into_the_output_layers_matrix_are_saved_as_tensors_of_their_own(saved):
    folder, _, _, model = saved
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    OutputLayer(model.output)
    checkpoint.save(folder, model, STATE)
    for name, value in load(saved)[0].state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_flipped_bit_is_noticed(saved):
    content = bytearray(saved[1].read_bytes())
    content[-5] ^= 1
    saved[1].write_bytes(content)
    with pytest.raises(
        UserError, match=r"parameters\.safetensors: not the parameters that .*state\.json was written with"
    ):
        load(saved)


@pytest.mark.integration
def test_a_flipped_bit_in_any_byte_of_the_state_is_named(saved):
    """But for the layout: a space that becomes a tab changes nothing that is said."""
    folder, _, path, _ = saved
    content, stored = path.read_bytes(), json.loads(path.read_text())
    refused = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            state = checkpoint.read_state(folder)
        except UserError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
        else:
            assert state == stored
    assert refused > 0.8 * len(content)


def test_a_value_changed_by_hand_is_named(saved):
    saved[2].write_text(saved[2].read_text().replace('"best_dev_loss": 0', '"best_dev_loss": 9'))
    with pytest.raises(UserError, match=r"state\.json: changed since it was written \(its digest does not match\)"):
        load(saved)


def test_another_runs_state_is_noticed(saved):
    state = json.loads(saved[2].read_text())
    files.write_json(saved[2], state | {"architecture": {"embedding": 4, "hidden": [5, 7], "dropout": 0.2}})
    with pytest.raises(UserError, match=r"state\.json: its architecture is not that of .*parameters\.safetensors"):
        load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"interface": {"outputs": 31, "vocabulary": 31}},
        {"interface": {"outputs": 30, "vocabulary": 31}},
        {"interface": {"outputs": 30, "vocabulary": "many"}},
        {"interface": {"outputs": 30, "vocabulary": -1}},
        {"interface": {"outputs": 30, "inputs": 4}},
        {"interface": {"outputs": 30, "vocabulary": 30, "start": 3}},
        {"interface": {"outputs": 30, "vocabulary": 30, "surprise": 3}},
        {"interface": None},
        {"architecture": None},
        {"architecture": []},
        {"architecture": {"hidden": 3}},
        {"architecture": {"embedding": 4, "hidden": [5]}},
        {"architecture": {"embedding": 4, "hidden": []}},
        {"architecture": {"embedding": 4, "hidden": [5, 6], "cell": "gru"}},
        {"architecture": {"embedding": 4, "hidden": [5, 6], "cell": "transformer"}},
    ],
)
def test_a_state_that_describes_another_model_is_named(saved, changes):
    files.write_json(saved[2], json.loads(saved[2].read_text()) | changes)
    with pytest.raises(UserError, match=r"state\.json: its architecture is not that of .*parameters\.safetensors"):
        load(saved)


@pytest.mark.parametrize("field", ["examples", "interface", "data", "kind"])
def test_a_state_without_one_of_its_fields_is_named(saved, field):
    state = json.loads(saved[2].read_text())
    del state[field]
    files.write_json(saved[2], state)
    with pytest.raises(UserError, match=rf"state\.json: no field '{field}'"):
        load(saved)


def test_a_missing_file_is_named(saved):
    saved[1].unlink()
    with pytest.raises(UserError, match=r"parameters\.safetensors"):
        load(saved)


def test_a_checkpoint_of_version_0_1_is_refused_with_what_to_do(saved):
    """As that version wrote one: without a format, with the fields that it had."""
    old = {"epoch": 1, "vocabulary": 30, "tokens": 4, "sha256": 64 * "0"}
    saved[2].write_text(json.dumps(old | {"digest": files.digest_content(old)}))
    with pytest.raises(UserError) as error:
        load(saved)
    assert str(error.value).startswith(f"{saved[2]}: written by version 0.1 of natural-sparsity")
    assert "delete results/ or " in str(error.value)
    assert "\n" not in str(error.value)
