"""The paper's empirical statements, each with a rule that decides it: which values it is about, and their ranges.

:mod:`.values` looks the values up, :mod:`.rules` weighs them, :mod:`.verdicts` judges a run.

The paper's model has two recurrent layers. What it says of h², its top layer, is judged on the top layer of any model;
what it says of h¹, the layer below, needs a model of two layers or more.
"""

from collections.abc import Callable
from dataclasses import dataclass

from natural_sparsity.analysis.rules import (
    Bound,
    Effect,
    NotTestable,
    Part,
    Value,
    condition,
    each,
    every,
    premise,
    some,
)
from natural_sparsity.analysis.tensors import list_activations, list_gradients, write_tensor
from natural_sparsity.analysis.values import Run

# The smallest effects that count. The paper gives the one for ℓ1; the others are ours.
SLIGHT = Effect(0.1, "the paper calls a correlation of −0.1 slight; weaker ones count as none")
STRONG = Effect(
    0.3,
    "a medium correlation by the usual convention (Cohen 1988); weaker or negative ones are not called strong",
)
CHANGE = Effect(
    0.05, "half a slight correlation: the smallest change in a correlation, or difference between two, that counts"
)
SHIFT = Effect(0.2, "a small difference of means by the usual convention (Cohen 1988), in standard deviations")
EFFECTS = [SLIGHT, STRONG, CHANGE, SHIFT]


LEAST_AFTER_DROP = 2  # epochs
STATE, COURSE, TEXT = "state", "course", "text"
# Samples in which classes are compared: the ends of their sets' names.
WHOLE, MATCHED, PAIRED = "", "_matched", "_paired"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, the rule in words that decides it, and the rule itself.

    ``kind``: about a state of the model (the last checkpoint will do), a course of training, or the text alone.
    ``classes``: about parts of speech, which only words have.
    """

    id: str
    kind: str
    statement: str
    rule: str
    find: Callable[[Run], list[Part]]
    classes: bool = False


def find_early_rise(run: Run) -> list[Part]:
    """ρ→(h¹) rises at once, and by less per epoch from then on."""
    lower, role = run.lower, "input"
    at_once = run.rise(role, lower, 0, run.first)
    later = run.rise(role, lower, run.first, run.last)
    rates = [at_once.replicates / max(1, run.first), later.replicates / max(1, run.last - run.first)]
    name = f"ρ→({write_tensor(lower)}), rise per epoch, until epoch {run.first} − later"
    slower = Value(name, rates[0] - rates[1], at_once.n, change=True)
    return [*each(at_once.exceeds(SLIGHT), slower.exceeds(CHANGE)), *condition(later.exceeds(CHANGE))]


def find_overtaking(run: Run) -> list[Part]:
    """ρ→(hᵉ) is below ρ→(h¹) halfway through training and above it at the end, where it is an effect."""
    role, upper, lower = "input", "h_e", run.lower
    before, after = (run.lead(role, upper, lower, epoch) for epoch in (run.end_of(1 / 2), run.last))
    return [
        *condition(before.falls_below(CHANGE)),
        *each(after.exceeds(CHANGE)),
        *condition(run.rho(role, upper, run.last).exceeds(SLIGHT)),
    ]


def find_rise_from_drop(run: Run) -> list[Part]:
    """ρ→(hᵉ) and ρ→(h¹) rise from the first drop of the learning rate, and not before."""
    if not run.dropped:
        raise NotTestable("the learning rate never dropped")
    drop = run.dropped[0]
    if drop == run.first:
        raise NotTestable("the learning rate dropped right after the first epoch, so there is no trend before the drop")
    if sum(epoch > drop for epoch in run.epochs) < LEAST_AFTER_DROP:
        raise NotTestable(f"the learning rate dropped after epoch {drop} of {run.last}: too late to see a trend")
    tensors = ["h_e", run.lower]
    before = [run.rise("input", tensor, run.first, drop).stays_below(SLIGHT) for tensor in tensors]
    after = [run.rise("input", tensor, drop, run.last).exceeds(CHANGE) for tensor in tensors]
    return each(*before, *after)


def find_dispersion(run: Run) -> list[Part]:
    """ρ← of no activation is positive, and that of at least one is negative."""
    values = [run.rho("target", tensor, run.last) for tensor in list_activations(run.measured.tensors)]
    return [*every(v.stays_below(SLIGHT) for v in values), *some(v.falls_below(SLIGHT) for v in values)]


def find_exception(run: Run) -> list[Part]:
    """ρ←(∇h_L) is strong and rises; every other tensor's is not strong, or does not rise."""
    role = "target"

    def look(tensor: str) -> tuple[Value, Value]:
        return run.rho(role, tensor, run.last), run.rise(role, tensor, run.first, run.last)

    level, rise = look(run.gradient)
    rest = [look(tensor) for tensor in run.others]
    parts = [some([value.stays_below(STRONG), change.stays_below(CHANGE)]) for value, change in rest]
    return [*each(level.exceeds(STRONG), rise.exceeds(CHANGE)), *(part for [part] in parts)]


