"""An epoch that is killed goes on where it was, and ends in the same bits; what does not belong to it is not used."""

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model.language_model import Architecture
from natural_sparsity.training import initialise, train
from natural_sparsity.training.settings import Training
from natural_sparsity.training.step import Step

VOCABULARY, STEPS = 50, 60
TRAINING = asdict(Training(batch=4, window=5, learning_rate=2.0))


@pytest.fixture
def epoch(tmp_path):
    """Arguments of the epoch after the untrained checkpoint, and what it writes if nothing disturbs it."""
    tokens = np.random.default_rng(0).zipf(1.3, 4 * (STEPS * 5 - 1)) % VOCABULARY  # the last window is shorter
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint8))
    files.write_array(tmp_path / "dev.npy", tokens[:200].astype(np.uint8))
    files.write_parquet(tmp_path / "vocabulary.parquet", pd.DataFrame({"id": range(VOCABULARY)}))
    common = {"training": TRAINING, "seed": 5, "vocabulary": tmp_path / "vocabulary.parquet"}
    common["architecture"] = asdict(Architecture(8, [7, 9], 0.2))
    start = {"parameters": tmp_path / "0.safetensors", "state": tmp_path / "0.json"}
    initialise.run(Namespace(**common, **start, classes=None))
    common |= {"train": tmp_path / "train.npy", "dev": tmp_path / "dev.npy", "device": "cpu", "threads": 1}
    common |= {"sparsify": {}, "teacher_parameters": None, "teacher_state": None}
    common |= {"from_parameters": start["parameters"], "from_state": start["state"], "save_interval_s": 1000.0}
    common |= {"parameters": [tmp_path / "1.safetensors"], "state": [tmp_path / "1.json"]}
    train.run(Namespace(**common))
    expected = outcome(Namespace(**common))
    for path in common["parameters"] + common["state"]:
        path.unlink()
    return Namespace(**common), expected


def outcome(args):
    """The bytes of the parameters, and the state without what differs from run to run."""
    state = json.loads(args.state[0].read_text())
    return args.parameters[0].read_bytes(), {k: v for k, v in state.items() if k not in ("wall_time_s", "digest")}


def partial(args):
    return args.parameters[0].with_suffix(".partial.safetensors")


def saved_steps(args):
    with safetensors.safe_open(partial(args), "pt") as file:
        return int(file.metadata()["steps"])


def at_step(monkeypatch, number, act):
    """Have ``act`` happen within the step of that number, counted over all steps of the process from now."""
    count, advance = [0], Step.advance

    def spoilt(self, *arguments):
        count[0] += 1
        if count[0] == number:
            act(self)
        advance(self, *arguments)

    monkeypatch.setattr(Step, "advance", spoilt)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [1, 37, STEPS])
