"""How a claim is judged: values with their bootstrap replicates, the ranges that they must lie in, and the verdict.

A claim has parts, and all must hold. A part is one value, or many of which all, or some, must lie in the range. Some
parts are no effect that is claimed, but what it depends on: conditions, and premises.

- A value of which *all* must hold does so if its interval lies inside the range: if each of several intervals does, the
  claim about all holds at that level (intersection–union). It fails only if a *simultaneous* interval, which covers all
  the claim's values at once, lies outside, since among many values one will stray.
- Of values of which *some* must hold, it is the other way round: one holds if its simultaneous interval lies inside,
  and fails if its own interval lies outside.
- What is neither is open, and so is an edge that more resamples might move across the end of the range.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from natural_sparsity.analysis.statistics import percentile_interval

REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_TESTABLE = VERDICTS = [
    "reproduced",
    "not reproduced",
    "undecided",
    "not testable here",
]
ALSO_UNTRAINED, ALSO_SHUFFLED, UNDECIDED_SHUFFLED = ALSO = [
    "also untrained",
    "also without language",
    "undecided without language",
]
# The columns of the differences from the controls. Each has one more for either end, _low and _high, and one for the
# control's own value, in_ before its name.
COMPARED = ["untrained", "shuffled"]
# Whether a value has what is claimed, from the worst.
NO, OPEN, YES = STATES = ["no", "open", "yes"]
ALL, SOME, CONDITION, PREMISE = "all", "some", "condition", "premise"

LEAST_WORDS = 20  # with fewer, no bootstrap interval can be trusted
MONTE_CARLO = 3  # standard errors of an interval's edge by which it must clear the end of a range


class NotTestable(Exception):  # noqa: N818
    """Why a claim cannot be judged on this run."""


class Effect(NamedTuple):
    """The smallest effect that counts, and why."""

    size: float
    reason: str


class Interval(NamedTuple):
    """An interval, and where its edges may lie with more resamples: ``least`` ≤ low, high ≤ ``most``."""

    low: float
    high: float
    least: float
    most: float


@dataclass(frozen=True)
class Value:
    """A number with its bootstrap replicates.

    Attributes:
        name: what it is, for readers.
        replicates: (1 + resamples,), the estimate first; paired with those of every other value.
        n: the words that it is over.
        quantity: what the number measures.
        change: whether it is a change over training, which an untrained model has none of.
    """

    name: str
    replicates: np.ndarray
    n: int
    quantity: str = "correlation"
    change: bool = False

    def exceeds(self, effect: Effect) -> "Bound":
        """The claim that there is an effect, above 0."""
        return Bound(self, effect, above=effect.size)

    def falls_below(self, effect: Effect) -> "Bound":
        """The claim that there is an effect, below 0."""
        return Bound(self, effect, below=-effect.size)

    def stays_below(self, effect: Effect) -> "Bound":
        """The claim that there is no effect above 0."""
        return Bound(self, effect, below=effect.size)

    def stays_above(self, effect: Effect) -> "Bound":
        """The claim that there is no effect below 0."""
        return Bound(self, effect, above=-effect.size)

    def stays_within(self, effect: Effect) -> "Bound":
        """The claim that there is no effect."""
        return Bound(self, effect, above=-effect.size, below=effect.size)


@dataclass(frozen=True)
class Bound:
    """A value and the range, exclusive, in which a claim has it."""

    value: Value
    effect: Effect
    above: float = -math.inf
    below: float = math.inf

    @property
    def side(self) -> int:
        """1 or −1 if an effect above or below 0 is claimed; 0 if it is claimed that there is none."""
        return 1 if self.above > 0 else -1 if self.below < 0 else 0

    def __str__(self) -> str:
        return format_range(self.above, self.below)


@dataclass(frozen=True)
class Part:
    """Bounds of which all or some must hold.

    A condition must hold as well, but is not the effect that is claimed; a premise must hold for the claim to be
    testable.
    """

    quantifier: str
    bounds: Sequence[Bound]


def each(*bounds: Bound) -> list[Part]:
    """A part for each bound; all must hold."""
    return [Part(ALL, [bound]) for bound in bounds]


def every(bounds: Iterable[Bound]) -> list[Part]:
    """One part: all bounds must hold."""
    return [Part(ALL, list(bounds))]


def some(bounds: Iterable[Bound]) -> list[Part]:
    """One part: at least one bound must hold."""
    return [Part(SOME, list(bounds))]


def condition(*bounds: Bound) -> list[Part]:
    """A part for each bound; all must hold, but none is the claimed effect, so controls are not compared in it."""
    return [Part(CONDITION, [bound]) for bound in bounds]


def premise(*bounds: Bound) -> list[Part]:
    """A part for each bound; without them, the claim says nothing of this run."""
    return [Part(PREMISE, [bound]) for bound in bounds]


@dataclass(frozen=True)
class Evidence:
    """A bound that was judged: its value with its interval, and the one simultaneous with the claim's other values."""

    bound: Bound
    part: int
    quantifier: str
    interval: Interval
    joint: Interval
    shown: bool = False

    @property
    def value(self) -> float:
        """The estimate."""
        return float(self.bound.value.replicates[0])

    @property
    def holds(self) -> str:
        """One of :data:`STATES`."""
        inside, outside = self.decisive
        return decide((inside.least, inside.most), (outside.least, outside.most), self.bound.above, self.bound.below)

    @property
    def is_effect(self) -> bool:
        """Whether it is an effect that is claimed."""
        return bool(self.bound.side) and self.quantifier in (ALL, SOME)

    @property
    def depends_on_chance(self) -> bool:
        """Whether it is open only for the Monte-Carlo error of an interval's edge."""
        inside, outside = self.decisive
        plain = decide((inside.low, inside.high), (outside.low, outside.high), self.bound.above, self.bound.below)
        return self.holds == OPEN and plain != OPEN

    @property
    def decisive(self) -> tuple[Interval, Interval]:
        """The interval that must lie inside the range for yes, and the one that must lie outside for no."""
        return (self.joint, self.interval) if self.quantifier == SOME else (self.interval, self.joint)

    @property
    def margin(self) -> float:
        """How far inside the range the interval lies; negative if it does not."""
        return min(self.interval.low - self.bound.above, self.bound.below - self.interval.high)

    def __str__(self) -> str:
        edges = format_interval(self.value, self.interval.low, self.interval.high, self.bound.above, self.bound.below)
        return f"{self.bound.value.name} = {edges}"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim, the reason if it is not plain, and the evidence."""

    verdict: str
    because: str = ""
    evidence: list[Evidence] = field(default_factory=list)


def decide(inside: tuple[float, float], outside: tuple[float, float], above: float, below: float) -> str:
    """Whether a value lies in a range, from the interval that must lie inside for yes and the one for no."""
    if above < inside[0] and inside[1] < below:
        return YES
    return NO if outside[1] < above or below < outside[0] else OPEN


def weigh(states: Iterable[str], quantifier: str) -> str:
    """The state of a part, from those of its values."""
    return (max if quantifier == SOME else min)(states, key=STATES.index)


def find_interval(replicates: np.ndarray, level: float) -> Interval:
    """The percentile interval of a value's replicates (1 + resamples,)."""
    sample = replicates[1:]
    tail = (1 - level) / 2
    error = MONTE_CARLO * math.sqrt(tail * (1 - tail) / len(sample))
    low, high = percentile_interval(sample[:, None], level)
    least, most = percentile_interval(sample[:, None], min(1, level + 2 * error))
    return Interval(float(low[0]), float(high[0]), float(least[0]), float(most[0]))