def find_class_frequency(run: Run) -> list[Part]:
    """Log frequency correlates with being of the closed class."""
    replicates, n = run.measured.replicate_class()
    return each(Value("correlation of log frequency with the closed class", replicates, n).exceeds(SLIGHT))


def is_strong(run: Run) -> Bound:
    """ρ←(∇h_L) is strong after the last epoch."""
    return run.rho("target", run.gradient, run.last).exceeds(STRONG)


def find_frequent_lead(run: Run) -> list[Part]:
    """ρ←(∇h_L) is an effect over the more frequent words, and higher than over the rarer ones."""
    return [
        *condition(run.rho("target", run.gradient, run.last, "frequent").exceeds(SLIGHT)),
        *each(run.between("frequent", "rare", run.last).exceeds(CHANGE)),
    ]


def find_sparser(run: Run, sample: str) -> list[Part]:
    """Mean χ of ∇h_L is higher over the closed class after the last epoch."""
    return each(run.sparser(sample).exceeds(SHIFT))


def find_ahead(run: Run, sample: str) -> list[Part]:
    """After the first epoch, ρ←(∇h_L) is an effect over the closed class, and higher than over the open."""
    words, other = f"closed{sample}", f"open{sample}"
    return [
        *condition(run.rho("target", run.gradient, run.first, words).exceeds(SLIGHT)),
        *each(run.between(words, other, run.first).exceeds(CHANGE)),
    ]


def find_diverging(run: Run, sample: str) -> list[Part]:
    """ρ←(∇h_L) rises over the open class, and more than over the closed."""
    words = f"open{sample}"
    return [
        *condition(run.rise("target", run.gradient, run.first, run.last, words).exceeds(CHANGE)),
        *each(run.diverge(sample).exceeds(CHANGE)),
    ]


def find_lasting_rise(run: Run) -> list[Part]:
    """ρ←(∇h_L) over the open class rises, and still does in the last third of training."""
    whole, late = (
        run.rise("target", run.gradient, start, run.last, "open").exceeds(CHANGE)
        for start in (run.first, run.end_of(2 / 3))
    )
    return [*condition(whole), *each(late)]


# The rules that are judged on the whole classes and on samples.
SPARSER = "After the last epoch, mean χ(∇h²) is higher over the closed class by > {shift} standard deviations"
AHEAD = (
    "After the first epoch, ρ←(∇h²) over the closed class is > {slight}, and exceeds that over the open by > {change}"
)
DIVERGING = (
    "From the first to the last epoch, ρ←(∇h²) over the open class rises by > {change}, and by > {change} more than"
    " over the closed"
)


def describe_samples(name: str, sample: str, words: str) -> list[Claim]:
    """What is said of the classes, of samples of equal frequency."""

    def claim(about: str, kind: str, statement: str, rule: str, find: Callable[[Run, str], list[Part]]) -> Claim:
        return Claim(
            f"{name}: {about}",
            kind,
            statement,
            f"{rule}, {words}. Needs the same effect in the whole classes.",
            lambda run: [*premise(*(bound for part in find(run, WHOLE) for bound in part.bounds)), *find(run, sample)],
            classes=True,
        )

    return [
        claim(
            "closed has sparser ∇h²",
            STATE,
            "Gradients of closed-class words are more concentrated even at equal frequency.",
            SPARSER,
            find_sparser,
        ),
        claim(
            "closed is ahead early",
            COURSE,
            "Closed-class words show the correlation earlier even at equal frequency.",
            AHEAD,
            find_ahead,
        ),
        claim(
            "trends differ",
            COURSE,
            "The trends of the classes differ even at equal frequency: the open class's correlation rises more.",
            DIVERGING,
            find_diverging,
        ),
    ]


