"""The claims on a real run: verdicts do not hang on the bootstrap's seed, and one pretrained checkpoint is judged.

``sample_means.parquet`` holds the default run on the sample, seed 1: a row per word with its count, class and samples,
and mean χ (in units of 1e-5) and ℓ1 of ∇h² (1e-3) of the untrained model and after five epochs; −1 where undefined.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from natural_sparsity.analysis.bootstrap import LEAST_RESAMPLES, Measured, Resamples
from natural_sparsity.analysis.claims import CLAIMS, COURSE
from natural_sparsity.analysis.products import ROLES
from natural_sparsity.analysis.rules import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, UNDECIDED
from natural_sparsity.analysis.tensors import sort_tensors
from natural_sparsity.analysis.values import Run
from natural_sparsity.analysis.verdicts import judge_all

UNITS = {"chi": 1e-5, "l1": 1e-3}


@pytest.fixture(scope="module")
def sample():
    """The words, each epoch's means, and the tensors."""
    table = pd.read_parquet(Path(__file__).with_name("sample_means.parquet"))
    words = table[["count", "pos_class", "matched", "pair"]].assign(id=np.arange(len(table)))
    columns = {tuple(name.split()): name for name in table if name[0].isdigit()}
    tensors = sort_tensors({tensor for _, _, tensor, _ in columns})
    shape = len(ROLES), len(table), len(tensors), len(UNITS)
    means = {int(epoch): np.full(shape, np.nan) for epoch, *_ in columns}
    for (epoch, role, tensor, measure), name in columns.items():
        values = table[name].where(table[name] >= 0) * UNITS[measure]
        means[int(epoch)][ROLES.index(role), :, tensors.index(tensor), list(UNITS).index(measure)] = values
    return words, means, tensors


def judge_sample(sample, seed=1, epochs=None):
    words, means, tensors = sample
    means = {epoch: means[epoch] for epoch in epochs or means}
    measured = Measured(means, tensors, list(UNITS), Resamples(words, LEAST_RESAMPLES, seed))
    return judge_all(Run(measured), 0.95)


@pytest.mark.slow
def test_verdicts_are_the_same_for_nine_seeds_of_the_bootstrap(sample):
    found = [judge_sample(sample, seed).drop_duplicates("claim").set_index("claim") for seed in range(1, 10)]
    assert Counter(found[0]["verdict"]).keys() == {REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_TESTABLE}
    for other in found[1:]:
        for column in ("verdict", "also"):
            assert other[column].to_dict() == found[0][column].to_dict()
    # The intervals are not.
    assert found[1]["low"].dropna().ne(found[0]["low"].dropna()).all()


def test_one_checkpoint_is_judged(sample):
    table = judge_sample(sample, epochs=[8]).drop_duplicates("claim").set_index("claim")
    for claim in CLAIMS:
        assert (table.loc[claim.id, "verdict"] == NOT_TESTABLE) == (claim.kind == COURSE)
    # An independent audit found these correlations; h² lacks what ∇h² has.
    assert table.loc["target words: not h²", "verdict"] == REPRODUCED
    assert table.loc["target words: ∇h² more than h²", "verdict"] == REPRODUCED
    assert table.loc["classes: closed has sparser ∇h²", "verdict"] == REPRODUCED
    words, means, tensors = sample
    chi = means[8][0, 2:, tensors.index("grad_h_2"), 0]
    there = np.isfinite(chi) & (words["count"][2:] > 0)
    rho = np.corrcoef(words["count"][2:][there], chi[there])[0, 1]
    assert table.loc["target words: strongly ∇h²", "value"] == pytest.approx(rho)