def find_joint_intervals(values: Sequence[Value], own: Sequence[Interval], level: float) -> list[Interval]:
    """Intervals that cover all the values at once, by the bootstrap of the largest deviation (max-t).

    A deviation is from the replicates' median, in units of the half of the value's own interval on that side: so an
    interval keeps its skewness, and that of a single value is its own.
    """
    sample = np.stack([value.replicates[1:] for value in values])
    middle = np.nanmedian(sample, axis=1)
    down, up = (abs(middle - np.array([interval[i] for interval in own]))[:, None] for i in (0, 1))
    deviation = sample - middle[:, None]
    unit = np.where(deviation < 0, down, up)
    deviation = np.divide(abs(deviation), unit, out=np.zeros_like(sample), where=unit > 0)
    largest = np.nanmax(deviation[:, ~np.isnan(deviation).all(0)], axis=0)
    slack = MONTE_CARLO * math.sqrt(level * (1 - level) / len(largest))
    plain, wide = (max(1, float(np.quantile(largest, share))) for share in (level, min(1, level + slack)))
    if len(values) == 1:
        plain = wide = 1
    return [
        Interval(
            centre - plain * (centre - each.low),
            centre + plain * (each.high - centre),
            centre - wide * (centre - each.least),
            centre + wide * (each.most - centre),
        )
        for centre, each in zip(middle.tolist(), own, strict=True)
    ]


def check(value: Value, level: float) -> None:
    """Refuse a value that says nothing.

    Raises:
        NotTestable: it is over too few words, or undefined, or so in more resamples than lie beyond an interval's end:
            where the end lies is then unknown.
    """
    if value.n < LEAST_WORDS:
        raise NotTestable(f"{value.name} rests on {value.n} words, but needs {LEAST_WORDS}")
    if not math.isfinite(value.replicates[0]) or np.isnan(value.replicates).all():
        raise NotTestable(f"{value.name} is undefined")
    undefined = np.isnan(value.replicates[1:]).mean()
    if undefined > (1 - level) / 2:
        raise NotTestable(f"{value.name} is undefined in {100 * undefined:.0f} % of the resamples")


