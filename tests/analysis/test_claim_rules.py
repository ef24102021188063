"""Verdicts from intervals: monotone, simultaneous where a claim has many values, and safe from Monte-Carlo error."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from natural_sparsity.analysis.rules import (
    ALL,
    CONDITION,
    NO,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    OPEN,
    PREMISE,
    REPRODUCED,
    SOME,
    STATES,
    UNDECIDED,
    VERDICTS,
    YES,
    Bound,
    Effect,
    Evidence,
    Interval,
    NotTestable,
    Value,
    conclude,
    condition,
    decide,
    each,
    every,
    find_interval,
    find_joint_intervals,
    format_interval,
    judge,
    mark_shown,
    premise,
    some,
)

EFFECT = Effect(0.1, "for the test")
LEVEL = 0.95
number = st.floats(-1, 1, allow_nan=False)
length = st.floats(0, 1, allow_nan=False)


def scatter(centre, width=0.05, seed=0, resamples=2000):
    """A value whose 95 % interval reaches ``width`` to both sides; of one seed, all have the same deviations."""
    grid = ndtri((np.arange(resamples) + 0.5) / resamples) / ndtri(0.975)
    return Value(f"v{seed}", centre + width * np.append(0, np.random.default_rng(seed).permutation(grid)), 100)


def state(low, high, above=0.1, below=math.inf, quantifier=ALL, spare=0.0):
    """Whether a value holds; its simultaneous interval reaches ``spare`` farther on both sides."""
    bound = Bound(Value("v", np.array([(low + high) / 2]), 100), EFFECT, above, below)
    own, joint = Interval(low, high, low, high), Interval(low - spare, high + spare, low - spare, high + spare)
    return STATES.index(Evidence(bound, 1, quantifier, own, joint).holds)


@given(number, length, length, length, st.sampled_from([ALL, SOME, CONDITION, PREMISE]), length)
def test_raising_an_interval_never_lowers_a_claim_of_more(low, size, by, farther, quantifier, spare):
    before = state(low, low + size, quantifier=quantifier, spare=spare)
    # Either edge may move alone.
    assert state(low + by, low + by + size + farther, quantifier=quantifier, spare=spare) >= before
    mirrored = state(-low - size, -low, above=-math.inf, below=-0.1, quantifier=quantifier, spare=spare)
    assert mirrored == before


@given(number, length, length, length, st.sampled_from([ALL, SOME]), length)
def test_shrinking_an_interval_inside_never_changes_what_is_decided(low, size, left, right, quantifier, spare):
    """What is decided from an interval is decided so, or not changed, from any part of it."""
    high = low + size
    inner = low + left * size / 2, high - right * size / 2
    for above, below in ((0.1, math.inf), (-math.inf, 0.1), (-0.1, 0.1)):
        before = state(low, high, above, below, quantifier, spare)
        after = state(*inner, above, below, quantifier, spare)
        assert before == STATES.index(OPEN) or after == before


@given(st.lists(st.tuples(number, length, length), min_size=1, max_size=4), st.integers(0, 3), length)
def test_raising_any_value_never_lowers_the_verdict(intervals, which, by):
    """Over whole claims, of values that must all exceed 0.1: undecided lies between the two others."""

    def verdict(items):
        evidence = [
            Evidence(
                Bound(Value("v", np.array([low]), 100), EFFECT, 0.1),
                i,
                ALL,
                Interval(low, low + size, low, low + size),
                Interval(low - spare, low + size + spare, low - spare, low + size + spare),
            )
            for i, (low, size, spare) in enumerate(items)
        ]
        return [NOT_REPRODUCED, UNDECIDED, REPRODUCED].index(conclude(mark_shown(evidence))[0])

    raised = [(low + by, *rest) if i == which else (low, *rest) for i, (low, *rest) in enumerate(intervals)]
    assert verdict(raised) >= verdict(intervals)


item = st.tuples(number, length, length)


@given(st.lists(item, min_size=1, max_size=3), st.lists(item, min_size=1, max_size=2), st.integers(0, 2), length)
def test_a_premise_only_says_whether_the_claim_is_judged(intervals, premises, which, by):
    """Not testable if a premise fails, undecided if one is open, and else what it is without them."""

    def gather(items, quantifier):
        return [
            Evidence(
                Bound(Value("v", np.array([low]), 100), EFFECT, 0.1),
                number,
                quantifier,
                Interval(low, low + size, low, low + size),
                Interval(low - spare, low + size + spare, low - spare, low + size + spare),
            )
            for number, (low, size, spare) in enumerate(items, 10 if quantifier == PREMISE else 0)
        ]

    needed, claimed = gather(premises, PREMISE), gather(intervals, ALL)

    def verdict(items):
        return conclude(mark_shown([*needed, *items]))[0]

    state = min((each.holds for each in needed), key=STATES.index)
    alone = conclude(mark_shown(claimed))[0]
    assert verdict(claimed) == {NO: NOT_TESTABLE, OPEN: UNDECIDED, YES: alone}[state]
    # So raising another value never lowers the verdict, whatever the premises.
    raised = [(low + by, *rest) if i == which else (low, *rest) for i, (low, *rest) in enumerate(intervals)]
    order = [NOT_TESTABLE, NOT_REPRODUCED, UNDECIDED, REPRODUCED]
    assert order.index(verdict(gather(raised, ALL))) >= order.index(verdict(claimed))


def test_premises_are_judged_as_a_claim_of_their_own():
    """Two values that leave a claim open leave open what rests on them; the second alone would fail."""
    rests_on = scatter(0.3, seed=1).exceeds(EFFECT), scatter(0.0005, width=0.0905, seed=2).exceeds(EFFECT)
    assert judge(each(*rests_on), LEVEL).verdict == UNDECIDED
    assert judge([*premise(*rests_on), *each(scatter(0.5, seed=3).exceeds(EFFECT))], LEVEL).verdict == UNDECIDED


def test_a_premise_that_comes_to_hold_lets_the_claim_fail():
    body = each(scatter(-0.5, seed=1).exceeds(EFFECT))
    found = [judge([*premise(scatter(centre).exceeds(EFFECT)), *body], LEVEL).verdict for centre in (0, 0.1, 0.3)]
    assert found == [NOT_TESTABLE, UNDECIDED, NOT_REPRODUCED]


def test_of_several_premises_the_one_that_fails_counts():
    parts = premise(scatter(0.1).exceeds(EFFECT), scatter(0.0, seed=1).exceeds(EFFECT))
    judgement = judge([*parts, *each(scatter(0.5, seed=2).exceeds(EFFECT))], LEVEL)
    assert judgement.verdict == NOT_TESTABLE and "v1 = 0.00" in judgement.because


@pytest.mark.parametrize(("centre", "verdict"), [(0.3, REPRODUCED), (0.1, UNDECIDED), (0.0, NOT_REPRODUCED)])
def test_a_condition_must_hold_like_any_value_but_is_no_effect(centre, verdict):
    judgement = judge([*condition(scatter(centre).exceeds(EFFECT)), *each(scatter(0.5, seed=1).exceeds(EFFECT))], LEVEL)
    assert judgement.verdict == verdict
    assert [item.is_effect for item in judgement.evidence] == [False, True]


@settings(max_examples=60)
@given(st.lists(number, min_size=1, max_size=3), length, st.sampled_from(["each", "some"]), length)
def test_raising_the_replicates_never_lowers_the_verdict(centres, width, kind, by):
    def verdict(shift):
        bounds = [scatter(centre + shift, width, i, 200).exceeds(EFFECT) for i, centre in enumerate(centres)]
        parts = each(*bounds) if kind == "each" else some(bounds)
        return [NOT_REPRODUCED, UNDECIDED, REPRODUCED].index(judge(parts, LEVEL).verdict)

    assert verdict(by) >= verdict(0)


@pytest.mark.parametrize(
    ("low", "high", "effect", "expected"),
    [
        # A value of .045 once went from reproduced to not reproduced to not testable as its interval grew.
        (0.001, 0.09, 0.05, OPEN),
        (-0.001, 0.09, 0.05, OPEN),
        (-0.001, 0.101, 0.05, OPEN),
        (0.001, 0.09, 0.1, NO),
        (-0.001, 0.09, 0.1, NO),
        (-0.001, 0.101, 0.1, OPEN),
        (0.101, 0.2, 0.1, YES),
        (0.1, 0.2, 0.1, OPEN),
        (0.0, 0.1, 0.1, OPEN),
    ],
)
def test_an_effect_is_there_above_the_smallest_that_counts(low, high, effect, expected):
    assert STATES[state(low, high, above=effect)] == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.09, 0.09, YES), (-0.11, 0.05, OPEN), (-0.2, 0.2, OPEN), (0.11, 0.3, NO), (-0.3, -0.11, NO)],
)
def test_absence_is_an_interval_within_the_effect(low, high, expected):
    assert STATES[state(low, high, above=-0.1, below=0.1)] == expected


def test_all_must_hold_by_their_own_intervals_and_one_fails_by_the_simultaneous_one():
    """Own half-width .05; of twenty independent values, the simultaneous one is about 1.5 times as wide."""

    def verdict(odd, others=0.3):
        values = [scatter(odd, seed=0), *(scatter(others, seed=seed) for seed in range(1, 20))]
        return judge(every(value.exceeds(EFFECT) for value in values), LEVEL)

    assert verdict(0.16).verdict == REPRODUCED
    judgement = verdict(0.04)  # its own interval ends at .09, the simultaneous one above .1
    assert judgement.verdict == UNDECIDED
    [shown] = [item for item in judgement.evidence if item.shown]
    assert shown.bound.value.name == "v0" and shown.interval.high < 0.1 < shown.joint.high
    assert verdict(-0.02).verdict == NOT_REPRODUCED
    # Alone, the same value fails by its own interval.
    assert judge(each(scatter(0.04).exceeds(EFFECT)), LEVEL).verdict == NOT_REPRODUCED


def test_some_must_hold_by_the_simultaneous_interval_and_all_fail_by_their_own():
    def verdict(odd, others=0.0):
        values = [scatter(odd, seed=0), *(scatter(others, seed=seed) for seed in range(1, 20))]
        return judge(some(value.exceeds(EFFECT) for value in values), LEVEL)

    assert verdict(0.2).verdict == REPRODUCED
    judgement = verdict(0.16)  # its own interval begins at .11, the simultaneous one below .1
    [shown] = [item for item in judgement.evidence if item.shown]
    assert (judgement.verdict, shown.bound.value.name) == (UNDECIDED, "v0")
    assert verdict(0.04).verdict == NOT_REPRODUCED


def test_simultaneous_intervals_of_independent_values_are_sidaks():
    """For K independent normal values, all are covered at once if each is at the level to the power of 1/K."""
    count = 10
    values = [scatter(i, width=0.1 * (i + 1), seed=i, resamples=20_000) for i in range(count)]
    own = [find_interval(value.replicates, LEVEL) for value in values]
    joint = find_joint_intervals(values, own, LEVEL)
    exact = ndtri((1 + LEVEL ** (1 / count)) / 2) / ndtri(0.975)
    for value, wide in zip(values, joint, strict=True):
        width = 0.1 * (value.replicates[0] + 1)
        assert (wide.high - wide.low) / 2 == pytest.approx(exact * width, rel=0.02)
        assert wide.least < wide.low and wide.high < wide.most


def test_simultaneous_intervals_cover_the_replicates_at_once_and_keep_their_skewness():
    generator = np.random.default_rng(1)
    shared = generator.normal(size=5000)
    values = [Value("", np.append(0, np.exp(0.5 * (shared + generator.normal(size=5000)))), 100) for _ in range(6)]
    own = [find_interval(value.replicates, LEVEL) for value in values]
    joint = find_joint_intervals(values, own, LEVEL)
    inside = [(a.low <= v.replicates[1:]) & (v.replicates[1:] <= a.high) for v, a in zip(values, joint, strict=True)]
    assert np.mean(np.all(inside, axis=0)) == pytest.approx(LEVEL, abs=0.002)
    for narrow, wide, value in zip(own, joint, values, strict=True):
        assert wide.low < narrow.low and narrow.high < wide.high
        middle = np.median(value.replicates[1:])
        assert (wide.high - middle) / (middle - wide.low) == pytest.approx(
            (narrow.high - middle) / (middle - narrow.low)
        )


def test_the_simultaneous_interval_of_one_value_is_its_own():
    value = scatter(0.3)
    own = [find_interval(value.replicates, LEVEL)]
    assert find_joint_intervals([value], own, LEVEL) == [pytest.approx(own[0])]


def test_the_interval_is_the_percentiles_and_counts_their_monte_carlo_error():
    """The range counted is three standard errors, as found over many bootstraps, and most have the true edge."""
    generator = np.random.default_rng(2)
    resamples = 10_000
    found = [find_interval(np.append(0, generator.normal(size=resamples)), LEVEL) for _ in range(100)]
    lows = np.array([interval.low for interval in found])
    error = 3 * lows.std()
    assert np.mean([interval.low - interval.least for interval in found]) == pytest.approx(error, rel=0.35)
    assert sum(not (i.least <= ndtri(0.025) and ndtri(0.975) <= i.most) for i in found) <= 1


def test_an_edge_within_monte_carlo_error_decides_nothing_and_says_so():
    value = scatter(0.0, width=1.0)
    low = find_interval(value.replicates, LEVEL).low
    for gap, expected in ((0.01, UNDECIDED), (0.5, REPRODUCED), (-0.01, UNDECIDED)):
        bound = Bound(value, Effect(0.1, ""), above=low - gap)
        judgement = judge(each(bound), LEVEL)
        assert judgement.verdict == expected
        assert judgement.because.endswith("more resamples would be needed to tell") == (gap == 0.01)


@pytest.mark.parametrize(("centre", "verdict"), [(0.3, REPRODUCED), (0.1, UNDECIDED), (0.0, NOT_TESTABLE)])
def test_a_premise_that_fails_makes_the_claim_not_testable(centre, verdict):
    parts = [*premise(scatter(centre).exceeds(EFFECT)), *each(scatter(0.5, seed=1).exceeds(EFFECT))]
    judgement = judge(parts, LEVEL)
    assert judgement.verdict == verdict
    assert ("what the claim rests on: v0 = " in judgement.because) == (verdict != REPRODUCED)
    # It is no part of the family of values that the claim is about.
    assert judgement.evidence[1].joint == pytest.approx(judgement.evidence[1].interval)


def test_a_value_of_few_words_or_none_is_refused():
    few = Value("v", scatter(0.3).replicates, 19)
    with pytest.raises(NotTestable, match="rests on 19 words, but needs 20"):
        judge(each(few.exceeds(EFFECT)), LEVEL)
    with pytest.raises(NotTestable, match="undefined"):
        judge(each(Value("v", np.full(201, np.nan), 100).exceeds(EFFECT)), LEVEL)


def test_a_value_that_many_resamples_leave_undefined_is_refused():
    """A correlation that hangs on one word is undefined wherever the word is not drawn: in a third of the resamples."""
    value = scatter(0.9)
    for share, refused in ((0.02, False), (0.03, True)):
        value.replicates[1 : 1 + int(share * (len(value.replicates) - 1))] = np.nan
        bound = value.exceeds(EFFECT)
        for parts in (each(bound), each(bound, bound)):
            if refused:
                with pytest.raises(NotTestable, match="v0 is undefined in 3 % of the resamples"):
                    judge(parts, LEVEL)
            else:
                assert judge(parts, LEVEL).verdict == REPRODUCED


@pytest.mark.filterwarnings("error")
def test_simultaneous_intervals_leave_out_resamples_in_which_nothing_is_defined():
    values = [scatter(0.0, seed=seed) for seed in range(10)]
    own = [find_interval(value.replicates, LEVEL) for value in values]
    expected = find_joint_intervals(values, own, LEVEL)
    for value in values:
        value.replicates[1:20] = np.nan
    for interval, before in zip(find_joint_intervals(values, own, LEVEL), expected, strict=True):
        assert interval == pytest.approx(before, rel=0.05)


def test_the_verdicts_are_four():
    assert VERDICTS == ["reproduced", "not reproduced", "undecided", "not testable here"]
    assert decide((0, 1), (0, 1), -math.inf, math.inf) == YES


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.045, -0.001, 0.09, 0.1), "0.045 [−0.001, 0.090]"),
        ((0.04, 0.002, 0.11), "0.040 [0.002, 0.110]"),
        ((0.231, 0.152, 0.309, 0.3), "0.23 [0.15, 0.31]"),
        ((0.4, 0.2996, 0.6, 0.3), "0.4000 [0.2996, 0.6000]"),
        ((0.0021, 0.0016, 0.0026), "0.0021 [0.0016, 0.0026]"),
        ((0.0, 0.0, 0.0), "0.00 [0.00, 0.00]"),
    ],
)
def test_the_decimals_show_on_which_side_an_interval_ends(numbers, text):
    assert format_interval(*numbers) == text
