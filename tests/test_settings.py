"""Values given by hand to a command are checked like those of the configuration."""

from dataclasses import asdict

import pandas as pd
import pytest

from natural_sparsity import files
from natural_sparsity.analysis.correlate import Statistics
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.model.device import select_device
from natural_sparsity.model.language_model import Architecture
from natural_sparsity.probing.settings import Probe
from natural_sparsity.settings import read_block
from natural_sparsity.training.settings import Training


@pytest.mark.parametrize(
    ("block", "settings", "line"),
    [
        (Probe, {"batch": 0}, "probe.batch: 0 is not a positive integer"),
        (Probe, {"batch": "x"}, "probe.batch: 'x' is not a positive integer"),
        (Probe, {"window": 2.5}, "probe.window: 2.5 is not a positive integer"),
        (Probe, {"window": True}, "probe.window: True is not a positive integer"),
        (Probe, {"dropout": 1}, "probe.dropout: 1 is not true or false"),
        (
            Probe,
            {"widow": 3},
            "probe: unknown key 'widow'; the keys are weights, measures, epsilon, batch, window, dropout, .*",
        ),
        (Probe, {"matmul_precision": "low"}, "probe.matmul_precision: 'low' is not one of highest, high, medium"),
        (Probe, {"measures": "chi"}, "probe.measures: 'chi' is not a list of some of chi.*, each once"),
        (Probe, {"measures": []}, r"probe.measures: \[\] is not a list of some of chi.*, each once"),
        (Probe, {"measures": ["chi", "chi"]}, r"probe.measures: \['chi', 'chi'\] is not a list of .*, each once"),
        (Probe, {"measures": ["ch"]}, r"probe.measures: \['ch'\] is not a list of some of chi.*, each once"),
        (Probe, {"matmul_precision": ["high"]}, r"probe.matmul_precision: \['high'\] is not one of highest.*"),
        (Probe, {"epsilon": 0}, "probe.epsilon: 0 is not a positive number below 1"),
        (Architecture, {"hidden": 3}, "architecture.hidden: 3 is not a list of positive integers"),
        (Architecture, {"hidden": [3, 0]}, r"architecture.hidden: \[3, 0\] is not a list of positive integers"),
        (Architecture, {"hidden": []}, r"architecture.hidden: \[\] is not a list of positive integers"),
        (Architecture, {"dropout": 1.0}, "architecture.dropout: 1.0 is not a number from 0 to below 1"),
        (Architecture, {"dropout": -0.1}, "architecture.dropout: -0.1 is not a number from 0 to below 1"),
        (Architecture, {"hidden": [4, True]}, r"architecture.hidden: \[4, True\] is not a list of positive integers"),
        (Statistics, {"level": 1}, "statistics.level: 1 is not a positive number below 1"),
        (Statistics, {"seed": -1}, "statistics.seed: -1 is not an integer from 0"),
        (Statistics, {"seed": 0.5}, "statistics.seed: 0.5 is not an integer from 0"),
        (Training, {"clip": 10**400}, "training.clip: 10+ is not a positive number"),
        (Training, {"clip": float("inf")}, "training.clip: inf is not a positive number"),
        (Training, {"decay": "x"}, "training.decay: 'x' is not a positive number"),
        (Training, {"learning_rate": float("nan")}, "training.learning_rate: nan is not a positive number"),
    ],
)
def test_refusals(block, settings, line):
    with pytest.raises(UserError, match=f"^{line}$"):
        read_block(block, settings)


def test_good_values_are_taken():
    assert read_block(Training, {"learning_rate": 2, "batch": 3}) == Training(learning_rate=2, batch=3)
    assert read_block(Architecture, {"hidden": [4, 5], "dropout": 0}) == Architecture(hidden=[4, 5], dropout=0)
    assert read_block(Statistics, {"seed": 0, "level": 0.5}) == Statistics(seed=0, level=0.5)


@pytest.mark.parametrize("block", [Probe, Architecture, Training, Statistics])
def test_defaults_are_taken(block):
    assert read_block(block, asdict(block())) == block()


def test_a_command_says_it_in_one_line(tmp_path):
    outputs = ["--parameters", str(tmp_path / "p"), "--state", str(tmp_path / "s")]
    files.write_parquet(tmp_path / "words", pd.DataFrame({"id": [0, 1]}))
    blocks = ["--architecture", '{"hidden": 3}', "--training", "{}", "--seed", "1"]
    with pytest.raises(SystemExit, match=r"^natural-sparsity initialise: architecture\.hidden: 3 is not .*$"):
        main(["initialise", "--vocabulary", str(tmp_path / "words"), *blocks, *outputs])


def test_threads_and_devices():
    with pytest.raises(UserError, match="threads: 0"):
        select_device("cpu", 0)
    with pytest.raises(UserError, match="device: 'foo' is unknown"):
        select_device("foo", 1)
