"""Each claim on measurements made by hand: every verdict, from the evidence that it should come from."""

import numpy as np
import pytest

from example_claims import DROP, LEVEL, REFUTED, Made, as_in_the_paper, but, but_gradient, make_claims, make_run
from natural_sparsity.analysis.claims import CLAIMS, COURSE, STATE, TEXT
from natural_sparsity.analysis.rules import (
    ALSO_SHUFFLED,
    ALSO_UNTRAINED,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED,
    UNDECIDED_SHUFFLED,
)
from natural_sparsity.analysis.values import Run
from natural_sparsity.analysis.verdicts import judge_all, judge_claim

BY_ID = {claim.id: claim for claim in CLAIMS}
# Claims that something is absent, or about the text alone: no effect of the model.
NO_EFFECTS = {
    "text: frequent words are function words",
    "input words: not the gradients",
    "target words: not h²",
    "target words: not the ℓ1 norm",
}
EFFECTS = [claim.id for claim in CLAIMS if claim.id not in NO_EFFECTS]


def verdict_on(name, **options):
    return judge_claim(BY_ID[name], make_run(**options), LEVEL).verdict


def verdicts(table, column="verdict"):
    return table.drop_duplicates("claim").set_index("claim")[column]


def null(*_):
    """A model that shows nothing."""
    return 0.0


