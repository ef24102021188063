"""The worked example of docs/own-claim.md: a claim added to a copy of the project, and judged."""

import json

import pytest

from worked_examples import copy_project, follow, read_example, run_python

JUDGE = """
import json

import numpy as np

from natural_sparsity.analysis.claims import CLAIMS
from natural_sparsity.analysis.values import Run
from natural_sparsity.analysis.verdicts import judge_all


class Measured:
    epochs = [0, 1]
    tensors = ["h_e", "h_1", "h_2", "x", "grad_h_e", "grad_h_1", "grad_h_2", "grad_x"]

    def __init__(self, rho):
        self.rho = rho

    def replicate(self, epoch, role, tensor, measure, words, statistic):
        there = epoch and (role, tensor, words, statistic) == ("target", "grad_h_1", "all", "pearson")
        return np.random.default_rng(1).normal(self.rho if there else 0, 0.01, 1001), 500


claims = [claim for claim in CLAIMS if claim.id == "target words: ∇h¹, too"]
rows = []
for rho, control in ((0.4, None), (0.4, 0.4), (0.4, 0.2), (0.1, None), (0.0, None)):
    control = None if control is None else Run(Measured(control))
    table = judge_all(Run(Measured(rho)), 0.95, control, claims=claims)
    rows += table[["verdict", "also", "rule"]].to_numpy().tolist()
print(json.dumps(rows))
"""


@pytest.mark.integration
def test_the_example_of_a_new_claim_is_judged(tmp_path):
    project = copy_project(tmp_path)
    follow(read_example("Add a claim"), project)
    rule = "ρ←(∇h¹) > 0.1 after the last epoch."
    assert json.loads(run_python(JUDGE, project=project, folder=tmp_path)) == [
        ["reproduced", "", rule],
        ["reproduced", "also without language", rule],
        ["reproduced", "", rule],
        ["undecided", "", rule],
        ["not reproduced", "", rule],
    ]
