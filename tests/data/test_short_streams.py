"""A split with too few tokens for a batch."""

import numpy as np
import pytest

from natural_sparsity import files
from natural_sparsity.data.streams import Streams
from natural_sparsity.errors import UserError


def test_a_split_too_small_for_a_batch_names_its_file_the_numbers_and_the_keys(tmp_path):
    files.write_array(tmp_path / "dev.npy", np.zeros(79, np.uint8))
    with pytest.raises(UserError) as error:
        Streams(tmp_path / "dev.npy", 40, 35, 10)
    line = str(error.value)
    assert line.startswith(f"{tmp_path}/dev.npy: 79 tokens are too few for a batch of 40, which needs 80")
    assert all(key in line for key in ("batch", "min_count", "split", "max_documents"))
    assert Streams(tmp_path / "dev.npy", 39, 35, 10).length == 2
