"""The commands that tests run in place of the real ones say, return and die as these do."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from preloaded import start_server

REAL = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(start_server() is None, reason="tests run the real commands here")


def call(commands, folder, *words):
    """What a command returns and says in ``folder``."""
    done = subprocess.run([commands / words[0], *words[1:]], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["natural-sparsity", "check", "there.yaml"],
        ["natural-sparsity", "check", "not-there.yaml"],
        ["natural-sparsity", "draw"],
        ["snakemake", "--version"],
    ],
)
def test_it_says_and_returns_what_the_real_one_does(tmp_path, words):
    (tmp_path / "there.yaml").write_text("data: {mine: {source: {path: text.txt}}}\n")
    assert call(start_server(), tmp_path, *words) == call(REAL, tmp_path, *words)


def find_jobs(folder):
    """The processes that run in ``folder``."""
    return [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(folder)]


def wait_for_jobs(folder, n):
    """Wait until ``n`` processes run in ``folder``."""
    end = time.monotonic() + 60
    while len(find_jobs(folder)) != n:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_client_ends_the_command(tmp_path, number):
    """It reads a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "pipe")
    client = subprocess.Popen([start_server() / "natural-sparsity", "--arguments", "pipe"], cwd=tmp_path)
    wait_for_jobs(tmp_path, 2)
    client.send_signal(number)
    assert client.wait(timeout=60) == -number
    wait_for_jobs(tmp_path, 0)


def test_a_client_that_dies_with_its_command_leaves_the_server_running(tmp_path):
    """The server, stopped meanwhile, hears of both at once, and of the command first."""
    os.mkfifo(tmp_path / "pipe")
    client = subprocess.Popen([start_server() / "natural-sparsity", "--arguments", "pipe"], cwd=tmp_path)
    wait_for_jobs(tmp_path, 2)
    [command] = [found for found in find_jobs(tmp_path) if found.pid != client.pid]
    server = command.parent()
    server.suspend()
    try:
        command.kill()
        while command.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        client.kill()
        assert client.wait(timeout=60) == -signal.SIGKILL
    finally:
        server.resume()
    wait_for_jobs(tmp_path, 0)
    assert call(start_server(), tmp_path, "snakemake", "--version")[0] == 0


def test_a_client_that_dies_before_it_asks_leaves_the_server_running(tmp_path):
    for said in (b"", b"\0" * 7 + b"\x09", b"\0" * 7 + b"\x09[1"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(start_server() / "socket"))
            client.sendall(said)
    assert call(start_server(), tmp_path, "snakemake", "--version")[0] == 0