def test_every_claim_is_tried():
    assert list(REFUTED) == [claim.id for claim in CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_each_verdict(claim):
    judgement = judge_claim(claim, make_run(), LEVEL)
    assert (judgement.verdict, judgement.because) == (REPRODUCED, "") and judgement.evidence
    judgement = judge_claim(claim, make_run(**REFUTED[claim.id]), LEVEL)
    assert (judgement.verdict, judgement.because) == (NOT_REPRODUCED, "")
    assert "no" in {item.holds for item in judgement.evidence}
    # Intervals that span everything decide nothing.
    judgement = judge_claim(claim, make_run(width=5), LEVEL)
    assert judgement.verdict == UNDECIDED and judgement.because


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_about_a_state_needs_one_checkpoint_and_one_about_a_course_five(claim):
    verdict = judge_claim(claim, make_run(epochs=[9], dropped=[]), LEVEL).verdict
    assert verdict == (NOT_TESTABLE if claim.kind == COURSE else REPRODUCED)
    course = judge_claim(claim, make_run(epochs=[0, 1, 2, 3, 9], dropped=[]), LEVEL)
    if claim.kind == COURSE:
        assert course.because == "a course of training needs 5 epochs; the run has 4 trained epochs"


@pytest.mark.parametrize(
    ("epochs", "missing"), [([0, 1, 2, 3, 4, 5, 9], 6), ([1, 2, 3, 5, 6, 7], 4), (range(0, 12, 2), 1)]
)
def test_a_course_with_an_epoch_missing_has_no_first_third_or_middle(epochs, missing):
    found = make_claims(epochs=epochs).drop_duplicates("claim").set_index("claim")
    for claim in CLAIMS:
        because = found.loc[claim.id, "because"]
        assert (because == f"a course of training needs every epoch; epoch {missing} was not probed") == (
            claim.kind == COURSE
        )


def test_a_rewound_model_begins_after_its_dense_models_epoch():
    found = make_claims(epochs=range(3, 10)).drop_duplicates("claim").set_index("claim")
    assert found.loc["target words: ∇h² increasingly", "verdict"] == REPRODUCED


def test_the_claims_that_need_no_course():
    assert {claim.id for claim in CLAIMS if claim.kind == STATE} == {
        "input words: concentrated activations",
        "input words: not the gradients",
        "target words: dispersed activations",
        "target words: not h²",
        "target words: strongly ∇h²",
        "target words: strongly only ∇h²",
        "target words: ∇h² more than h²",
        "target words: not ∇x",
        "target words: not the ℓ1 norm",
        "target words: more so over frequent words",
        "classes: closed has sparser ∇h²",
        "matched: closed has sparser ∇h²",
        "paired: closed has sparser ∇h²",
    }


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_no_verdict_from_missing_data(claim):
    """Whatever value a claim looks at: without it, undefined, or of few words, the claim is not testable."""

    class Broken(Made):
        def __init__(self, broken=None, fault=None):
            super().__init__()
            self.asked, self.broken, self.fault = [], broken, fault

        def spoil(self, key, replicates, n):
            self.asked.append(key)
            if key != self.broken:
                return replicates, n
            if self.fault == "was not measured":
                raise KeyError(key)
            return (replicates, 19) if self.fault == "rests on 19 words" else (replicates * np.nan, n)

        def replicate(self, *key):
            return self.spoil(key, *super().replicate(*key))

        def replicate_class(self):
            return self.spoil("class", *super().replicate_class())

    whole = Broken()
    judge_claim(claim, Run(whole, [DROP]), LEVEL)
    assert whole.asked
    for key in set(whole.asked):
        for fault in ("was not measured", "is undefined", "rests on 19 words"):
            if (key, fault) == ("class", "was not measured"):
                continue  # the text is always there
            judgement = judge_claim(claim, Run(Broken(key, fault), [DROP]), LEVEL)
            assert judgement.verdict == NOT_TESTABLE and fault in judgement.because and not judgement.evidence


# The cases that the rules once got wrong.


def test_closed_words_that_are_concentrated_from_the_start_are_the_papers_case():
    name = "classes: closed strong early, then steady"
    assert verdict_on(name, value=but_gradient("closed", 0.6)) == REPRODUCED
    assert verdict_on(name, value=but_gradient("closed", 0.2)) == NOT_REPRODUCED
    # As in the sample: .60 against −.09 after the first epoch.
    pattern = but_gradient("open", lambda epoch: -0.09 + 0.06 * (epoch - 1))
    for name in ("closed is ahead early", "trends differ"):
        assert verdict_on(f"classes: {name}", value=pattern) == REPRODUCED


def test_a_gradient_less_negative_than_the_activation_is_no_positive_correlation():
    def value(*key):
        other = {"grad_h_2": -0.2, "h_2": -0.5} if key[1] == "target" and key[5] == "pearson" else {}
        return other.get(key[2], as_in_the_paper(*key))

    assert verdict_on("target words: ∇h² more than h²", value=value) == NOT_REPRODUCED


@pytest.mark.parametrize("sample", ["", "_matched", "_paired"])
def test_a_class_that_is_only_less_negative_is_not_ahead_and_one_that_only_falls_less_does_not_rise(sample):
    """Of each pair of a claim's values, the second is far enough above the other, but is no effect itself."""
    group = {"": "classes", "_matched": "matched", "_paired": "paired"}[sample]

    def but_classes(closed, opened):
        def value(epoch, *key):
            if epoch and key[0] == "target" and key[1] == "grad_h_2" and key[4] == "pearson":
                return {f"closed{sample}": closed, f"open{sample}": opened}.get(key[3], lambda e: base(e, *key))(epoch)
            return base(epoch, *key)

        base = as_in_the_paper
        return value

    ahead, differ = f"{group}: closed is ahead early", f"{group}: trends differ"
    assert verdict_on(ahead, value=but_classes(lambda e: -0.5, lambda e: -0.9)) == NOT_REPRODUCED
    assert verdict_on(ahead, value=but_classes(lambda e: 0.5, lambda e: 0.1)) == REPRODUCED
    falling = but_classes(lambda e: 0.6 - 0.1 * e, lambda e: 0.5 - 0.02 * e)
    assert verdict_on(differ, value=falling) == NOT_REPRODUCED
    assert verdict_on(differ, value=but_classes(lambda e: 0.6 - 0.1 * e, lambda e: 0.02 * e)) == REPRODUCED


def test_a_correlation_of_nothing_overtakes_none():
    def value(epoch, role, tensor, *key):
        if epoch and role == "input" and tensor in ("h_e", "h_1"):
            return 0.0 if tensor == "h_e" else 0.4 - 0.6 * (epoch - 1) / 8
        return as_in_the_paper(epoch, role, tensor, *key)

    judgement = judge_claim(BY_ID["input words: hᵉ overtakes h¹ late"], make_run(value=value), LEVEL)
    assert judgement.verdict == NOT_REPRODUCED
    assert [item.holds for item in judgement.evidence] == ["yes", "yes", "no"]


def test_strong_means_positive():
    """As on shuffled text, whose ρ←(∇x) is −.5."""
    value = but(role="target", tensor="grad_x", epoch=9, to=-0.6)
    for name in ("strongly only ∇h²", "strong and increasing only ∇h²", "not ∇x"):
        assert verdict_on(f"target words: {name}", value=value) == REPRODUCED
        assert "strong means positive" in BY_ID[f"target words: {name}"].rule


@pytest.mark.parametrize(
    ("gradient", "logits", "expected"),
    [
        (0.70, 0.15, REPRODUCED),
        (0.70, 0.68, NOT_REPRODUCED),
        (0.05, 0.00, NOT_TESTABLE),
        (0.30, 0.00, UNDECIDED),
        (0.60, 0.30, UNDECIDED),
    ],
)
def test_the_logits_lack_the_strong_correlation(gradient, logits, expected):
    def value(*key):
        there = key[1] == "target" and key[5] == "pearson" and key[3] == "chi"
        return {"grad_h_2": gradient, "grad_x": logits}.get(key[2], 0.0) if there else as_in_the_paper(*key)

    judgement = judge_claim(BY_ID["target words: not ∇x"], make_run(value=value), LEVEL)
    assert judgement.verdict == expected
    if expected == NOT_TESTABLE:
        assert judgement.because.startswith("the run does not show what the claim rests on: ρ←(∇h²), epoch 9 = 0.050 [")


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        (lambda epoch: -0.2 if epoch < 7 else 0.2, REPRODUCED),
        (lambda epoch: -0.2 if epoch < 2 else 0.2, NOT_REPRODUCED),  # overtaken after epoch 1: not late
        (lambda epoch: -0.2, NOT_REPRODUCED),
        (lambda epoch: 0.2, NOT_REPRODUCED),
        (lambda epoch: -0.05 if epoch < 7 else 0.2, UNDECIDED),
    ],
)
def test_overtaking_is_late_if_it_comes_in_the_second_half(lead, expected):
    value = but(
        role="input",
        tensor="h_e",
        to=lambda epoch: as_in_the_paper(epoch, "input", "h_1", "chi", "all", "pearson") + lead(epoch),
    )
    assert verdict_on("input words: hᵉ overtakes h¹ late", value=value) == expected


