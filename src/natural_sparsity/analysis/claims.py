"""The paper's empirical statements as rules, each judged on one run: what holds, how sure, and what cannot be told.

A claim's function takes the run's tables to the values that the claim is about, each with the range that it must lie
in. All bootstrap intervals inside their ranges: *reproduced*. One outside: *not reproduced*. Else, an interval across
the edge of its range, or a value that the run does not have: *not testable here*, with the reason.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from natural_sparsity import files
from natural_sparsity.corpus.vocabulary import UNITS, in_units
from natural_sparsity.errors import UserError
from natural_sparsity.figures.inputs import drops, read_checkpoints

REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE = "reproduced", "not reproduced", "not testable here"

STATES = ["yes", "open", "no"]

# The thresholds. The paper gives the one for ℓ1; the others are ours.
SLIGHT = 0.1  # a correlation nearer to 0 is none (the paper's bound for ℓ1, taken for the others)
STRONG = 0.3
STEADY = 0.1  # a change of less than this is none
LEAST_EPOCHS = 5  # the statements are about a course of training
LEAST_AFTER_DROP = 2  # epochs
LEAST_WORDS = 20  # fewer make no bootstrap interval to trust

NAMES = {"h_e": "hᵉ", "h_1": "h¹", "h_2": "h²", "x": "x̂"} | {
    "grad_h_e": "∇hᵉ",
    "grad_h_1": "∇h¹",
    "grad_h_2": "∇h²",
    "grad_x": "∇x",
}
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
        return f"{self.what} = {number(self.value)} [{number(self.low)}, {number(self.high)}]"


def number(value: float) -> str:
    """Two decimals, or one digit of what is smaller, with a true minus."""
    shown = f"{value:.2f}" if abs(value) >= 0.02 or value == 0 else f"{value:.1g}"
    return shown.replace("-", "−")


def requirement(item: Evidence) -> str:
    """The range of a piece of evidence in words."""
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
    """The tables of one run, and how to ask them; what they lack is :class:`NotTestable`, never a value."""

    def __init__(self, correlations: pd.DataFrame, differences: pd.DataFrame, dropped: list[int]):
        self.correlations = correlations.set_index(KEYS)[NUMBERS].sort_index()
        self.differences = differences.set_index([*KEYS, "kind", "against"])[NUMBERS].sort_index()
        for table, name in ((self.correlations, "correlations"), (self.differences, "differences")):
            if table.index.has_duplicates:
                raise UserError(f"{name}: {table.index[table.index.duplicated()][0]} repeats; give one run's table")
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
            raise NotTestable(f"{what} is of {n:.0f} words; {LEAST_WORDS} are the least")
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
        of = f"({NAMES[tensor]})" if measure == "chi" else f"(ℓ1 of {NAMES[tensor]})"
        what = f"{ARROWS[role]}{of}{WORDS[words]}, epoch {epoch}"
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
        """How much the correlation rose between two epochs, of which one is the first or the last."""
        what = f"{ARROWS[role]}({NAMES[tensor]}){WORDS[words]}, epoch {start} to {end}"
        key = (end, role, tensor, "chi", words, "pearson", "epoch", str(start))
        return self.look_up(self.differences, key, what, above, below)

    def between_tensors(
        self, role: str, tensor: str, against: str, epoch: int, above: float = -math.inf, below: float = math.inf
    ) -> Evidence:
        """By how much the correlation of one tensor exceeds another's after an epoch."""
        what = f"{ARROWS[role]}({NAMES[tensor]}) − {ARROWS[role]}({NAMES[against]}), epoch {epoch}"
        key = (epoch, role, tensor, "chi", "all", "pearson", "tensor", against)
        return self.look_up(self.differences, key, what, above, below)

    def between_classes(self, statistic: str, epoch: int, matched: bool, below: float) -> Evidence:
        """By how much the open class's χ(∇h²), or its correlation, exceeds the closed class's after an epoch."""
        suffix = "_matched" if matched else ""
        name = {"mean": "mean χ(∇h²)", "pearson": "ρ←(∇h²)"}[statistic]
        what = f"{name}, open − closed{', matched' if matched else ''}, epoch {epoch}"
        key = (epoch, "target", "grad_h_2", "chi", f"open{suffix}", statistic, "words", f"closed{suffix}")
        return self.look_up(self.differences, key, what, -math.inf, below, SLIGHT if statistic == "pearson" else 0)

    def epoch_at(self, thirds: int) -> int:
        """The epoch that ends so many thirds of training."""
        return self.epochs[math.ceil(len(self.epochs) * thirds / 3) - 1]