# In a rule, {slight}, {strong}, {change} and {shift} are the sizes of the effects.
CLAIMS = [
    Claim(
        "text: frequent words are function words",
        TEXT,
        "Frequent words tend to be function words.",
        "The correlation of log frequency with being of the closed class, over words of either class, is > {slight}.",
        find_class_frequency,
        classes=True,
    ),
    Claim(
        "training: sparser ∇h²",
        COURSE,
        "The sparsity of ∇h² rises with training time.",
        "Mean χ(∇h²) over words rises by > {shift} standard deviations from the first to the last epoch.",
        lambda run: each(run.growth().exceeds(SHIFT)),
    ),
    Claim(
        "input words: concentrated activations",
        STATE,
        "Frequent input words have concentrated activations at hᵉ and h¹.",
        "ρ→(hᵉ) and ρ→(h¹) > {slight} after the last epoch.",
        lambda run: each(*(run.rho("input", t, run.last).exceeds(SLIGHT) for t in ("h_e", run.lower))),
    ),
    Claim(
        "input words: not the gradients",
        STATE,
        "The sparsity of gradients never correlates with input frequency.",
        "|ρ→| < {slight} for all gradients after every epoch.",
        lambda run: every(
            run.rho("input", tensor, epoch).stays_within(SLIGHT)
            for tensor in list_gradients(run.measured.tensors)
            for epoch in run.epochs
        ),
    ),
    Claim(
        "input words: h¹ quickly, then slowly",
        COURSE,
        "h¹ quickly becomes sparse for common input words; its correlation later rises more slowly.",
        "ρ→(h¹) rises by > {slight} from the untrained model to the first epoch and by > {change} from there to the"
        " last, and its rise per epoch is greater by > {change} at first than later.",
        find_early_rise,
    ),
    Claim(
        "input words: hᵉ overtakes h¹ late",
        COURSE,
        "The correlation of input frequency with h¹ is overtaken by that with hᵉ late in training.",
        "ρ→(hᵉ) − ρ→(h¹) < −{change} halfway through training, and > {change} after the last epoch, when ρ→(hᵉ) is >"
        " {slight}.",
        find_overtaking,
    ),
    Claim(
        "input words: rise from the first drop",
        COURSE,
        "An upward trend of ρ→ begins at the first drop of the learning rate.",
        "ρ→(hᵉ) and ρ→(h¹) rise by > {change} from the first drop of the learning rate to the last epoch, and by <"
        f" {{slight}} before it. Needs a drop after the first epoch, with at least {LEAST_AFTER_DROP} epochs after it.",
        find_rise_from_drop,
    ),
    Claim(
        "target words: dispersed activations",
        STATE,
        "Frequent target words have dispersed activations.",
        "After the last epoch, ρ← of every activation is < {slight}, and that of at least one is < −{slight}.",
        find_dispersion,
    ),
    Claim(
        "target words: not h²",
        STATE,
        "The sparsity of h² does not correlate with target frequency.",
        "|ρ←(h²)| < {slight} after every epoch.",
        lambda run: every(run.rho("target", run.top, epoch).stays_within(SLIGHT) for epoch in run.epochs),
    ),
    Claim(
        "target words: strongly ∇h²",
        STATE,
        "The sparsity of ∇h² correlates strongly with target frequency.",
        "ρ←(∇h²) > {strong} after the last epoch.",
        lambda run: each(is_strong(run)),
    ),
    Claim(
        "target words: strongly only ∇h²",
        STATE,
        "The correlation with target frequency is strong only for ∇h².",
        "After the last epoch, ρ←(∇h²) > {strong}, and ρ← of every other activation and gradient is < {strong}"
        " (strong means positive).",
        lambda run: [
            *each(is_strong(run)),
            *every(run.rho("target", tensor, run.last).stays_below(STRONG) for tensor in run.others),
        ],
    ),
    Claim(
        "target words: ∇h² increasingly",
        COURSE,
        "The correlation of χ(∇h²) with target frequency increases over training.",
        "ρ←(∇h²) rises by > {change} from the first to the last epoch.",
        lambda run: each(run.rise("target", run.gradient, run.first, run.last).exceeds(CHANGE)),
    ),
    Claim(
        "target words: strong and increasing only ∇h²",
        COURSE,
        "The correlation with target frequency is strong and increasing only for ∇h².",
        "ρ←(∇h²) > {strong} after the last epoch and rises by > {change} from the first; of every other activation and"
        " gradient, ρ← is < {strong} (strong means positive) or rises by < {change}.",
        find_exception,
    ),
    Claim(
        "target words: ∇h² more than h²",
        STATE,
        "It is the gradient of h², not h², whose sparsity goes with target frequency.",
        "After the last epoch, ρ←(∇h²) > {slight}, and ρ←(∇h²) − ρ←(h²) > {change}.",
        lambda run: [
            *condition(run.rho("target", run.gradient, run.last).exceeds(SLIGHT)),
            *each(run.lead("target", run.gradient, run.top, run.last).exceeds(CHANGE)),
        ],
    ),
    Claim(
        "target words: not ∇x",
        STATE,
        "χ(∇x) lacks the strong correlation that χ(∇h²) has.",
        "After the last epoch, ρ←(∇x) < {strong} (strong means positive), and ρ←(∇h²) − ρ←(∇x) > {change}. Needs"
        " ρ←(∇h²) > {strong}.",
        lambda run: [
            *premise(is_strong(run)),
            *each(
                run.rho("target", "grad_x", run.last).stays_below(STRONG),
                run.lead("target", run.gradient, "grad_x", run.last).exceeds(CHANGE),
            ),
        ],
    ),
    Claim(
        "target words: not the ℓ1 norm",
        STATE,
        "The ℓ1 norm of ∇h² is at most slightly anti-correlated with target frequency.",
        "ρ← of the mean ℓ1 norm > −{slight} after every epoch.",
        lambda run: every(run.rho("target", run.gradient, e, l1=True).stays_above(SLIGHT) for e in run.epochs),
    ),
    Claim(
        "target words: more so over frequent words",
        STATE,
        "The correlation of χ(∇h²) with target frequency is higher over more frequent words.",
        "After the last epoch, ρ←(∇h²) over the more frequent half of the words is > {slight}, and exceeds that over"
        " the rarer half by > {change}.",
        find_frequent_lead,
    ),
    Claim(
        "classes: closed has sparser ∇h²",
        STATE,
        "Gradients of closed-class words are more concentrated than those of open-class words.",
        f"{SPARSER}.",
        lambda run: find_sparser(run, WHOLE),
        classes=True,
    ),
    Claim(
        "classes: closed strong early, then steady",
        COURSE,
        "Frequent closed-class words are highly concentrated at first, and soon stabilise.",
        "ρ←(∇h²) over the closed class is > {strong} after the first epoch, and changes by < {slight} from the end of"
        " the first third of training to the last epoch.",
        lambda run: each(
            run.rho("target", run.gradient, run.first, "closed").exceeds(STRONG),
            run.rise("target", run.gradient, run.end_of(1 / 3), run.last, "closed").stays_within(SLIGHT),
        ),
        classes=True,
    ),
    Claim(
        "classes: closed is ahead early",
        COURSE,
        "Closed-class words show the correlation before open-class words do.",
        f"{AHEAD}.",
        lambda run: find_ahead(run, WHOLE),
        classes=True,
    ),
    Claim(
        "classes: open keeps rising",
        COURSE,
        "The correlation of open-class words keeps rising.",
        "ρ←(∇h²) over the open class rises by > {change} from the first to the last epoch, and by > {change} in the"
        " last third of training.",
        find_lasting_rise,
        classes=True,
    ),
    Claim(
        "classes: trends differ",
        COURSE,
        "The trends of open and closed classes differ: the open class's correlation rises more.",
        f"{DIVERGING}.",
        lambda run: find_diverging(run, WHOLE),
        classes=True,
    ),
    *describe_samples(
        "matched", MATCHED, "in ranges of equal mean frequency from the sorted classes (the paper's samples)"
    ),
    *describe_samples(
        "paired", PAIRED, "in pairs of a closed-class and an open-class word of nearly equal frequency (our samples)"
    ),
]
