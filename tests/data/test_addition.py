"""The adding problem."""

import pytest
import torch

from chains import Chain
from natural_sparsity.data.base import open_data


def drawn(size=4000, steps=7):
    data = open_data("addition", {"kind": "addition", "steps": steps})
    return data, data.draw(size, torch.Generator().manual_seed(0))


def test_the_target_is_the_sum_of_the_two_marked_numbers():
    _, batch = drawn()
    numbers, marks = batch.inputs.unbind(-1)
    assert bool((marks.sum(0) == 2).all())
    assert set(marks.unique().tolist()) == {0.0, 1.0}
    for i in range(5):
        assert float(batch.targets[i]) == pytest.approx(float(numbers[:, i][marks[:, i] == 1].sum()))
    assert marks.mean(1).tolist() == pytest.approx([2 / 7] * 7, abs=0.03), "every step is marked as often"


def test_to_answer_one_has_an_error_of_a_sixth():
    data, batch = drawn(200_000)
    assert float(data.errors(torch.ones(200_000, 1), batch).mean()) == pytest.approx(1 / 6, abs=2e-3)


@pytest.mark.integration
def test_an_elman_network_learns_it(tmp_path):
    """An error below 0.05 is only reached by who adds: the best constant's is a sixth."""
    chain = Chain(tmp_path, "addition", architecture={"hidden": [48]}, steps=80, learning_rate=0.003)
    chain.initialise()
    chain.train("dense0", "dense1", "dense2", "dense3")
    assert chain.evaluate("dense0")["score"] > 1 / 6
    assert chain.evaluate("dense3")["score"] < 0.05
