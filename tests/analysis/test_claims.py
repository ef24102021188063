"""Each claim on tables made by hand: every verdict, from the evidence that it should come from."""

import numpy as np
import pandas as pd
import pytest

from example_claims import DROP, REFUTED, as_in_the_paper, but, make_tables
from natural_sparsity.analysis.claims import (
    CLAIMS,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    Run,
    judge,
    judge_all,
)
from natural_sparsity.errors import UserError

BY_ID = {claim.id: claim for claim in CLAIMS}


def run_of(value=as_in_the_paper, dropped=(DROP,), **options):
    return Run(*make_tables(value, **options), list(dropped))


def test_every_claim_is_tried():
    assert list(REFUTED) == [claim.id for claim in CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_each_verdict(claim):
    verdict, because, evidence = judge(claim, run_of())
    assert (verdict, because) == (REPRODUCED, "") and evidence
    verdict, because, evidence = judge(claim, run_of(REFUTED[claim.id]))
    assert (verdict, because) == (NOT_REPRODUCED, "") and "no" in {item.holds for item in evidence}
    # Intervals that span everything decide nothing.
    verdict, because, _ = judge(claim, run_of(width=5))
    assert verdict == NOT_TESTABLE and ("does not decide" in because or "do not show it" in because)


@pytest.mark.integration
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_no_verdict_from_missing_data(claim, monkeypatch):
    """Whatever row a claim looks at: without it, undefined, or of few words, the claim is not testable."""
    looked_at = []
    original = Run.look_up

    def spy(self, table, key, *arguments):
        looked_at.append((table is self.differences, key))
        return original(self, table, key, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "look_up", spy)
        judge(claim, run_of())
    assert looked_at
    for in_differences, key in looked_at:
        for change, reason in (("drop", "was not measured"), ("low", "is undefined"), ("n", "is over 19 words")):
            run = run_of()
            name = "differences" if in_differences else "correlations"
            table = getattr(run, name)
            if change == "drop":
                setattr(run, name, table.drop(index=[key]))
            else:
                table.loc[[key], change] = np.nan if change == "low" else 19
            verdict, because, evidence = judge(claim, run)
            assert verdict == NOT_TESTABLE and reason in because and not evidence


def test_on_characters_nothing_is_said_of_words_and_classes_are_not_judge_all():
    """Character corpora have no classes: the tables have no row of them."""
    correlations, differences = (table[table["words"] == "all"] for table in make_tables(as_in_the_paper))
    run = Run(correlations, differences, [DROP])
    table = judge_all(run, unit="character")
    of_classes = table["claim"].str.contains("class|matched")
    assert set(table.loc[of_classes, "verdict"]) == {NOT_TESTABLE}
    assert set(table.loc[of_classes, "because"]) == {"a character has no part of speech, hence no class"}
    others = table.loc[~of_classes, ["claim", "statement", "rule", "because"]].to_numpy(str).ravel()
    assert "Frequent input characters have concentrated activations at hᵉ and h¹." in others
    assert not any("word" in text for text in others)
    assert set(table.loc[~of_classes, "verdict"]) == {REPRODUCED}


def test_a_short_run_tells_nothing():
    table = judge_all(run_of(epochs=range(1, 5), dropped=()))
    assert len(table) == len(CLAIMS) and set(table["verdict"]) == {NOT_TESTABLE}
    assert set(table["because"]) == {"the run has 4 epochs; 5 are the least"}


def test_tables_of_several_runs_are_refused():
    correlations, differences = make_tables(as_in_the_paper)
    with pytest.raises(UserError, match="repeats"):
        Run(pd.concat([correlations, correlations]), differences, [])


def test_a_model_of_one_layer_is_judged_at_that_layer_and_has_none_below():
    table = judge_all(run_of(layers=1)).drop_duplicates("claim").set_index("claim")
    below = {"input words: concentrated activations", "input words: hᵉ overtakes h¹"}
    assert set(table.index[table["verdict"] != REPRODUCED]) == below
    assert set(table.loc[list(below), "because"]) == {"the model has one recurrent layer, and none below it"}
    assert "target words: strongly ∇h¹" in table.index
    assert table.loc["target words: strongly ∇h¹", "rule"] == "ρ←(∇h¹) > 0.3 (ours) after the last epoch."
    assert not any("h²" in text for text in judge_all(run_of(layers=1)).to_numpy(str).ravel())


def test_a_model_of_three_layers_is_judged_at_its_top_layer():
    table = judge_all(run_of(layers=3))
    assert set(table["verdict"]) == {REPRODUCED}
    assert "target words: ∇h³ more than h³" in set(table["claim"])
    evidence = table.loc[table["claim"] == "input words: hᵉ overtakes h¹", "evidence"]
    assert evidence.tolist() == ["ρ→(hᵉ) − ρ→(h¹), epoch 1", "ρ→(hᵉ) − ρ→(h¹), epoch 9"]
    gradients = table.loc[table["claim"] == "input words: not the gradients", "evidence"].item()
    assert gradients.endswith("(extreme of 45)")  # five gradients, nine epochs


def test_two_layers_are_called_as_in_the_paper():
    assert list(judge_all(run_of()).drop_duplicates("claim")["claim"]) == [claim.id for claim in CLAIMS]


@pytest.mark.parametrize(
    ("dropped", "reason"), [([], "never dropped"), ([1], "no course before"), ([8, 9], "epoch 8 of 9: too late")]
)
def test_a_trend_from_the_drop_needs_a_drop_with_epochs_on_both_sides(dropped, reason):
    verdict, because, _ = judge(BY_ID["input words: rise from the first drop"], run_of(dropped=dropped))
    assert verdict == NOT_TESTABLE and reason in because


def test_an_effect_that_is_not_there_cannot_stay_after_matching():
    for level, change in (("matched: closed has sparser ∇h²", "mean"), ("matched: closed is ahead early", "pearson")):
        value = but(role="target", tensor="grad_h_2", words="closed", statistic=change, to=0.01)
        verdict, because, _ = judge(BY_ID[level], run_of(value))
        assert verdict == NOT_TESTABLE and because.startswith("the whole classes do not show it")


def test_an_interval_that_rules_an_effect_out_refutes_and_a_wide_one_does_not():
    claim = BY_ID["target words: ∇h² more than h²"]
    value = but(role="target", tensor="h_2", words="all", epoch=9, to=0.55)  # as ∇h²: no difference
    for width, expected in ((0.09, NOT_REPRODUCED), (0.11, NOT_TESTABLE)):
        assert judge(claim, run_of(value, width=width))[0] == expected


def test_the_extreme_is_the_one_that_speaks_most_against():
    value = but(role="input", tensor="grad_h_1", epoch=5, to=-0.07)
    [item] = judge(BY_ID["input words: not the gradients"], run_of(value))[2]
    assert item.what == "ρ→(∇h¹), epoch 5 (extreme of 36)"
    assert (item.value, item.low, item.high, item.n, item.holds) == (-0.07, -0.08, pytest.approx(-0.06), 500, "yes")