@pytest.mark.parametrize("tensor", ["h_e", "h_1"])
def test_the_rise_from_the_first_drop_is_that_of_both(tensor):
    flat = but(role="input", tensor=tensor, to=0.3)
    assert verdict_on("input words: rise from the first drop", value=flat) == NOT_REPRODUCED
    before = but(role="input", tensor=tensor, to=lambda epoch: 0.05 * epoch)
    assert verdict_on("input words: rise from the first drop", value=before) == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("dropped", "reason"), [([], "never dropped"), ([1], "no trend before"), ([8, 9], "epoch 8 of 9: too late")]
)
def test_a_trend_from_the_drop_needs_a_drop_with_epochs_on_both_sides(dropped, reason):
    judgement = judge_claim(BY_ID["input words: rise from the first drop"], make_run(dropped=dropped), LEVEL)
    assert judgement.verdict == NOT_TESTABLE and reason in judgement.because


def test_no_other_tensor_is_both_strong_and_rising_but_one_may_be_either():
    name = "target words: strong and increasing only ∇h²"
    assert verdict_on(name, value=but(role="target", tensor="x", to=0.5)) == REPRODUCED
    assert verdict_on(name, value=but(role="target", tensor="x", to=lambda epoch: -0.3 + 0.05 * epoch)) == REPRODUCED
    assert verdict_on(name, value=but(role="target", tensor="x", to=lambda epoch: 0.3 * (epoch > 1))) == UNDECIDED


