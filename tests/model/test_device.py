"""Devices and threads that are given by hand."""

import platform
import subprocess
import sys
import threading
import time

import pytest
import torch

from natural_sparsity.errors import UserError
from natural_sparsity.model import device
from natural_sparsity.model.device import one_thread, select_device


def test_threads_and_devices_are_checked():
    with pytest.raises(UserError, match="threads: 0"):
        select_device("cpu", 0)
    with pytest.raises(UserError, match="device: 'foo' is unknown"):
        select_device("foo", 1)


def test_a_gpu_without_triton_is_refused(monkeypatch):
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="^device: cuda:0 needs Triton, .*; install it, or use cpu$"):
        device.prepare_cuda(torch.device("cuda:0"))


COUNT_FAULTS = """
import resource, sys, torch
from natural_sparsity.model.device import one_thread, select_device
if "select" in sys.argv:
    select_device("cpu", 1)
values, before = torch.ones(2**18), 0
for step in range(90):
    if step == 30:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [values + i for i in range(8)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.integration
@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="no glibc here")
def test_a_step_uses_the_memory_of_the_one_before():
    """Tensors of 1 MiB, 256 pages; by default, they come page by page again."""
    faults = [
        int(subprocess.run([sys.executable, "-c", COUNT_FAULTS, *words], capture_output=True, check=True).stdout)
        for words in ([], ["select"])
    ]
    assert faults[1] < 1_000 < 4_000 < faults[0]


def test_blocks_of_one_thread_take_turns():
    """Otherwise the second would take 1 for the usual number, and leave it to the process."""
    usual, seen, inside = torch.get_num_threads(), [], threading.Event()
    torch.set_num_threads(2)

    def enter(wait):
        with one_thread() as threads:
            seen.append((threads, torch.get_num_threads()))
            inside.set()
            time.sleep(wait)

    try:
        threads = [threading.Thread(target=enter, args=(seconds,)) for seconds in (0.2, 0)]
        for thread in threads:
            thread.start()
            assert inside.wait(5)
        for thread in threads:
            thread.join()
        assert seen == [(2, 1), (2, 1)]
    finally:
        torch.set_num_threads(usual)