def extreme(every: list[Evidence]) -> Evidence:
    """Of many values with one range, the one that speaks most against it."""
    worst = max(every, key=lambda e: (STATES.index(e.holds), -min(e.low - e.above, e.below - e.high)))
    return replace(worst, what=f"{worst.what} (extreme of {len(every)})")


def never(run: Run, role: str, tensors: list[str]) -> list[Evidence]:
    """No correlation in any epoch."""
    return [extreme([run.rho(role, t, e, above=-SLIGHT, below=SLIGHT) for t in tensors for e in run.epochs])]


def input_concentrated(run: Run) -> list[Evidence]:
    """Both correlations at the end."""
    return [run.rho("input", tensor, run.last, above=0) for tensor in ("h_e", "h_1")]


def input_overtaken(run: Run) -> list[Evidence]:
    """The difference where it is lowest, and at the end."""
    before = [run.between_tensors("input", "h_e", "h_1", epoch, below=0) for epoch in run.epochs[:-1]]
    return [
        min(before, key=lambda evidence: evidence.value),
        run.between_tensors("input", "h_e", "h_1", run.last, above=0),
    ]


def gradient_rises(run: Run) -> list[Evidence]:
    """The change over training."""
    return [run.change("target", "grad_h_2", run.first, run.last, above=0)]


def logits_do_not(run: Run) -> list[Evidence]:
    """No correlation in any epoch, and the difference at the end."""
    return [*never(run, "target", ["grad_x"]), run.between_tensors("target", "grad_h_2", "grad_x", run.last, above=0)]


def l1_is_not(run: Run) -> list[Evidence]:
    """The correlation of the norm in each epoch."""
    return [extreme([run.rho("target", "grad_h_2", epoch, measure="l1", above=-SLIGHT) for epoch in run.epochs])]


def closed_early(run: Run) -> list[Evidence]:
    """The change in the first third, and in the last."""
    early, late = run.epoch_at(1), run.epoch_at(2)
    return [
        run.change("target", "grad_h_2", run.first, early, "closed", above=0),
        run.change("target", "grad_h_2", late, run.last, "closed", above=-STEADY, below=STEADY),
    ]


def open_late(run: Run) -> list[Evidence]:
    """The change over training, and in its last third."""
    return [
        run.change("target", "grad_h_2", start, run.last, "open", above=0) for start in (run.first, run.epoch_at(2))
    ]


def class_level(run: Run) -> list[Evidence]:
    """The difference of the means at the end."""
    return [run.between_classes("mean", run.last, matched=False, below=0)]


def class_level_matched(run: Run) -> list[Evidence]:
    """The same of the matched samples, if there is something that could stay."""
    stays(run.between_classes("mean", run.last, matched=False, below=0))
    return [run.between_classes("mean", run.last, matched=True, below=0)]


def class_course_matched(run: Run) -> list[Evidence]:
    """The difference of the correlations after the first third, if there is something that could stay."""
    stays(run.between_classes("pearson", run.epoch_at(1), matched=False, below=0))
    return [run.between_classes("pearson", run.epoch_at(1), matched=True, below=0)]


def stays(unmatched: Evidence) -> None:
    """An effect that the whole classes do not show cannot stay after matching."""
    if unmatched.holds != "yes":
        raise NotTestable(f"the whole classes do not show it: {unmatched}")


def trend_from_drop(run: Run) -> list[Evidence]:
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