def test_some_activation_must_be_dispersed_and_none_concentrated():
    name = "target words: dispersed activations"

    def only(tensor, to):
        def value(*key):
            there = key[1] == "target" and not key[2].startswith("grad") and key[5] == "pearson"
            return (to if key[2] == tensor else 0.0) if there else as_in_the_paper(*key)

        return value

    assert verdict_on(name, value=only("h_2", -0.2)) == REPRODUCED
    assert verdict_on(name, value=only("h_2", -0.05)) == NOT_REPRODUCED
    assert verdict_on(name, value=only("h_2", -0.1)) == UNDECIDED
    assert verdict_on(name, value=only("x", 0.2)) == NOT_REPRODUCED


def test_h1_may_not_fall_later_nor_rise_faster():
    name = "input words: h¹ quickly, then slowly"
    assert (
        verdict_on(name, value=but(role="input", tensor="h_1", to=lambda epoch: 0.5 - 0.02 * epoch)) == NOT_REPRODUCED
    )
    assert verdict_on(name, value=but(role="input", tensor="h_1", to=lambda epoch: 0.05 + 0.08 * epoch)) == UNDECIDED
    judgement = judge_claim(BY_ID[name], make_run(epochs=range(1, 10)), LEVEL)
    assert (judgement.verdict, judgement.because) == (NOT_TESTABLE, "the untrained model was not probed")


def test_a_value_of_many_is_refuted_only_by_an_interval_that_covers_all():
    """Eight of 36 intervals lie just outside: by chance, one of so many would."""
    name = "input words: not the gradients"
    just_outside = 0.1 + 1.2 * 0.05  # its own interval, of half-width .05, excludes ±.1
    value = but(role="input", tensor="grad_h_1", epoch=5, to=just_outside)
    judgement = judge_claim(BY_ID[name], make_run(value=value, width=0.05), LEVEL)
    [item] = [item for item in judgement.evidence if item.shown]
    assert item.interval.low > 0.1 > item.joint.low
    assert (judgement.verdict, item.holds, item.bound.value.name) == (UNDECIDED, "open", "ρ→(∇h¹), epoch 5")
    far = but(role="input", tensor="grad_h_1", epoch=5, to=0.1 + 2 * 0.05)
    assert verdict_on(name, value=far, width=0.05) == NOT_REPRODUCED
    assert len(judgement.evidence) == 4 * 9


def test_an_effect_that_is_not_there_cannot_stay_after_matching():
    for sample in ("matched", "paired"):
        for name, whole in (
            ("closed has sparser ∇h²", but_gradient("closed", 0.08, statistic="mean")),
            ("closed is ahead early", but_gradient("closed", 0.05)),
            ("trends differ", but_gradient("closed", lambda epoch: 0.3 + 0.05 * epoch)),
        ):
            judgement = judge_claim(BY_ID[f"{sample}: {name}"], make_run(value=whole), LEVEL)
            assert judgement.verdict == NOT_TESTABLE
            assert judgement.because.startswith("the run does not show what the claim rests on")


# The untrained model and the control.


def test_a_run_without_comparison_says_nothing_more():
    table = make_claims(epochs=range(1, 10))
    assert set(table["also"]) == {""}
    assert table[["untrained", "shuffled"]].isna().all(axis=None)


def test_an_effect_that_the_untrained_model_meets_is_no_finding():
    """Everything that is no change over training is there from the start."""

    def value(epoch, *key):
        return as_in_the_paper(epoch or 9, *key)

    also = verdicts(make_claims(value=value), "also")
    levels = {claim.id for claim in CLAIMS if claim.kind == STATE} - NO_EFFECTS
    levels |= {f"{name}: closed is ahead early" for name in ("classes", "matched", "paired")}
    levels |= {"classes: closed strong early, then steady"}  # what does not change is steady
    assert set(also.index[also == ALSO_UNTRAINED]) == levels
    assert set(also[~also.index.isin(levels)]) == {""}


def test_the_untrained_model_is_subtracted_where_an_effect_is_claimed():
    table = make_claims()
    row = table[table["claim"] == "target words: strongly ∇h²"].iloc[0]
    assert row["untrained"] == pytest.approx(0.55)
    # Two independent values of half-width .01.
    assert row["untrained_high"] - row["untrained_low"] == pytest.approx(2 * 0.01 * 2**0.5, rel=0.05)
    compared = set(table.loc[table["untrained"].notna(), "claim"])
    assert not compared & NO_EFFECTS and "target words: ∇h² increasingly" not in compared
    assert set(verdicts(table, "also")) == {""}


