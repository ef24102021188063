"""The paper's empirical statements as rules, each judged on one run: what holds, how sure, and what cannot be told.

A claim's function looks up the values that decide the claim, each with the range that it must lie in. If all bootstrap
intervals lie inside their ranges, the claim is *reproduced*; if one lies outside, *not reproduced*. An interval across
the edge of its range, or a value that the run does not have, makes it *not testable here*, with the reason.

The paper's model has two recurrent layers. What it says of h², its top layer, is judged on the top layer of any model;
what it says of h¹, the layer below, needs a model of two layers or more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from natural_sparsity.analysis.tensors import GRADIENT, find_top, list_layers, sort_tensors, write_tensor
from natural_sparsity.corpus.vocabulary import in_units
from natural_sparsity.errors import UserError

REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE = VERDICTS = ["reproduced", "not reproduced", "not testable here"]

STATES = ["yes", "open", "no"]

# The thresholds. The paper gives the one for ℓ1; the others are ours.
SLIGHT = 0.1  # a correlation nearer to 0 counts as none (the paper's bound for ℓ1, taken for the others)
STRONG = 0.3
STEADY = 0.1  # a smaller change counts as none
LEAST_EPOCHS = 5  # the statements describe a course of training
LEAST_AFTER_DROP = 2  # epochs
LEAST_WORDS = 20  # with fewer, no bootstrap interval can be trusted

ARROWS = {"target": "ρ←", "input": "ρ→"}
WORDS = {
    "all": "",
    "open": ", open class",
    "closed": ", closed class",
    "open_matched": ", open class matched",
    "closed_matched": ", closed class matched",
}
KEYS = ["epoch", "role", "tensor", "measure", "words", "statistic"]
NUMBERS = ["value", "low", "high", "n"]
COLUMNS = ["claim", "verdict", "because", "evidence", *NUMBERS, "above", "below", "least", "holds", "statement", "rule"]


class NotTestable(Exception):  # noqa: N818
    """Why a claim cannot be judged on this run."""


@dataclass(frozen=True)
class Evidence:
    """A value with its interval, and the range, exclusive, in which the claim has it."""

    what: str
    value: float
    low: float
    high: float
    n: int
    above: float = -math.inf
    below: float = math.inf
    least: float = 0

    @property
    def holds(self) -> str:
        """``yes``: the interval is inside the range; ``no``: outside; ``open``: across its edge.

        Where an effect's sign is claimed, an interval that contains 0 and reaches less than ``least`` into the range
        is outside too: it rules out an effect worth the name.
        """
        if self.above < self.low and self.high < self.below:
            return "yes"
        slack_above, slack_below = (self.least if edge == 0 else 0 for edge in (self.above, self.below))
        outside = self.high <= self.above + slack_above or self.below - slack_below <= self.low
        return "no" if outside else "open"

    def __str__(self) -> str:
        return f"{self.what} = {format_number(self.value)} [{format_number(self.low)}, {format_number(self.high)}]"


def format_number(value: float) -> str:
    """A value in two decimals, or one digit if it is smaller, with a true minus."""
    shown = f"{value:.2f}" if abs(value) >= 0.02 or value == 0 else f"{value:.1g}"
    return shown.replace("-", "−")


def format_range(item: Evidence) -> str:
    """The range that a piece of evidence must lie in, in words."""
    low, high = (f"{edge:g}".replace("-", "−") for edge in (item.above, item.below))
    if math.isinf(item.below):
        return f"> {low}"
    return f"< {high}" if math.isinf(item.above) else f"{low} to {high}"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, the rule in words that decides it, and the rule itself."""

    id: str
    statement: str
    rule: str
    evidence: Callable[["Run"], list[Evidence]]


