"""The claims on a real run: verdicts do not hang on the bootstrap's seed, and one pretrained checkpoint is judged.

``sample_means.py``, in the folder above, says what the run is.
"""

import numpy as np
import pytest

from natural_sparsity.analysis.bootstrap import LEAST_RESAMPLES, Measured
from natural_sparsity.analysis.claims import CLAIMS, COURSE, STATE
from natural_sparsity.analysis.products import ROLES
from natural_sparsity.analysis.rules import (
    ALSO_SHUFFLED,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED,
    UNDECIDED_SHUFFLED,
)
from natural_sparsity.analysis.values import Run
from natural_sparsity.analysis.verdicts import judge_all
from sample_means import REAL, SHUFFLED, unpack


def judge_sample(seed):
    """A row for each claim, with its verdict, of the run and its control."""
    measured, dropped = unpack(LEAST_RESAMPLES, seed)
    run, control = (Run(measured[text], dropped) for text in (REAL, SHUFFLED))
    return first_rows(judge_all(run, 0.95, control))


def first_rows(table):
    return table.drop_duplicates("claim").set_index("claim")


@pytest.mark.slow
def test_verdicts_are_the_same_for_nine_seeds_of_the_bootstrap():
    found = [judge_sample(seed) for seed in range(1, 10)]
    # Of a state or of a course, some claims are reproduced and some are not, and the run has what all of them need.
    for kind in (STATE, COURSE):
        assert set(found[0].loc[found[0]["kind"] == kind, "verdict"]) == {REPRODUCED, NOT_REPRODUCED, UNDECIDED}
    # Of the effects, some are there on shuffled text, some are not, and of some it is open.
    also = set(found[0].loc[found[0]["verdict"] == REPRODUCED, "also"])
    assert also == {"", ALSO_SHUFFLED, UNDECIDED_SHUFFLED}
    for other in found[1:]:
        for column in ("verdict", "also"):
            assert other[column].to_dict() == found[0][column].to_dict()
    # The intervals are not.
    assert found[1]["low"].dropna().ne(found[0]["low"].dropna()).all()


def test_one_checkpoint_is_judged():
    whole = unpack(LEAST_RESAMPLES, 1)[0][REAL]
    table = first_rows(
        judge_all(Run(Measured({8: whole.means[8]}, whole.tensors, whole.measures, whole.resamples)), 0.95)
    )
    for claim in CLAIMS:
        assert (table.loc[claim.id, "verdict"] == NOT_TESTABLE) == (claim.kind == COURSE)
    # h² lacks what ∇h² has.
    assert table.loc["target words: ∇h² more than h²", "verdict"] == REPRODUCED
    assert table.loc["classes: closed has sparser ∇h²", "verdict"] == REPRODUCED
    chi = whole.means[8][ROLES.index("target"), 2:, whole.tensors.index("grad_h_2"), 0]
    rho = np.corrcoef(whole.resamples.counts[2:], chi)[0, 1]
    assert table.loc["target words: strongly ∇h²", "value"] == pytest.approx(rho)
