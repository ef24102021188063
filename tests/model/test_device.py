"""Devices and threads that are given by hand."""

import pytest
import torch

from natural_sparsity.errors import UserError
from natural_sparsity.model import device
from natural_sparsity.model.device import select_device


def test_threads_and_devices_are_checked():
    with pytest.raises(UserError, match="threads: 0"):
        select_device("cpu", 0)
    with pytest.raises(UserError, match="device: 'foo' is unknown"):
        select_device("foo", 1)


def test_a_gpu_without_triton_is_refused(monkeypatch):
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="^device: cuda:0 needs Triton, .*; install it, or use cpu$"):
        device.prepare_cuda(torch.device("cuda:0"))