class Run:
    """The tables of one run, and how to ask them; what they lack raises :class:`NotTestable` and is never a value.

    ``dropped``: the epochs after which the learning rate dropped. ``top``: the output of the top recurrent layer.
    """

    def __init__(self, correlations: pd.DataFrame, differences: pd.DataFrame, dropped: list[int]):
        self.correlations = correlations.set_index(KEYS)[NUMBERS].sort_index()
        self.differences = differences.set_index([*KEYS, "kind", "against"])[NUMBERS].sort_index()
        for table, name in ((self.correlations, "correlations"), (self.differences, "differences")):
            if table.index.has_duplicates:
                raise UserError(f"{name}: {table.index[table.index.duplicated()][0]} repeats; give one run's table")
        self.tensors = sort_tensors(correlations["tensor"])
        self.top = find_top(self.tensors)
        self.epochs = sorted(set(correlations["epoch"]))
        self.first, self.last = self.epochs[0], self.epochs[-1]
        self.dropped = dropped

    def look_up(
        self, table: pd.DataFrame, key: tuple, what: str, above: float, below: float, least: float = SLIGHT
    ) -> Evidence:
        """One row of a table as evidence."""
        if key not in table.index:
            raise NotTestable(f"{what} was not measured")
        value, low, high, n = table.loc[key]
        if n < LEAST_WORDS:
            raise NotTestable(f"{what} is over {n:.0f} words; {LEAST_WORDS} are the least")
        if not all(map(math.isfinite, (value, low, high))):
            raise NotTestable(f"{what} is undefined")
        return Evidence(what, float(value), float(low), float(high), int(n), above, below, least)

    def rho(
        self,
        role: str,
        tensor: str,
        epoch: int,
        words: str = "all",
        measure: str = "chi",
        above: float = -math.inf,
        below: float = math.inf,
    ) -> Evidence:
        """The correlation with frequency after an epoch."""
        argument = write_tensor(tensor) if measure == "chi" else f"ℓ1 of {write_tensor(tensor)}"
        what = f"{ARROWS[role]}({argument}){WORDS[words]}, epoch {epoch}"
        return self.look_up(self.correlations, (epoch, role, tensor, measure, words, "pearson"), what, above, below)

    def change(
        self,
        role: str,
        tensor: str,
        start: int,
        end: int,
        words: str = "all",
        above: float = -math.inf,
        below: float = math.inf,
    ) -> Evidence:
        """How much the correlation rose between two epochs, one of them the first or the last."""
        what = f"{ARROWS[role]}({write_tensor(tensor)}){WORDS[words]}, epoch {start} to {end}"
        key = (end, role, tensor, "chi", words, "pearson", "epoch", str(start))
        return self.look_up(self.differences, key, what, above, below)

    def between_tensors(
        self, role: str, tensor: str, against: str, epoch: int, above: float = -math.inf, below: float = math.inf
    ) -> Evidence:
        """By how much the correlation of one tensor exceeds another's after an epoch."""
        what = f"{ARROWS[role]}({write_tensor(tensor)}) − {ARROWS[role]}({write_tensor(against)}), epoch {epoch}"
        key = (epoch, role, tensor, "chi", "all", "pearson", "tensor", against)
        return self.look_up(self.differences, key, what, above, below)

    def between_classes(self, statistic: str, epoch: int, matched: bool, below: float) -> Evidence:
        """By how much the open class's χ of the top gradient, or its correlation, exceeds the closed class's."""
        suffix = "_matched" if matched else ""
        gradient = write_tensor(self.top_gradient)
        name = {"mean": f"mean χ({gradient})", "pearson": f"ρ←({gradient})"}[statistic]
        what = f"{name}, open − closed{', matched' if matched else ''}, epoch {epoch}"
        key = (epoch, "target", self.top_gradient, "chi", f"open{suffix}", statistic, "words", f"closed{suffix}")
        return self.look_up(self.differences, key, what, -math.inf, below, SLIGHT if statistic == "pearson" else 0)

    def epoch_at(self, thirds: int) -> int:
        """The epoch that ends the given number of thirds of training."""
        return self.epochs[math.ceil(len(self.epochs) * thirds / 3) - 1]

    @property
    def top_gradient(self) -> str:
        """The gradient at the output of the top recurrent layer."""
        return GRADIENT + self.top

    @property
    def lower_layer(self) -> str:
        """The output of the first recurrent layer, if it lies below the top one."""
        first = list_layers(self.tensors)[0]
        if first == self.top:
            raise NotTestable("the model has one recurrent layer, and none below it")
        return first

    @property
    def gradients(self) -> list[str]:
        """All gradients that were probed."""
        return [tensor for tensor in self.tensors if tensor.startswith(GRADIENT)]