def test_an_effect_that_shuffled_text_shows_as_much_needs_no_language():
    also = verdicts(make_claims(control=make_run()), "also")
    assert set(also[EFFECTS]) == {ALSO_SHUFFLED}
    assert set(also[list(NO_EFFECTS)]) == {""}


def test_an_effect_that_shuffled_text_lacks_is_said_without_reservation():
    table = make_claims(control=make_run(value=null))
    assert set(verdicts(table)) == {REPRODUCED} and set(table["also"]) == {""}
    row = table[table["claim"] == "target words: strongly ∇h²"].iloc[0]
    assert (row["shuffled"], row["shuffled_low"] > 0.5) == (pytest.approx(0.55), True)


def test_a_control_that_decides_nothing_leaves_the_effect_undecided():
    also = verdicts(make_claims(control=make_run(width=5)), "also")
    assert set(also[EFFECTS]) == {UNDECIDED_SHUFFLED}


def test_an_effect_that_is_larger_in_real_text_needs_language_even_if_shuffled_text_shows_it():
    weaker = make_run(value=but_gradient("all", 0.4))
    also = verdicts(make_claims(control=weaker), "also")
    assert also["target words: strongly ∇h²"] == ""
    stronger = make_run(value=but_gradient("all", lambda epoch: 0.2 + 0.05 * epoch))
    assert verdicts(make_claims(control=stronger), "also")["target words: strongly ∇h²"] == ALSO_SHUFFLED


def test_only_the_claimed_effect_decides_whether_real_text_has_more():
    """The claim is about a contrast; the level that it also needs is higher in real text, but that is another claim."""
    name = "target words: more so over frequent words"

    def lower(by, contrast=0.0):
        def value(*key):
            level = as_in_the_paper(*key)
            there = key[0] and key[1:3] == ("target", "grad_h_2") and key[5] == "pearson"
            return level - (by if there else 0) + (contrast if there and key[4] == "rare" else 0)

        return make_run(value=value)

    table = make_claims(control=lower(0.05))
    assert verdicts(table, "also")[name] == ALSO_SHUFFLED
    rows = table[table["claim"] == name].set_index("evidence")
    assert rows["quantifier"].tolist() == ["condition", "all"] and rows["shuffled"].isna().tolist() == [True, False]
    assert rows["in_shuffled"].notna().all()
    # The control has less of the contrast; or as much of it, but not the level.
    assert verdicts(make_claims(control=lower(0.0, 0.05)), "also")[name] == ""
    assert verdicts(make_claims(control=lower(0.5)), "also")[name] == UNDECIDED_SHUFFLED


def test_no_claim_is_compared_in_what_it_only_depends_on():
    table = make_claims(control=make_run())
    depends = table["quantifier"].isin(["condition", "premise"])
    assert table.loc[depends, ["untrained", "shuffled"]].isna().all(axis=None)
    effects = table[~depends & table["shuffled"].notna()].groupby("claim").size()
    assert set(effects.index) == set(EFFECTS)
    # What two values are needed for is claimed of both: two tensors, two times, or a level and a rise.
    assert set(effects[effects > 1].index) == {
        "input words: concentrated activations",
        "input words: h¹ quickly, then slowly",
        "input words: rise from the first drop",
        "target words: dispersed activations",
        "target words: strong and increasing only ∇h²",
    }


def test_of_several_values_only_those_that_are_there_decide():
    """Real text has x̂ at .03 and the control at .08: a difference, but no dispersed activation."""
    name = "target words: dispersed activations"
    control = make_run(value=but(role="target", tensor="x", words="all", epoch=9, to=0.08))
    table = make_claims(control=control)
    row = table[(table["claim"] == name) & (table["evidence"] == "ρ←(x̂), epoch 9") & table["shuffled"].notna()].iloc[0]
    assert row["shuffled_high"] < 0 and row["holds"] == "no"
    assert verdicts(table, "also")[name] == ALSO_SHUFFLED