def test_a_signal_saves_and_the_rerun_equals_the_undisturbed(epoch, monkeypatch, capsys, step, number):
    args, expected = epoch
    at_step(monkeypatch, step, lambda _: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as stopped:
        train.run(args)
    assert stopped.value.code == 128 + number
    line = f"epoch 1: stopped by {number.name} after step {step} of {STEPS}; run again, it goes on from {partial(args)}"
    assert capsys.readouterr().err.splitlines()[-1] == line
    assert not args.parameters[0].exists()
    assert not args.state[0].exists()
    torch.manual_seed(99)  # another process's random numbers
    train.run(args)
    assert f"epoch 1: goes on after step {step} of {STEPS}, from {partial(args)}\n" in capsys.readouterr().err
    assert outcome(args) == expected
    assert not partial(args).exists()


def test_a_signal_while_the_dev_loss_is_taken(epoch, monkeypatch, capsys):
    args, expected = epoch
    evaluate = train.evaluate

    def interrupted(model, streams, between):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(model, streams, between)

    monkeypatch.setattr(train, "evaluate", interrupted)
    with pytest.raises(SystemExit):
        train.run(args)
    monkeypatch.setattr(train, "evaluate", evaluate)
    at_step(monkeypatch, 1, lambda _: pytest.fail("nothing was left to train"))
    train.run(args)
    assert outcome(args) == expected


def command(args):
    """The real command, saving after every step."""
    line = [sys.executable, "-m", "natural_sparsity", "train", "--train", args.train, "--dev", args.dev]
    line += ["--from-parameters", args.from_parameters, "--from-state", args.from_state]
    line += ["--training", json.dumps(args.training), "--device", "cpu", "--save-interval-s", "0"]
    return [str(part) for part in [*line, "--parameters", args.parameters[0], "--state", args.state[0]]]


def test_killed_again_and_again_it_equals_the_undisturbed(epoch, tmp_path):
    """kill -9 soon after the start, then later and later, wherever the process is: in a step or writing a save."""
    args, expected = epoch
    at, kills = 0, 0
    for more in (1, 13, 20):
        process = subprocess.Popen(command(args), stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while not partial(args).exists() or saved_steps(args) < at + more:
            assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        process.kill()
        heard = process.communicate()[1]
        assert (f"goes on after step {at} of" in heard) == (at > 0), heard
        kills += process.returncode == -signal.SIGKILL
        at = saved_steps(args)
    assert kills == 3
    (tmp_path / f".{partial(args).name}.123.part").write_bytes(b"what a save that was killed has left")
    process = subprocess.run(command(args), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert f"goes on after step {at} of {STEPS}" in process.stderr
    assert outcome(args) == expected
    assert not list(tmp_path.glob("*partial*")) and not list(tmp_path.glob(".*partial*"))


def test_a_signal_to_the_whole_job_as_a_scheduler_sends_it(epoch, tmp_path):
    """The shell that Snakemake runs the command in dies at once; the command saves all the same."""
    args, expected = epoch
    log = tmp_path / "log"
    line = shlex.join(command(args)).replace("--save-interval-s 0", "--save-interval-s 0.01")
    process = subprocess.Popen(["bash", "-c", f"set -euo pipefail; {line} 2> {log}"], start_new_session=True)
    deadline = time.monotonic() + 120
    while not partial(args).exists():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() != 0
    while "stopped by SIGTERM" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    assert f"after step {saved_steps(args)} of {STEPS}; run again" in log.read_text()
    train.run(args)
    assert outcome(args) == expected


def little_space():
    """As on a full disk: a file has room for 4 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_disk_too_full_for_a_save_is_one_line_and_spoils_nothing(interrupted):
    args, expected, content = interrupted
    process = subprocess.run(command(args), capture_output=True, text=True, preexec_fn=little_space)
    assert process.returncode == 1
    assert f"natural-sparsity train: {partial(args)}: cannot be written" in process.stderr.splitlines()[-1]
    assert partial(args).read_bytes() == content
    train.run(args)
    assert outcome(args) == expected


@pytest.fixture
def interrupted(epoch, monkeypatch):
    """An epoch with a save after step 20, the undisturbed outcome, and the save's content."""
    args, expected = epoch
    with monkeypatch.context() as patch:
        at_step(patch, 20, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(SystemExit):
            train.run(args)
    return args, expected, partial(args).read_bytes()


def flip(content, place):
    flipped = bytearray(content)
    flipped[place] ^= 1
    return bytes(flipped)


@pytest.mark.parametrize(
    "spoil",
    [lambda c: flip(c, -3), lambda c: flip(c, len(c) // 2), lambda c: c[:-7], lambda c: c[:5], lambda c: b""],
    ids=["last bits", "middle", "cut", "cut in the header", "empty"],
)
def test_a_damaged_save_is_not_used(interrupted, capsys, spoil):
    args, expected, content = interrupted
    partial(args).write_bytes(spoil(content))
    train.run(args)
    assert f"epoch 1: starts anew, since {partial(args)} is " in capsys.readouterr().err
    assert outcome(args) == expected


def test_a_save_says_nothing_else_than_it_was_given(interrupted, capsys):
    """A number of steps changed in the header, all else as it was."""
    args, expected, content = interrupted
    tensors = load_file(partial(args))
    with safetensors.safe_open(partial(args), "pt") as file:
        metadata = file.metadata()
    assert metadata["steps"] == "20"
    save_file(tensors, partial(args), metadata | {"steps": "21"})
    train.run(args)
    assert f"starts anew, since {partial(args)} is damaged" in capsys.readouterr().err
    assert outcome(args) == expected


@pytest.mark.parametrize("change", ["tokens", "settings", "checkpoint", "code"])
def test_a_save_of_another_epoch_is_not_used(interrupted, monkeypatch, capsys, change):
    args, _, content = interrupted
    partial(args).unlink()
    if change == "tokens":
        tokens = np.load(args.train).copy()
        tokens[7] ^= 1
        files.write_array(args.train, tokens)
    elif change == "settings":
        args.training = args.training | {"clip": 0.26}
    elif change == "checkpoint":
        files.write_json(args.from_state, json.loads(args.from_state.read_text()) | {"learning_rate_out": 1.0})
    else:
        monkeypatch.setattr(train, "code_digest", lambda module: "other")
    train.run(args)
    afresh = outcome(args)
    partial(args).write_bytes(content)
    capsys.readouterr()
    train.run(args)
    reason = "of another checkpoint, other tokens, settings or code"
    assert f"epoch 1: starts anew, since {partial(args)} is {reason}" in capsys.readouterr().err
    assert outcome(args) == afresh
    assert not partial(args).exists()


def test_the_interval_decides_when_a_save_is_written(epoch, monkeypatch):
    """A clock of one second a look, and a save every ten: about one in ten steps, none before."""
    args, expected = epoch
    now, written = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    at_step(monkeypatch, -1, None)
    advance, save = Step.advance, train.Saves.save

    def ticking(self, *arguments):
        now[0] += 1.0
        advance(self, *arguments)

    monkeypatch.setattr(Step, "advance", ticking)
    monkeypatch.setattr(train.Saves, "save", lambda self, step: (written.append(step), save(self, step)))
    args.save_interval_s = 10
    train.run(args)
    assert written == [10, 20, 30, 40, 50, 60]
    assert outcome(args) == expected


def test_nothing_that_is_not_finite_is_saved(epoch, monkeypatch, capsys):
    args, _ = epoch
    args.save_interval_s = 0

    def overflow(step):
        with torch.no_grad():
            step.model.output.bias[3] = torch.inf

    at_step(monkeypatch, 9, overflow)
    with pytest.raises(UserError, match=r"^epoch 1, step 9: model\.output\.bias is not finite any more"):
        train.run(args)
    assert saved_steps(args) == 8
    assert all(tensor.isfinite().all() for tensor in load_file(partial(args)).values())
    assert not args.parameters[0].exists()
    assert args.from_parameters.exists()
    assert args.from_state.exists()