def find_extreme(every: list[Evidence]) -> Evidence:
    """The one of several values with the same range that speaks most against it."""
    worst = max(every, key=lambda e: (STATES.index(e.holds), -min(e.low - e.above, e.below - e.high)))
    return replace(worst, what=f"{worst.what} (extreme of {len(every)})")


def weigh_absence(run: Run, role: str, tensors: list[str]) -> list[Evidence]:
    """No correlation in any epoch."""
    return [find_extreme([run.rho(role, t, e, above=-SLIGHT, below=SLIGHT) for t in tensors for e in run.epochs])]


def weigh_input_concentration(run: Run) -> list[Evidence]:
    """Both correlations at the end."""
    return [run.rho("input", tensor, run.last, above=0) for tensor in ("h_e", run.lower_layer)]


def weigh_input_overtaking(run: Run) -> list[Evidence]:
    """The difference where it is lowest, and at the end."""
    lower = run.lower_layer
    before = [run.between_tensors("input", "h_e", lower, epoch, below=0) for epoch in run.epochs[:-1]]
    return [
        min(before, key=lambda evidence: evidence.value),
        run.between_tensors("input", "h_e", lower, run.last, above=0),
    ]


def weigh_input_trend(run: Run) -> list[Evidence]:
    """The change before and after the first drop of the learning rate."""
    if not run.dropped:
        raise NotTestable("the learning rate never dropped")
    drop = run.dropped[0]
    if drop == run.first:
        raise NotTestable("the learning rate dropped after the first epoch: there is no course before")
    if sum(epoch > drop for epoch in run.epochs) < LEAST_AFTER_DROP:
        raise NotTestable(f"the learning rate dropped after epoch {drop} of {run.last}: too late to see a trend")
    return [
        run.change("input", "h_e", run.first, drop, below=STEADY),
        run.change("input", "h_e", drop, run.last, above=0),
    ]


def weigh_gradient_strength(run: Run) -> list[Evidence]:
    """The correlation at the end."""
    return [run.rho("target", run.top_gradient, run.last, above=STRONG)]


def weigh_gradient_rise(run: Run) -> list[Evidence]:
    """The change over training."""
    return [run.change("target", run.top_gradient, run.first, run.last, above=0)]


def weigh_gradient_against_activation(run: Run) -> list[Evidence]:
    """The difference at the end."""
    return [run.between_tensors("target", run.top_gradient, run.top, run.last, above=0)]


def weigh_logits(run: Run) -> list[Evidence]:
    """No correlation in any epoch, and the difference at the end."""
    difference = run.between_tensors("target", run.top_gradient, "grad_x", run.last, above=0)
    return [*weigh_absence(run, "target", ["grad_x"]), difference]


def weigh_norm(run: Run) -> list[Evidence]:
    """The correlation of the norm in each epoch."""
    values = [run.rho("target", run.top_gradient, epoch, measure="l1", above=-SLIGHT) for epoch in run.epochs]
    return [find_extreme(values)]


def weigh_closed_class(run: Run) -> list[Evidence]:
    """The change in the first third, and in the last."""
    early, late = run.epoch_at(1), run.epoch_at(2)
    return [
        run.change("target", run.top_gradient, run.first, early, "closed", above=0),
        run.change("target", run.top_gradient, late, run.last, "closed", above=-STEADY, below=STEADY),
    ]


