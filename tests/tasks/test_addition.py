"""The adding problem."""

import pytest
import torch
from task_chain import TaskChain

from natural_sparsity.tasks.kinds import task_of


def drawn(size=4000, steps=7):
    task = task_of({"kind": "addition", "steps": steps})
    return task, task.batch(size, torch.Generator().manual_seed(0))


def test_the_target_is_the_sum_of_the_two_marked_numbers():
    _, batch = drawn()
    numbers, marks = batch.inputs.unbind(-1)
    assert bool((marks.sum(0) == 2).all())
    assert set(marks.unique().tolist()) == {0.0, 1.0}
    for i in range(5):
        assert float(batch.targets[i]) == pytest.approx(float(numbers[:, i][marks[:, i] == 1].sum()))
    assert marks.mean(1).tolist() == pytest.approx([2 / 7] * 7, abs=0.03), "every step is marked as often"


def test_to_answer_one_has_an_error_of_a_sixth():
    task, batch = drawn(200_000)
    assert float(task.errors(torch.ones(200_000, 1), batch).mean()) == pytest.approx(1 / 6, abs=2e-3)


def test_an_elman_network_learns_it(tmp_path):
    """An error below 0.05 is only reached by who adds: the best constant's is a sixth."""
    chain = TaskChain(tmp_path, architecture={"hidden": [48]}, steps=80, learning_rate=0.003)
    chain.initialise()
    chain.train("dense0", "dense1", "dense2", "dense3")
    assert chain.evaluate("dense0")["error"] > 1 / 6
    assert chain.evaluate("dense3")["error"] < 0.05
