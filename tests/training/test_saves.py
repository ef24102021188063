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

import numpy as np
import pandas as pd
import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

from chains import after_steps, call, send_signal, write_tokens
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.training import initialise, train

pytestmark = pytest.mark.integration

VOCABULARY, STEPS = 50, 60
TRAINING = {"batch": 4, "window": 5, "learning_rate": 2.0}


@pytest.fixture
def epoch(tmp_path):
    """Arguments of the epoch after the untrained checkpoint, and what it writes if nothing disturbs it."""
    tokens = np.random.default_rng(0).zipf(1.3, 4 * (STEPS * 5 - 1)) % VOCABULARY  # the last window is shorter
    files.write_parquet(tmp_path / "vocabulary.parquet", pd.DataFrame({"id": range(VOCABULARY)}))
    write_tokens(tmp_path / "train.npy", tokens.astype(np.uint8))
    write_tokens(tmp_path / "dev.npy", tokens[:200].astype(np.uint8))
    names = {"data": "d", "kind": "text", "model": "m", "seed": 5, "vocabulary": tmp_path / "vocabulary.parquet"}
    architecture = {"embedding": 8, "hidden": [7, 9], "dropout": 0.2}
    call(initialise, **names, architecture=architecture, training=TRAINING, checkpoint=tmp_path / "init")
    args = Namespace(
        start=tmp_path / "init",
        checkpoint=[tmp_path / "epoch1"],
        train=tmp_path / "train.npy",
        dev=tmp_path / "dev.npy",
        training=TRAINING,
        sparsify={},
        teacher=None,
        device="cpu",
        threads=1,
        save_interval_s=1000.0,
        epochs=None,
        expect={},
    )
    train.run(args)
    expected = outcome(args)
    for path in (parameters(args), state(args)):
        path.unlink()
    return args, expected


def parameters(args):
    return args.checkpoint[0] / checkpoint.PARAMETERS


def state(args):
    return args.checkpoint[0] / checkpoint.STATE


def outcome(args):
    """The bytes of the parameters, and the state without what differs from run to run."""
    fields = json.loads(state(args).read_text())
    return parameters(args).read_bytes(), {k: v for k, v in fields.items() if k not in ("wall_time_s", "digest")}


def partial(args):
    return args.checkpoint[0] / ".partial.safetensors"


def saved_steps(args):
    """The steps of the save, read in one go: the next save may take its place at any moment."""
    content = partial(args).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return int(header["__metadata__"]["steps"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [1, 37, STEPS])
def test_a_signal_saves_and_the_rerun_equals_the_undisturbed(epoch, monkeypatch, capsys, step, number):
    args, expected = epoch
    send_signal(monkeypatch, step, number)
    with pytest.raises(SystemExit) as stopped:
        train.run(args)
    assert stopped.value.code == 128 + number
    line = f"epoch 1: stopped by {number.name} after step {step} of {STEPS}; run again to go on from {partial(args)}"
    assert capsys.readouterr().err.splitlines()[-1] == line
    assert list(args.checkpoint[0].iterdir()) == [partial(args)]
    torch.manual_seed(99)  # another process's random numbers
    train.run(args)
    assert f"epoch 1: goes on after step {step} of {STEPS}, from {partial(args)}\n" in capsys.readouterr().err
    assert outcome(args) == expected
    assert not partial(args).exists()


def test_a_signal_while_the_dev_loss_is_taken(epoch, monkeypatch, capsys):
    args, expected = epoch
    evaluate = train.evaluate

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*arguments)

    monkeypatch.setattr(train, "evaluate", interrupted)
    with pytest.raises(SystemExit):
        train.run(args)
    monkeypatch.setattr(train, "evaluate", evaluate)
    after_steps(monkeypatch, lambda *_: pytest.fail("nothing was left to train"))
    train.run(args)
    assert outcome(args) == expected


def command(args):
    """The real command, saving after every step."""
    line = [sys.executable, "-m", "natural_sparsity", "train", "--train", args.train, "--dev", args.dev]
    line += ["--from", args.start, "--training", json.dumps(args.training), "--device", "cpu"]
    return [str(part) for part in [*line, "--save-interval-s", "0", "--checkpoint", *args.checkpoint]]


@pytest.mark.slow
def test_killed_again_and_again_it_equals_the_undisturbed(epoch):
    """kill -9 soon after the start, then later and later, wherever the process is: in a step or writing a save."""
    args, expected = epoch
    at, kills = 0, 0
    for more in (1, 5, 6):  # early enough that a busy machine sees it before the epoch ends
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
    partial(args).with_name(f".{partial(args).name}.123.part").write_bytes(b"what a save that was killed has left")
    process = subprocess.run(command(args), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert f"goes on after step {at} of {STEPS}" in process.stderr
    assert outcome(args) == expected
    assert sorted(args.checkpoint[0].iterdir()) == [parameters(args), state(args)]


@pytest.mark.integration
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


@pytest.mark.integration
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
        send_signal(patch, 20)
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
    assert f"epoch 1: starts over, since {partial(args)} is " in capsys.readouterr().err
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
    assert f"starts over, since {partial(args)} is damaged" in capsys.readouterr().err
    assert outcome(args) == expected


@pytest.mark.parametrize("change", ["tokens", "settings", "checkpoint", "code"])
def test_a_save_of_another_epoch_is_not_used(interrupted, monkeypatch, capsys, change):
    args, _, content = interrupted
    partial(args).unlink()
    if change == "tokens":
        tokens = np.load(args.train).copy()
        tokens[7] ^= 1
        write_tokens(args.train, tokens)
    elif change == "settings":
        args.training = args.training | {"clip": 0.26}
    elif change == "checkpoint":
        before = args.start / checkpoint.STATE
        files.write_json(before, json.loads(before.read_text()) | {"learning_rate_out": 1.0})
    else:
        monkeypatch.setattr(train, "digest_code", lambda module: "other")
    train.run(args)
    afresh = outcome(args)
    partial(args).write_bytes(content)
    capsys.readouterr()
    train.run(args)
    reason = "of another checkpoint, other tokens, settings or code"
    assert f"epoch 1: starts over, since {partial(args)} is {reason}" in capsys.readouterr().err
    assert outcome(args) == afresh
    assert not partial(args).exists()


def test_the_interval_decides_when_a_save_is_written(epoch, monkeypatch):
    """A clock of one second a look, and a save every ten: about one in ten steps, none before."""
    args, expected = epoch
    now, written = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def tick(*_):
        now[0] += 1.0

    after_steps(monkeypatch, tick)
    save = train.Saves.save
    monkeypatch.setattr(train.Saves, "save", lambda self, step: (written.append(step), save(self, step)))
    args.save_interval_s = 10
    train.run(args)
    assert written == [10, 20, 30, 40, 50, 60]
    assert outcome(args) == expected


def test_nothing_that_is_not_finite_is_saved(epoch, monkeypatch, capsys):
    args, _ = epoch
    args.save_interval_s = 0

    def overflow(step, number):
        if number == 9:
            with torch.no_grad():
                step.model.output.bias[3] = torch.inf

    after_steps(monkeypatch, overflow)
    with pytest.raises(UserError, match=r"^epoch 1, step 9: model\.output\.bias is not finite any more"):
        train.run(args)
    assert saved_steps(args) == 8
    assert all(tensor.isfinite().all() for tensor in load_file(partial(args)).values())
    assert not parameters(args).exists()
    assert all((args.start / name).exists() for name in (checkpoint.PARAMETERS, checkpoint.STATE))