def test_what_is_not_reproduced_has_nothing_beside_it():
    options = REFUTED["target words: strongly ∇h²"]
    also = verdicts(make_claims(control=make_run(**options), **options), "also")
    assert also["target words: strongly ∇h²"] == "" and also["classes: trends differ"] == ALSO_SHUFFLED


def test_the_shuffled_model_is_compared_in_the_same_resamples():
    """A control that is the run itself differs by nothing, however wide the intervals."""
    table = make_claims(control=make_run(width=0.02), width=0.02)
    found = table["shuffled"].notna()
    assert found.any() and (table.loc[found, ["shuffled", "shuffled_low", "shuffled_high"]] == 0).all(axis=None)


# Texts.


def test_on_characters_nothing_is_said_of_words_and_classes_are_not_judged():
    table = make_claims(unit="character")
    of_classes = table["claim"].isin([claim.id for claim in CLAIMS if claim.classes])
    assert set(table.loc[of_classes, "verdict"]) == {NOT_TESTABLE}
    assert set(table.loc[of_classes, "because"]) == {"a character has no part of speech, hence no class"}
    others = table.loc[~of_classes, ["claim", "statement", "rule", "because"]].to_numpy(str).ravel()
    assert "Frequent input characters have concentrated activations at hᵉ and h¹." in others
    assert not any("word" in text for text in others)
    assert set(table.loc[~of_classes, "verdict"]) == {REPRODUCED}


def test_a_model_of_one_layer_is_judged_at_that_layer_and_has_none_below():
    table = make_claims(layers=1)
    below = {name.replace("h²", "h¹") for name in REFUTED if name.startswith("input words") and "gradients" not in name}
    found = verdicts(table)
    assert set(found.index[found != REPRODUCED]) == below
    reasons = verdicts(table, "because")[list(below)]
    assert set(reasons) == {"the model has only one recurrent layer, so there is none below its top layer"}
    assert verdicts(table, "rule")["target words: strongly ∇h¹"] == "ρ←(∇h¹) > 0.3 after the last epoch."
    assert not any("h²" in text for text in table.to_numpy(str).ravel())


def test_a_model_of_three_layers_is_judged_at_its_top_layer():
    table = make_claims(layers=3)
    assert set(table["verdict"]) == {REPRODUCED}
    assert "target words: ∇h³ more than h³" in set(table["claim"])
    evidence = table.loc[table["claim"] == "input words: hᵉ overtakes h¹ late", "evidence"]
    assert evidence.tolist() == ["ρ→(hᵉ) − ρ→(h¹), epoch 5", "ρ→(hᵉ) − ρ→(h¹), epoch 9", "ρ→(hᵉ), epoch 9"]
    assert (table["claim"] == "input words: not the gradients").sum() == 45  # five gradients, nine epochs


def test_two_layers_are_called_as_in_the_paper():
    assert list(verdicts(make_claims()).index) == [claim.id for claim in CLAIMS]


def test_each_row_says_which_effect_counts_and_why():
    table = make_claims()
    assert table["effect"].isin([0.05, 0.1, 0.2, 0.3]).all() and table["effect_reason"].str.len().gt(20).all()
    edges = table[["above", "below"]].replace([-np.inf, np.inf], np.nan).abs().max(axis=1)
    assert (edges == table["effect"]).all()
    assert not table["rule"].str.contains("[{}]").any()


def test_a_set_of_words_is_named_in_words():
    evidence = set(make_claims()["evidence"])
    assert {"ρ←(∇h²), closed class, matched, epoch 1", "ρ←(∇h²), open class, paired, epoch 1 to 9"} <= evidence
    assert not any("_" in name for name in evidence)


def test_one_value_of_each_part_is_shown():
    table = make_claims()
    assert (table.groupby(["claim", "part"])["shown"].sum() == 1).all()
    parts = table.groupby("claim")["part"].nunique()
    assert parts["target words: strong and increasing only ∇h²"] == 2 + 7


def test_a_custom_list_of_claims_is_judged_alone():
    [claim] = [claim for claim in CLAIMS if claim.kind == TEXT]
    assert len(judge_all(make_run(), LEVEL, claims=[claim])) == 1
