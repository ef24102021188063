"""Devices and threads that are given by hand."""

import pytest

from natural_sparsity.errors import UserError
from natural_sparsity.model.device import select_device


def test_threads_and_devices_are_checked():
    with pytest.raises(UserError, match="threads: 0"):
        select_device("cpu", 0)
    with pytest.raises(UserError, match="device: 'foo' is unknown"):
        select_device("foo", 1)