GRADIENTS = ["grad_h_e", "grad_h_1", "grad_h_2", "grad_x"]
CLAIMS = [
    Claim(
        "input words: concentrated activations",
        "Frequent input words have concentrated activations at hᵉ and h¹.",
        "ρ→(hᵉ) > 0 and ρ→(h¹) > 0 after the last epoch.",
        input_concentrated,
    ),
    Claim(
        "input words: hᵉ overtakes h¹",
        "The correlation of input frequency with h¹ is overtaken by that with hᵉ late in training.",
        "ρ→(hᵉ) − ρ→(h¹) < 0 in the epoch before the last where it is lowest, and > 0 after the last.",
        input_overtaken,
    ),
    Claim(
        "input words: not the gradients",
        "The sparsity of gradients never correlates with input frequency.",
        f"|ρ→| < {SLIGHT} (ours) for all four gradients after every epoch.",
        lambda run: never(run, "input", GRADIENTS),
    ),
    Claim(
        "input words: rise from the first drop",
        "An upward trend of ρ→ begins at the first drop of the learning rate.",
        f"ρ→(hᵉ) (ours) rises from the first drop to the last epoch, and by less than {STEADY} (ours) before. Needs a"
        f" drop after the first epoch, with at least {LEAST_AFTER_DROP} epochs (ours) after it.",
        trend_from_drop,
    ),
    Claim(
        "target words: not h²",
        "The sparsity of h² does not correlate with target frequency.",
        f"|ρ←(h²)| < {SLIGHT} (ours) after every epoch.",
        lambda run: never(run, "target", ["h_2"]),
    ),
    Claim(
        "target words: strongly ∇h²",
        "The sparsity of ∇h² correlates strongly with target frequency.",
        f"ρ←(∇h²) > {STRONG} (ours) after the last epoch.",
        lambda run: [run.rho("target", "grad_h_2", run.last, above=STRONG)],
    ),
    Claim(
        "target words: ∇h² increasingly",
        "The correlation of χ(∇h²) with target frequency increases over training.",
        "ρ←(∇h²) is higher after the last epoch than after the first.",
        gradient_rises,
    ),
    Claim(
        "target words: ∇h² more than h²",
        "It is the gradient of h², not h², whose sparsity goes with target frequency.",
        "ρ←(∇h²) − ρ←(h²) > 0 after the last epoch, on paired resamples.",
        lambda run: [run.between_tensors("target", "grad_h_2", "h_2", run.last, above=0)],
    ),
    Claim(
        "target words: not ∇x",
        "χ(∇x) does not show the correlation that χ(∇h²) shows.",
        f"|ρ←(∇x)| < {SLIGHT} (ours) after every epoch, and ρ←(∇h²) − ρ←(∇x) > 0 after the last.",
        logits_do_not,
    ),
    Claim(
        "target words: not the ℓ1 norm",
        "The ℓ1 norm of ∇h² is at most slightly anti-correlated with target frequency.",
        f"ρ← of the mean ℓ1 norm > −{SLIGHT} after every epoch.",
        l1_is_not,
    ),
    Claim(
        "classes: closed rises early, then is steady",
        "The correlation of closed-class words rises early and stabilises.",
        f"ρ←(∇h²) of the closed class rises in the first third of training and changes by less than {STEADY} in the"
        f" last third (ours).",
        closed_early,
    ),
    Claim(
        "classes: open keeps rising",
        "The correlation of open-class words keeps rising.",
        "ρ←(∇h²) of the open class rises from the first to the last epoch, and within the last third (ours).",
        open_late,
    ),
    Claim(
        "classes: closed has sparser ∇h²",
        "Gradients of closed-class words are more concentrated than those of open-class words.",
        "Mean χ(∇h²) over words, open less closed class, is < 0 after the last epoch.",
        class_level,
    ),
    Claim(
        "matched: closed has sparser ∇h²",
        "Gradients of closed-class words are more concentrated also at equal frequency.",
        "The same of the frequency-matched samples. Needs the effect in the whole classes.",
        class_level_matched,
    ),
    Claim(
        "matched: closed is ahead early",
        "Closed-class words' earlier rise of the correlation stays after matching for frequency.",
        "ρ←(∇h²), open less closed matched sample, is < 0 after the first third of training (ours). Needs the same in"
        " the whole classes.",
        class_course_matched,
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
    return NOT_TESTABLE, f"{unclear} does not decide whether it is {requirement(unclear)}", evidence


def judged(run: Run, claims: list[Claim] = CLAIMS, unit: str = "word") -> pd.DataFrame:
    """A row for each piece of evidence, and one for each claim that has none: the columns are :data:`COLUMNS`.

    They speak of the corpus's ``unit``, but for claims about classes, which are of words.
    """
    rows = []
    for claim in claims:
        verdict, because, evidence = judge(claim, run)
        head = {"claim": claim.id, "verdict": verdict, "because": because}
        head |= {"statement": claim.statement, "rule": claim.rule}
        rows += [{**head, **vars(item), "evidence": item.what, "holds": item.holds} for item in evidence] or [head]
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    if unit != "word":
        about_all = ~table["claim"].str.startswith(("classes", "matched"))
        texts = ["claim", "statement", "rule", "because"]
        table.loc[about_all, texts] = table.loc[about_all, texts].map(lambda text: in_units(text, unit))
        table.loc[~about_all, "because"] = f"a {unit} has no part of speech, hence no class"
    return table.astype(dict.fromkeys(["value", "low", "high", "above", "below", "least"], float) | {"n": "Int64"})


def markdown(table: pd.DataFrame, name: str, run: Run, level: float, resamples: int, unit: str = "word") -> str:
    """The table for reading: a row a claim."""
    lowered = f"dropped after epoch {', '.join(map(str, run.dropped))}" if run.dropped else "never dropped"
    lines = [
        f"# Claims of Saphra & Lopez 2019 on {name}",
        "",
        f"{len(run.epochs)} epochs; the learning rate {lowered}. In brackets: {100 * level:g} % intervals from "
        f"{resamples:,} bootstrap resamples of the {unit}s. A claim is reproduced if every interval lies in its range, "
        f"not reproduced if one lies outside or (where a sign is claimed) holds 0 and no effect of {SLIGHT}. It "
        f"needs {LEAST_EPOCHS} epochs and {LEAST_WORDS} {unit}s.",
        "",
        "| Claim | Rule | Evidence | Verdict |",
        "| --- | --- | --- | --- |",
    ]
    for _, rows in table.groupby("claim", sort=False):
        first = rows.iloc[0]
        parts = []
        for row in rows.dropna(subset="value").to_dict("records"):
            item = Evidence(row["evidence"], **{key: row[key] for key in [*NUMBERS, "above", "below", "least"]})
            parts.append(f"{item}, n = {item.n:,}: {requirement(item)}? {item.holds}")
        verdict = f"**{first['verdict']}**" + (f", because {first['because']}" if first["because"] else "")
        cells = [first["statement"], first["rule"], "<br>".join(parts) or "none", verdict]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--correlations", type=Path, required=True, help="Parquet of correlate")
    parser.add_argument("--differences", type=Path, required=True, help="Parquet of correlate")
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help="checkpoint JSON, one an epoch")
    parser.add_argument("--run", required=True, help="name of the run, for the heading")
    parser.add_argument("--unit", choices=UNITS, default="word", help="what the corpus's tokens are")
    parser.add_argument("--csv", type=Path, required=True, help="out: a row for each piece of evidence")
    parser.add_argument("--markdown", type=Path, required=True, help="out: a row for each claim")


def run(args: argparse.Namespace) -> None:
    """Judge every claim."""
    correlations = files.read_parquet(args.correlations, [*KEYS, *NUMBERS])
    differences = files.read_parquet(args.differences, [*KEYS, "kind", "against", *NUMBERS])
    settings = files.read_metadata(args.correlations)["statistics"]
    if files.read_metadata(args.differences)["statistics"] != settings or correlations.empty:
        raise UserError(f"{args.differences}: not made together with {args.correlations}; correlate again")
    checkpoints = read_checkpoints(args.checkpoints)
    missing = sorted(set(correlations["epoch"]) - set(checkpoints["epoch"]))
    if missing:
        raise UserError(f"--checkpoints: none of epoch {missing[0]}, which {args.correlations} has")
    of_run = Run(correlations, differences, drops(checkpoints, correlations["epoch"]))
    table = judged(of_run, unit=args.unit)
    with files.atomic(args.csv) as path:
        table.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(args.markdown) as path:
        text = markdown(table, args.run, of_run, settings["level"], settings["resamples"], args.unit)
        path.write_text(text, encoding="utf-8")
