"""Configurations and checkpoints from strangers: nothing in them runs, and what does not fit is one line."""

import copy
import json
import re
import struct
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from chains import CPU, language_model
from natural_sparsity import files
from natural_sparsity.config.validation import validate
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def test_nothing_here_can_unpickle_or_evaluate():
    forbidden = r"torch\.load|allow_pickle=True|import (?:c?pickle|dill|joblib|shelve|marshal)|yaml\.load\b"
    forbidden += r"|(?<![.\w])(?:eval|exec)\("
    paths = [
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("benchmarks/*.py"),
        *ROOT.glob("docs/*.py"),
        *ROOT.glob("workflow/**/*.smk"),
    ]
    assert len(paths) > 80
    assert {path.name: found for path in paths if (found := re.findall(forbidden, path.read_text()))} == {}


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def places(value, at=()):
    """The path to each value of a configuration."""
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*at, key))


@pytest.mark.slow
@pytest.mark.integration
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([at for at in places(CONFIG) if at]), anything)
def test_any_value_anywhere_is_valid_or_one_line(at, value):
    config = copy.deepcopy(CONFIG)
    block = config
    for key in at[:-1]:
        block = block[key]
    block[at[-1]] = value
    try:
        validate(config)
    except UserError as error:
        assert str(error) and "\n" not in str(error)


@pytest.fixture
def stranger(tmp_path):
    """A whole checkpoint; ``forge`` writes other tensors or another state with digests that fit."""
    parameters, state = tmp_path / checkpoint.PARAMETERS, tmp_path / checkpoint.STATE
    model = language_model(5, embedding=2, hidden=[2, 2], dropout=0.0)
    checkpoint.save(tmp_path, model, dict.fromkeys(checkpoint.FIELDS, 1))

    def forge(tensors=None, raw=None, **changes):
        if tensors is not None:
            save_file(tensors, parameters)
        if raw is not None:
            parameters.write_bytes(raw)
        files.write_json(
            state, json.loads(state.read_text()) | {"parameters": files.compute_digest(parameters).hex()} | changes
        )
        return lambda: checkpoint.load(tmp_path, CPU)

    return forge, load_file(parameters)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t | {"output.weight": torch.zeros(7, 2)},
        lambda t: t | {"stranger": torch.zeros(3)},
        lambda t: {name: tensor for name, tensor in t.items() if name != "output.bias"},
        lambda t: {},
        lambda t: t | {"output.bias": torch.zeros(5, dtype=torch.int64)},
        lambda t: t | {"output.bias": torch.zeros(5, dtype=torch.float64)},
        lambda t: t | {"output.bias": torch.full((5,), torch.nan)},
        lambda t: t | {"output.bias": torch.full((5,), torch.inf)},
    ],
    ids=["shape", "more", "less", "none", "integers", "double", "nan", "inf"],
)
def test_tensors_that_are_not_the_models(stranger, change):
    forge, tensors = stranger
    with pytest.raises(UserError, match=r"(parameters\.safetensors|state\.json)") as error:
        forge(change(tensors))()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"interface": {"outputs": 5, "vocabulary": 10**12}},
        {"interface": {"outputs": 10**12, "vocabulary": 5}},
        {"interface": {"outputs": 5, "vocabulary": -1}},
        {"interface": {"outputs": 5, "vocabulary": "5"}},
        {"interface": {"outputs": 5, "vocabulary": 1e400}},
        {"interface": {"outputs": 5, "vocabulary": True}},
        {"interface": {"outputs": 5, "vocabulary": None, "inputs": 10**12}},
        {"interface": {"outputs": 5, "vocabulary": 5, "start": 10**12}},
        {"interface": {"vocabulary": 5}},
        {"interface": [5, 5]},
        {"interface": "text"},
        {"architecture": {"embedding": 10**9, "hidden": [10**9, 10**9]}},
        {"architecture": {"embedding": 2, "hidden": [2, 2], "cell": "os.system"}},
        {"architecture": {"embedding": 2, "hidden": [2, 2], "surprise": 1}},
        {"architecture": [1]},
        {"architecture": None},
    ],
)
def test_states_that_are_not_the_models(stranger, changes):
    forge, _ = stranger
    with pytest.raises(UserError, match=r"state\.json: its architecture is not that of .*parameters\.safetensors"):
        forge(**changes)()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 20) + b"{" * 20,
        struct.pack("<Q", 90)
        + b'{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4611686018427387904]}}',
        b"\x80\x04\x95pickle",
        b"PK\x03\x04" + bytes(200),
    ],
    ids=["empty", "endless header", "no json", "endless tensor", "pickle", "zip"],
)
def test_files_that_are_no_safetensors(stranger, raw):
    forge, _ = stranger
    with pytest.raises(UserError, match=r"parameters\.safetensors: not a readable checkpoint") as error:
        forge(raw=raw)()
    assert "\n" not in str(error.value)