def judge(parts: Sequence[Part], level: float) -> Judgement:
    """Judge a claim from its parts.

    Raises:
        NotTestable: a value says nothing.
    """
    places = [(i, part.quantifier, bound) for i, part in enumerate(parts, 1) for bound in part.bounds]
    for _, _, bound in places:
        check(bound.value, level)
    own = [find_interval(bound.value.replicates, level) for _, _, bound in places]
    joint: dict[int, Interval] = {}
    for premises in (False, True):  # as if what the claim rests on were a claim
        family = [k for k, (_, quantifier, _) in enumerate(places) if (quantifier == PREMISE) == premises]
        if family:
            values = [places[k][2].value for k in family]
            joint |= dict(zip(family, find_joint_intervals(values, [own[k] for k in family], level), strict=True))
    evidence = mark_shown([Evidence(b, i, q, own[k], joint[k]) for k, (i, q, b) in enumerate(places)])
    return Judgement(*conclude(evidence), evidence)


def mark_shown(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Of the values of a part, show the one that decides: the worst of all that must hold, the best of some."""
    shown = set()
    for part in {item.part for item in evidence}:
        places = [k for k, item in enumerate(evidence) if item.part == part]
        choose = max if evidence[places[0]].quantifier == SOME else min
        shown.add(choose(places, key=lambda k: (STATES.index(evidence[k].holds), evidence[k].margin)))
    return [replace(item, shown=k in shown) for k, item in enumerate(evidence)]


def conclude(evidence: Sequence[Evidence]) -> tuple[str, str]:
    """The verdict on the evidence, and the reason if it is not plain."""
    parts: dict[int, list[Evidence]] = {}
    for item in evidence:
        parts.setdefault(item.part, []).append(item)
    states = {i: weigh([item.holds for item in items], items[0].quantifier) for i, items in parts.items()}
    shown = {item.part: item for item in evidence if item.shown}
    premises = [i for i, items in parts.items() if items[0].quantifier == PREMISE]
    for i in sorted(premises, key=lambda i: STATES.index(states[i])):
        if states[i] != YES:
            verdict = NOT_TESTABLE if states[i] == NO else UNDECIDED
            missing = "the run does not show" if states[i] == NO else "the run leaves open"
            return verdict, f"{missing} what the claim rests on: {shown[i]} should be {shown[i].bound}"
    if NO in states.values():
        return NOT_REPRODUCED, ""
    if set(states.values()) == {YES}:
        return REPRODUCED, ""
    item = shown[next(i for i, state in states.items() if state == OPEN)]
    more = "; more resamples would be needed to tell" if item.depends_on_chance else ""
    return UNDECIDED, f"{item} does not decide whether it is {item.bound}{more}"


def name_verdict(verdict: str | None, also: str) -> str:
    """A verdict with what controls show beside it: ``reproduced, also untrained``; empty if there is none."""
    return ", ".join(filter(None, (verdict, also)))


def name_evidence(name: str, quantifier: str, size: int) -> str:
    """A value's name, and what it stands for if its part has ``size`` values."""
    if quantifier == PREMISE:
        return f"{name} (premise)"
    if quantifier == CONDITION:
        return f"{name} (condition)"
    return f"{name} ({'best' if quantifier == SOME else 'extreme'} of {size})" if size > 1 else name


def format_range(above: float, below: float) -> str:
    """The range that a value must lie in, in words."""
    low, high = (f"{edge:g}".replace("-", "−") for edge in (above, below))
    if math.isinf(below):
        return f"> {low}"
    return f"< {high}" if math.isinf(above) else f"{low} to {high}"


def format_interval(value: float, low: float, high: float, *edges: float) -> str:
    """A value with its interval, in as many decimals as show on which side of 0 and of ``edges`` its ends lie.

    They are two to six. A minus is a true minus.
    """
    known = [edge for edge in (0.0, *edges) if math.isfinite(edge)]

    largest = max(abs(low), abs(high))

    def tells(digits: int) -> bool:
        sides = (np.sign([round(end, digits) - edge, end - edge]) for end in (low, high) for edge in known)
        return all(shown == exact for shown, exact in sides) and (largest * 10**digits >= 10 or largest == 0)

    digits = next((digits for digits in range(2, 6) if tells(digits)), 6)
    shown = [f"{number:z.{digits}f}".replace("-", "−") for number in (value, low, high)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def format_differences(row: Mapping[str, Any]) -> str:
    """The differences of a row of the claims, or of the verdicts, from the controls; nothing where there are none."""
    intervals = {name: [row[name], row[f"{name}_low"], row[f"{name}_high"]] for name in COMPARED}
    known = {name: interval for name, interval in intervals.items() if not np.isnan(interval).any()}
    return "".join(f"; minus {name}: {format_interval(*interval)}" for name, interval in known.items())