def weigh_open_class(run: Run) -> list[Evidence]:
    """The change over training, and in its last third."""
    return [
        run.change("target", run.top_gradient, start, run.last, "open", above=0)
        for start in (run.first, run.epoch_at(2))
    ]


def weigh_class_means(run: Run) -> list[Evidence]:
    """The difference of the means at the end."""
    return [run.between_classes("mean", run.last, matched=False, below=0)]


def weigh_matched_means(run: Run) -> list[Evidence]:
    """The same of the matched samples, if there is something that could stay."""
    require_effect(run.between_classes("mean", run.last, matched=False, below=0))
    return [run.between_classes("mean", run.last, matched=True, below=0)]


def weigh_matched_course(run: Run) -> list[Evidence]:
    """The difference of the correlations after the first third, if there is something that could stay."""
    require_effect(run.between_classes("pearson", run.epoch_at(1), matched=False, below=0))
    return [run.between_classes("pearson", run.epoch_at(1), matched=True, below=0)]


def require_effect(unmatched: Evidence) -> None:
    """An effect that the whole classes do not show cannot stay after matching."""
    if unmatched.holds != "yes":
        raise NotTestable(f"the whole classes do not show it: {unmatched}")


CLAIMS = [
    Claim(
        "input words: concentrated activations",
        "Frequent input words have concentrated activations at hᵉ and h¹.",
        "ρ→(hᵉ) > 0 and ρ→(h¹) > 0 after the last epoch.",
        weigh_input_concentration,
    ),
    Claim(
        "input words: hᵉ overtakes h¹",
        "The correlation of input frequency with h¹ is overtaken by that with hᵉ late in training.",
        "ρ→(hᵉ) − ρ→(h¹) < 0 in the epoch before the last where it is lowest, and > 0 after the last.",
        weigh_input_overtaking,
    ),
    Claim(
        "input words: not the gradients",
        "The sparsity of gradients never correlates with input frequency.",
        f"|ρ→| < {SLIGHT} (ours) for all gradients after every epoch.",
        lambda run: weigh_absence(run, "input", run.gradients),
    ),
    Claim(
        "input words: rise from the first drop",
        "An upward trend of ρ→ begins at the first drop of the learning rate.",
        f"ρ→(hᵉ) (ours) rises from the first drop to the last epoch, and by less than {STEADY} (ours) before. Needs a"
        f" drop after the first epoch, with at least {LEAST_AFTER_DROP} epochs (ours) after it.",
        weigh_input_trend,
    ),
    Claim(
        "target words: not h²",
        "The sparsity of h² does not correlate with target frequency.",
        f"|ρ←(h²)| < {SLIGHT} (ours) after every epoch.",
        lambda run: weigh_absence(run, "target", [run.top]),
    ),
    Claim(
        "target words: strongly ∇h²",
        "The sparsity of ∇h² correlates strongly with target frequency.",
        f"ρ←(∇h²) > {STRONG} (ours) after the last epoch.",
        weigh_gradient_strength,
    ),
    Claim(
        "target words: ∇h² increasingly",
        "The correlation of χ(∇h²) with target frequency increases over training.",
        "ρ←(∇h²) is higher after the last epoch than after the first.",
        weigh_gradient_rise,
    ),
    Claim(
        "target words: ∇h² more than h²",
        "It is the gradient of h², not h², whose sparsity goes with target frequency.",
        "ρ←(∇h²) − ρ←(h²) > 0 after the last epoch, on paired resamples.",
        weigh_gradient_against_activation,
    ),
    Claim(
        "target words: not ∇x",
        "χ(∇x) does not show the correlation that χ(∇h²) shows.",
        f"|ρ←(∇x)| < {SLIGHT} (ours) after every epoch, and ρ←(∇h²) − ρ←(∇x) > 0 after the last.",
        weigh_logits,
    ),
    Claim(
        "target words: not the ℓ1 norm",
        "The ℓ1 norm of ∇h² is at most slightly anti-correlated with target frequency.",
        f"ρ← of the mean ℓ1 norm > −{SLIGHT} after every epoch.",
        weigh_norm,
    ),
    Claim(
        "classes: closed rises early, then is steady",
        "The correlation of closed-class words rises early and stabilises.",
        f"ρ←(∇h²) of the closed class rises in the first third of training and changes by less than {STEADY} in the"
        f" last third (ours).",
        weigh_closed_class,
    ),
    Claim(
        "classes: open keeps rising",
        "The correlation of open-class words keeps rising.",
        "ρ←(∇h²) of the open class rises from the first to the last epoch, and within the last third (ours).",
        weigh_open_class,
    ),
    Claim(
        "classes: closed has sparser ∇h²",
        "Gradients of closed-class words are more concentrated than those of open-class words.",
        "Mean χ(∇h²) over words, open minus closed class, is < 0 after the last epoch.",
        weigh_class_means,
    ),
    Claim(
        "matched: closed has sparser ∇h²",
        "Gradients of closed-class words are more concentrated also at equal frequency.",
        "The same for the frequency-matched samples. Needs the effect in the whole classes.",
        weigh_matched_means,
    ),
    Claim(
        "matched: closed is ahead early",
        "Closed-class words' earlier rise of the correlation stays after matching for frequency.",
        "ρ←(∇h²), open minus closed matched sample, is < 0 after the first third of training (ours). Needs the same in"
        " the whole classes.",
        weigh_matched_course,
    ),
]


