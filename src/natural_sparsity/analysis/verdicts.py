"""Judge every claim on a run, and look for its effects in the model untrained and trained on shuffled text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from natural_sparsity.analysis.claims import CLAIMS, COURSE, EFFECTS, TEXT, Claim
from natural_sparsity.analysis.rules import (
    ALSO_SHUFFLED,
    ALSO_UNTRAINED,
    COMPARED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED_SHUFFLED,
    YES,
    Evidence,
    Judgement,
    NotTestable,
    find_interval,
    find_joint_intervals,
    judge,
)
from natural_sparsity.analysis.tensors import write_tensor
from natural_sparsity.analysis.values import Run, subtract
from natural_sparsity.corpus.vocabulary import in_units

# The first epoch, the ends of the thirds and the middle of training are then five epochs.
LEAST_EPOCHS = 5
COLUMNS = [
    *("claim", "kind", "statement", "rule", "verdict", "also", "because"),
    *("part", "quantifier", "shown", "evidence", "quantity", "value", "low", "high", "low_all", "high_all", "n"),
    *("above", "below", "effect", "effect_reason", "holds"),
    *(name for other in COMPARED for name in (f"in_{other}", other, f"{other}_low", f"{other}_high")),
]


def judge_claim(claim: Claim, run: Run, level: float) -> Judgement:
    """Judge a claim on a run."""
    if claim.kind == COURSE and len(run.epochs) < LEAST_EPOCHS:
        number = f"{len(run.epochs)} trained epoch{'s' if len(run.epochs) > 1 else ''}"
        return Judgement(NOT_TESTABLE, f"a course of training needs {LEAST_EPOCHS} epochs; the run has {number}")
    if claim.kind == COURSE and (missing := run.missing):
        return Judgement(NOT_TESTABLE, f"a course of training needs every epoch; epoch {missing[0]} was not probed")
    try:
        return judge(claim.find(run), level)
    except NotTestable as reason:
        return Judgement(NOT_TESTABLE, str(reason))


@dataclass(frozen=True)
class Comparison:
    """The same claim on another model.

    Attributes:
        verdict: the other model's.
        decides: whether a difference of an effect that is there lies wholly on the side of the claimed effect.
        values: the other model's value for each piece of evidence; NaN if the claim cannot be judged on it.
        differences: value, low, high for each piece of evidence, NaN where none is compared. The intervals cover all
            the claim's differences at once.
    """

    verdict: str
    decides: bool
    values: list[float] = field(default_factory=list)
    differences: list[tuple[float, float, float]] = field(default_factory=list)


def compare(claim: Claim, judgement: Judgement, other: Run, level: float) -> Comparison:
    """Compare what a claim rests on with another model's, in the same resamples.

    Only effects that are claimed are compared, with values of the same place in the claim; changes over training are
    not compared with an untrained model, which has none.
    """
    nothing = [(math.nan,) * 3 for _ in judgement.evidence]
    untrained = other.epochs == [0]
    try:
        parts = claim.find(other)
        verdict = judge(parts, level).verdict
    except NotTestable:
        return Comparison(NOT_TESTABLE, False, [math.nan for _ in nothing], nothing)
    bounds = [bound for part in parts for bound in part.bounds]
    theirs = [float(bound.value.replicates[0]) for bound in bounds]
    compared = {
        i: subtract("", item.bound.value, bound.value)
        for i, (item, bound) in enumerate(zip(judgement.evidence, bounds, strict=True))
        if item.is_effect and not (untrained and item.bound.value.change)
    }
    if not compared:
        return Comparison(verdict, False, theirs, nothing)
    values = list(compared.values())
    own = [find_interval(value.replicates, level) for value in values]
    joint = dict(zip(compared, find_joint_intervals(values, own, level), strict=True))
    differences, decides = nothing, False
    for i, value in compared.items():
        differences[i] = float(value.replicates[0]), joint[i].low, joint[i].high
        item = judgement.evidence[i]
        decides |= item.holds == YES and (joint[i].least > 0 if item.bound.side > 0 else joint[i].most < 0)
    return Comparison(verdict, decides, theirs, differences)


def qualify(verdict: str, untrained: Comparison | None, shuffled: Comparison | None) -> str:
    """What is to be said beside the verdict "reproduced" on an effect."""
    if verdict != REPRODUCED:
        return ""
    if untrained and untrained.verdict == REPRODUCED:
        return ALSO_UNTRAINED
    if not shuffled or shuffled.decides:
        return ""
    return ALSO_SHUFFLED if shuffled.verdict == REPRODUCED else UNDECIDED_SHUFFLED


def judge_all(
    run: Run, level: float, control: Run | None = None, unit: str = "word", claims: Sequence[Claim] = CLAIMS
) -> pd.DataFrame:
    """A row for each piece of evidence, and one for each claim that has none: the columns are :data:`COLUMNS`.

    The texts speak of the model's own top layer, and of the ``unit`` that the vocabulary is made of; claims about
    classes, which only words have, are not testable for another unit.

    Args:
        run: the run.
        level: of the intervals.
        control: the same model trained on the run's text shuffled, after the same epochs.
        unit: what the vocabulary is made of.
        claims: those to judge.
    """
    rows: list[dict[str, object]] = []
    for claim in claims:
        if claim.classes and unit != "word":
            judgement = Judgement(NOT_TESTABLE, f"a {unit} has no part of speech, hence no class")
        else:
            judgement = judge_claim(claim, run, level)
        is_effect = claim.kind != TEXT and any(item.is_effect for item in judgement.evidence)
        others = {
            name: compare(claim, judgement, other, level) if other and is_effect else None
            for name, other in zip(COMPARED, (run.untrain(), control), strict=True)
        }
        texts = {"claim": claim.id, "statement": claim.statement, "rule": write_rule(claim.rule)}
        texts = {key: text.replace("h²", write_tensor(run.top)) for key, text in texts.items()}
        texts["because"] = judgement.because
        if not claim.classes:
            texts = {key: in_units(text, unit) for key, text in texts.items()}
        head: dict[str, object] = {**texts, "kind": claim.kind, "verdict": judgement.verdict}
        head["also"] = qualify(judgement.verdict, **others) if is_effect else ""
        evidence: list[dict[str, object]] = []
        for i, item in enumerate(judgement.evidence):
            row = describe(item)
            for name, other in others.items():
                if other:
                    row[f"in_{name}"] = other.values[i]
                    row |= dict(zip((name, f"{name}_low", f"{name}_high"), other.differences[i], strict=True))
            evidence.append({**head, **row})
        rows += evidence or [head]
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    numbers = COLUMNS[COLUMNS.index("value") :]
    floats = [name for name in numbers if name not in ("n", "effect_reason", "holds")]
    return table.astype(dict.fromkeys(floats, float) | dict.fromkeys(["n", "part"], "Int64") | {"shown": "boolean"})


def describe(item: Evidence) -> dict[str, object]:
    """A piece of evidence as columns of the table."""
    value, bound = item.bound.value, item.bound
    return {
        "part": item.part,
        "quantifier": item.quantifier,
        "shown": item.shown,
        "evidence": value.name,
        "quantity": value.quantity,
        "value": item.value,
        "low": item.interval.low,
        "high": item.interval.high,
        "low_all": item.joint.low,
        "high_all": item.joint.high,
        "n": value.n,
        "above": bound.above,
        "below": bound.below,
        "effect": bound.effect.size,
        "effect_reason": bound.effect.reason,
        "holds": item.holds,
    }


def write_rule(rule: str) -> str:
    """A rule with the sizes of the effects."""
    sizes = zip(("slight", "strong", "change", "shift"), EFFECTS, strict=True)
    return rule.format(**{name: f"{effect.size:g}" for name, effect in sizes})
