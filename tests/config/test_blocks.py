"""Blocks that are given to a command by hand are checked as those of the configuration are."""

import argparse
import json

import pytest

from natural_sparsity.cli import main
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.base import read_block
from natural_sparsity.config.probe import Probe
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.config.style import Style
from natural_sparsity.config.training import Training
from natural_sparsity.errors import UserError
from natural_sparsity.registry import DATA, METHODS, load
from natural_sparsity.settings import parse_json_object

ADAM = {"optimizer": "adam", "learning_rate": 0.001, "clip": 1}


@pytest.mark.parametrize(
    ("block", "settings", "line"),
    [
        (Probe, {"batch": 0}, "block.batch: 0 is not an integer from 1 to 100000"),
        (Probe, {"batch": "x"}, "block.batch: 'x' is not an integer from 1 to 100000"),
        (Probe, {"window": 2.5}, "block.window: 2.5 is not an integer from 1 to 100000"),
        (Probe, {"window": True}, "block.window: true is not an integer from 1 to 100000"),
        (Probe, {"dropout": 1}, "block.dropout: 1 is not true or false"),
        (Probe, {"widow": 3}, "block: unknown key 'widow'; did you mean 'window'?"),
        (
            Probe,
            {"x": 3},
            "block: unknown key 'x'; the keys here are weights, measures, epsilon, split, batch, window…",
        ),
        (Probe, {3: 3}, "block: unknown key 3; the keys here are weights, measures, epsilon, split, batch, window…"),
        (Probe, {"matmul_precision": ["high"]}, "block.matmul_precision: ['high'] is not one of highest, high, medium"),
        (Probe, {"measures": "chi"}, "block.measures: 'chi' is not a list with at least one of chi, hoyer, …"),
        (
            Architecture,
            {"hidden": 3},
            "block.hidden: 3 is not a list of at least one integer from 1 to 16384; write hidden: [3]",
        ),
        (Architecture, {"hidden": [3, 0]}, "block.hidden.1: 0 is not an integer from 1 to 16384"),
        (Architecture, {"dropout": 1.0}, "block.dropout: 1.0 is not a number from 0 to below 1"),
        (Architecture, {"dropout": -0.1}, "block.dropout: -0.1 is not a number from 0 to below 1"),
        (Statistics, {"seed": -1}, "block.seed: -1 is not an integer from 0 to 4294967295"),
        (Statistics, {"seed": 0.5}, "block.seed: 0.5 is not an integer from 0 to 4294967295"),
        (Training, {"clip": 10**400}, "block.clip: 1000000000000000000000000…"),
        (Training, {"clip": float("inf")}, "block.clip: inf is not a number above 0 up to 1e+30, or null"),
        (Training, {"milestones": [4, 2]}, "block.milestones: [4, 2] are not in rising order, each once; sort them"),
        (
            Training,
            {**ADAM, "milestones": [4]},
            "block.decay: missing; give what the rate is divided by after the milestones",
        ),
        (Training, {"decay": "x"}, "block.decay: 'x' is not a number above 1 up to 1e+30, or null"),
        (Training, [3], "block: [3] is not a block of keys"),
        (Style, {"width": 0}, "block.width: 0 is not a number from 0.5 to 20, or null"),
    ],
)
def test_refusals(block, settings, line):
    with pytest.raises(UserError) as refusal:
        read_block(block, settings, "block")
    message = str(refusal.value)
    assert message.startswith(line[:-1]) if line.endswith("…") else message == line


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1e-3", "(YAML reads it as text: write 1.0e-3)"),
        ("2E5", "(YAML reads it as text: write 2.0e+5)"),
        ("1.5e3", "(YAML reads it as text: write 1.5e+3)"),
        ("20", "--config gives only text"),
        ("0.5", "--config gives only text"),
        ("fast", "above 0"),
    ],
)
def test_a_number_that_arrives_as_text_gets_a_hint(text, hint):
    with pytest.raises(UserError, match=r"^training\.learning_rate: ") as refusal:
        read_block(Training, {"learning_rate": text}, "training")
    assert hint in str(refusal.value)


def test_the_hint_for_an_integer_is_an_integer():
    line = r"^training\.batch: '1e3' is not an integer from 1 to 100000 \(YAML reads it as text: write 1000\)$"
    with pytest.raises(UserError, match=line):
        read_block(Training, {"batch": "1e3"}, "training")


def test_good_values_are_taken():
    assert read_block(Training, {"learning_rate": 2, "batch": 3}, "") == Training(learning_rate=2, batch=3)
    assert read_block(Architecture, {"hidden": [4], "dropout": 0}, "") == Architecture(hidden=[4], dropout=0)
    assert read_block(Architecture, {"cell": "rnn", "activation": "relu"}, "").activation == "relu"
    assert read_block(Statistics, {"seed": 0, "level": 0.5}, "") == Statistics(seed=0, level=0.5)


def test_the_rate_of_adam_is_constant_unless_a_decay_is_given():
    assert read_block(Training, ADAM, "").decay is None
    assert read_block(Training, {**ADAM, "decay": 2.0}, "").decay == 2
    assert read_block(Training, {"decay": None}, "").decay is None
    assert Training().decay == 4


BLOCKS = [
    (Architecture, {}),
    (Architecture, {"cell": "rnn", "activation": "relu"}),
    (Training, {}),
    (Training, ADAM),
    (Probe, {}),
    (Probe, {"weights": "training", "dropout": True}),
    (Statistics, {}),
    (Style, {"palette": "deep"}),
    (load(DATA["text"].settings).Settings, {"source": {"path": ["a", "b"]}, "unit": "character"}),
    (load(DATA["navigation"].settings).Settings, {"kind": "navigation", "side": 1}),
    (load(METHODS["moduli"].settings).Settings, {"method": "moduli", "of": "a", "ramp": 2, "inhibitor": "diffusion"}),
]


@pytest.mark.parametrize(("block", "settings"), BLOCKS, ids=str)
def test_a_dumped_block_can_be_read_again(block, settings):
    instance = read_block(block, settings, "block")
    assert read_block(block, json.loads(instance.model_dump_json()), "block") == instance


@pytest.mark.parametrize("names", [DATA, METHODS], ids=["data", "methods"])
def test_each_kind_and_method_is_called_as_the_registry_does(names):
    for name, entry in names.items():
        fields = load(entry.settings).Settings.model_fields
        assert name in str(fields["kind" if "kind" in fields else "method"].annotation)


def test_a_command_says_it_in_one_line(tmp_path):
    blocks = ["--architecture", '{"hidden": 3}', "--training", "{}", "--seed", "1", "--block", '{"kind": "addition"}']
    names = ["--data", "adding", "--kind", "addition", "--model", "rnn"]
    with pytest.raises(SystemExit, match=r"^natural-sparsity initialise: architecture\.hidden: 3 is not .*$"):
        main(["initialise", *names, *blocks, "--checkpoint", str(tmp_path / "init")])


@pytest.mark.parametrize(("text", "line"), [("{", "not JSON"), ("[1]", "not a JSON object")])
def test_a_block_on_the_command_line_is_a_json_object(text, line):
    with pytest.raises(argparse.ArgumentTypeError, match=line):
        parse_json_object(text)