def judge(claim: Claim, run: Run) -> tuple[str, str, list[Evidence]]:
    """The verdict on a claim, the reason if it cannot be tested, and the evidence."""
    if len(run.epochs) < LEAST_EPOCHS:
        return NOT_TESTABLE, f"the run has {len(run.epochs)} epochs; {LEAST_EPOCHS} are the least", []
    try:
        evidence = claim.evidence(run)
    except NotTestable as reason:
        return NOT_TESTABLE, str(reason), []
    states = {item.holds for item in evidence}
    if "no" in states:
        return NOT_REPRODUCED, "", evidence
    if states == {"yes"}:
        return REPRODUCED, "", evidence
    unclear = next(item for item in evidence if item.holds == "open")
    return NOT_TESTABLE, f"{unclear} does not decide whether it is {format_range(unclear)}", evidence


def judge_all(run: Run, claims: list[Claim] = CLAIMS, unit: str = "word") -> pd.DataFrame:
    """A row for each piece of evidence, and one for each claim that has none: the columns are :data:`COLUMNS`.

    The texts speak of the model's own top layer, and of the ``unit`` that the vocabulary is made of; claims about
    classes, which only words have, are not testable for another unit.
    """
    rows = []
    for claim in claims:
        verdict, because, evidence = judge(claim, run)
        head = {"claim": claim.id, "verdict": verdict, "because": because}
        head |= {"statement": claim.statement, "rule": claim.rule}
        head = {key: name_top_layer(text, run.top) if key != "because" else text for key, text in head.items()}
        rows += [{**head, **vars(item), "evidence": item.what, "holds": item.holds} for item in evidence] or [head]
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    if unit != "word":
        about_all = ~table["claim"].str.startswith(("classes", "matched"))
        texts = ["claim", "statement", "rule", "because"]
        table.loc[about_all, texts] = table.loc[about_all, texts].map(lambda text: in_units(text, unit))
        table.loc[~about_all, "because"] = f"a {unit} has no part of speech, hence no class"
    return table.astype(dict.fromkeys(["value", "low", "high", "above", "below", "least"], float) | {"n": "Int64"})


def name_top_layer(text: str, top: str) -> str:
    """A text about h², the paper's top layer, rewritten for the output ``top``."""
    return text.replace("h²", write_tensor(top))
