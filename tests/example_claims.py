"""Tables on which the paper's claims hold, and on which each of them fails. Any test can import this module."""

import re

import pandas as pd

from example_products import describe_depth
from natural_sparsity.analysis.claims import KEYS

EPOCHS = range(1, 10)
DROP = 4
SETS = ["all", "open", "closed", "open_matched", "closed_matched"]


def as_in_the_paper(epoch, role, tensor, measure, words, statistic):
    """Values on which every claim holds."""
    name = words.removesuffix("_matched")
    if statistic == "mean":
        return 0.1 if name == "closed" else 0.08
    if measure == "l1":
        return -0.05
    if role == "input":
        return {"h_e": 0.1 + 0.08 * max(0, epoch - DROP), "h_1": 0.3}.get(tensor, 0.02)
    if tensor != "grad_h_2":
        return 0.03
    return {"all": 0.1 + 0.05 * epoch, "open": 0.05 * epoch, "closed": min(0.2 * epoch, 0.6)}[name]


def make_tables(value, width=0.01, n=500, epochs=EPOCHS, layers=2):
    """Correlations and differences in which every interval reaches ``width`` to both sides.

    Values are those of the paper's model of two layers: of more or fewer, the top one is as its second, and layers
    between are as its first.
    """
    tensors = describe_depth(layers)
    top = f"h_{layers}"

    def value_at(epoch, role, tensor, *others):
        name = tensor.replace(top, "h_2") if tensor.endswith(top) else re.sub(r"h_\d+", "h_1", tensor)
        return value(epoch, role, name, *others)

    keys = [
        (epoch, role, tensor, measure, words, statistic)
        for epoch in epochs
        for role in ("target", "input")
        for tensor in tensors
        for measure in ("chi", "l1")
        for words in SETS
        for statistic in ("pearson", "mean")
    ]
    values = {key: value_at(*key) for key in keys}
    pairs = []
    for key in keys:
        epoch, role, tensor, measure, words, statistic = key
        compared = [(f"grad_{top}", top), (f"grad_{top}", "grad_x"), ("h_e", "h_1")]
        others = [("tensor", b, (epoch, role, b, measure, words, statistic)) for a, b in compared if a == tensor]
        for first, second in (("open", "closed"), ("open_matched", "closed_matched")):
            if words == first:
                others.append(("words", second, (epoch, role, tensor, measure, second, statistic)))
        earlier = [e for e in epochs if e < epoch and (e == epochs[0] or epoch == epochs[-1])]
        others += [("epoch", str(e), (e, *key[1:])) for e in earlier]
        pairs += [(*key, kind, against, values[key] - values[other]) for kind, against, other in others]
    correlations = pd.DataFrame([(*key, values[key]) for key in keys], columns=[*KEYS, "value"])
    differences = pd.DataFrame(pairs, columns=[*KEYS, "kind", "against", "value"])
    return [
        frame.assign(low=frame["value"] - width, high=frame["value"] + width, n=n)
        for frame in (correlations, differences)
    ]


def but(**where):
    """The paper's values but for those that ``where`` names; ``to`` is the other value, or a function of the epoch."""
    to = where.pop("to")

    def value(epoch, role, tensor, measure, words, statistic):
        here = {"epoch": epoch, "role": role, "tensor": tensor, "measure": measure, "words": words}
        here["statistic"] = statistic
        defaults = {"measure": "chi", "statistic": "pearson"}
        if all(here[key] == wanted for key, wanted in (defaults | where).items()):
            return to(epoch) if callable(to) else to
        return as_in_the_paper(epoch, role, tensor, measure, words, statistic)

    return value


REFUTED = {
    "input words: concentrated activations": but(role="input", tensor="h_1", epoch=9, to=-0.3),
    "input words: hᵉ overtakes h¹": but(role="input", tensor="h_e", to=0.9),
    "input words: not the gradients": but(role="input", tensor="grad_h_1", epoch=5, to=-0.4),
    "input words: rise from the first drop": but(role="input", tensor="h_e", to=lambda epoch: 0.08 * epoch),
    "target words: not h²": but(role="target", tensor="h_2", words="all", epoch=2, to=0.2),
    "target words: strongly ∇h²": but(role="target", tensor="grad_h_2", words="all", epoch=9, to=0.25),
    "target words: ∇h² increasingly": but(role="target", tensor="grad_h_2", words="all", to=0.4),
    "target words: ∇h² more than h²": but(role="target", tensor="h_2", words="all", epoch=9, to=0.8),
    "target words: not ∇x": but(role="target", tensor="grad_x", words="all", epoch=9, to=0.8),
    "target words: not the ℓ1 norm": but(role="target", tensor="grad_h_2", measure="l1", epoch=7, to=-0.3),
    "classes: closed rises early, then is steady": but(role="target", tensor="grad_h_2", words="closed", to=0.5),
    "classes: open keeps rising": but(
        role="target", tensor="grad_h_2", words="open", to=lambda epoch: min(0.1 * epoch, 0.5)
    ),
    "classes: closed has sparser ∇h²": but(tensor="grad_h_2", words="closed", statistic="mean", to=0.05),
    "matched: closed has sparser ∇h²": but(tensor="grad_h_2", words="closed_matched", statistic="mean", to=0.05),
    "matched: closed is ahead early": but(role="target", tensor="grad_h_2", words="closed_matched", to=0.1),
}
