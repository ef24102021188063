"""SIGTERM to training under Snakemake: it is tried again, and goes on where it was."""

import json
import os
import signal
import threading
import time
from pathlib import Path

from natural_sparsity.cli import main

RUN = Path("results/runs/tiny/small/seed1")
SETTINGS = {"batch": 1, "window": 5, "learning_rate": 0.5}


def training_process(folder):
    """The process that trains in ``folder``, if there is one."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"train" in words and b"python" in words[0] and (process / "cwd").resolve() == folder.resolve():
                return int(process.name)
        except OSError:
            continue  # it has ended, or is another user's
    return None


def test_snakemake_tries_again_and_the_epoch_goes_on(copied, tmp_path):
    folder = copied.folder
    changes = {"models": {"small": {"training": SETTINGS}}, "save_interval_s": 1}
    target, partial = RUN / "epoch1/state.json", folder / RUN / "epoch1/.partial.safetensors"
    ended = []

    def run():
        ended.append(copied.snakemake(str(target), "--retries", "1", changes=changes))

    snakemake = threading.Thread(target=run)
    snakemake.start()
    deadline = time.monotonic() + 300
    while not partial.exists():
        assert snakemake.is_alive() and time.monotonic() < deadline, "the epoch was over before a save; lengthen it"
        time.sleep(0.01)
    os.kill(training_process(folder), signal.SIGTERM)
    snakemake.join()
    assert ended[0].returncode == 0, ended[0].stderr
    assert "It is tried again." in ended[0].stderr
    assert "epoch 1: goes on after step " in (folder / RUN / "logs/train/epoch1.log").read_text()
    assert not partial.exists()
    tokens, init = folder / "results/data/tiny/tokens", folder / RUN / "init"
    inputs = ["--train", tokens / "train.npy", "--dev", tokens / "dev.npy", "--training", json.dumps(SETTINGS)]
    main([str(word) for word in ["train", "--from", init, *inputs, "--device", "cpu", "--checkpoint", tmp_path]])
    undisturbed = (tmp_path / "parameters.safetensors").read_bytes()
    assert (folder / RUN / "epoch1/parameters.safetensors").read_bytes() == undisturbed
