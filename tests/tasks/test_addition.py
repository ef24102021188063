"""The adding problem."""

import pytest
import torch

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
