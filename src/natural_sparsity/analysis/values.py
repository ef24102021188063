"""The values that claims are about, as replicates: looked up in what was measured on a run, subtracted, and named."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from natural_sparsity.analysis.rules import NotTestable, Value
from natural_sparsity.analysis.tensors import GRADIENT, find_top, list_activations, list_gradients, list_layers
from natural_sparsity.analysis.tensors import write_tensor as write

ARROWS = {"target": "ρ←", "input": "ρ→"}
DEVIATIONS = "mean χ, in standard deviations over words"
SETS = {"all": "", "frequent": ", more frequent half"}
SETS |= {name: f", {name} class" for name in ("open", "closed")}
SETS |= {
    f"{name}_{sample}": f", {name} class, {sample}" for name in ("open", "closed") for sample in ("matched", "paired")
}


class Measurements(Protocol):
    """What was measured on a run: :class:`~natural_sparsity.analysis.bootstrap.Measured`."""

    epochs: list[int]
    tensors: list[str]

    def replicate(
        self, epoch: int, role: str, tensor: str, measure: str, words: str, statistic: str
    ) -> tuple[np.ndarray, int]:
        """The replicates of a statistic, and the number of words; :class:`KeyError` if it was not measured."""

    def spread(self, epoch: int, role: str, tensor: str) -> float:
        """The standard deviation over all words of the mean χ."""

    def replicate_class(self) -> tuple[np.ndarray, int]:
        """The replicates of the correlation of log frequency with the closed class, and the number of words."""


class Run:
    """One run as claims see it. What it lacks raises :class:`NotTestable` and is never a value.

    Attributes:
        epochs: those of the trained model that were probed; ``first`` and ``last`` are their ends.
        dropped: the epochs after which the learning rate dropped.
        top: the output of the top recurrent layer, h_L; ``gradient``: the gradient there.
    """

    def __init__(self, measured: Measurements, dropped: Sequence[int] = (), epochs: Sequence[int] | None = None):
        self.measured, self.dropped = measured, list(dropped)
        self.epochs = list(epochs) if epochs is not None else [epoch for epoch in measured.epochs if epoch > 0]
        if not self.epochs:
            raise NotTestable("no trained checkpoint was probed")
        self.first, self.last = self.epochs[0], self.epochs[-1]
        self.top = find_top(measured.tensors)
        self.gradient = GRADIENT + self.top

    def untrain(self) -> "Run | None":
        """The untrained model in the place of every checkpoint, if it was probed."""
        return Run(self.measured, self.dropped, [0]) if 0 in self.measured.epochs else None

    @property
    def missing(self) -> list[int]:
        """The epochs before the last that were not probed: from 1, or from the first if the untrained model was not."""
        start = 1 if 0 in self.measured.epochs else self.first
        return sorted(set(range(start, self.last)) - set(self.epochs))

    def end_of(self, share: float) -> int:
        """The epoch that ends a share of training."""
        return self.epochs[math.ceil(len(self.epochs) * share - 1e-9) - 1]

    @property
    def lower(self) -> str:
        """The output of the first recurrent layer, if it lies below the top one."""
        first = list_layers(self.measured.tensors)[0]
        if first == self.top:
            raise NotTestable("the model has only one recurrent layer, so there is none below its top layer")
        return first

    @property
    def others(self) -> list[str]:
        """All activations and gradients except the gradient at h_L."""
        tensors = self.measured.tensors
        return [name for name in [*list_activations(tensors), *list_gradients(tensors)] if name != self.gradient]

    def look_up(
        self,
        name: str,
        epoch: int,
        role: str,
        tensor: str,
        words: str = "all",
        statistic: str = "pearson",
        l1: bool = False,
    ) -> Value:
        """A value as it was measured, called ``name``."""
        if epoch not in self.measured.epochs:
            raise NotTestable(f"{write_epoch(epoch) if epoch else 'the untrained model'} was not probed")
        try:
            replicates, n = self.measured.replicate(epoch, role, tensor, "l1" if l1 else "chi", words, statistic)
        except KeyError:
            raise NotTestable(f"{name} was not measured") from None
        return Value(name, replicates, n)

    def rho(self, role: str, tensor: str, epoch: int, words: str = "all", l1: bool = False) -> Value:
        """The correlation with frequency after an epoch."""
        argument = f"ℓ1 of {write(tensor)}" if l1 else write(tensor)
        name = f"{ARROWS[role]}({argument}){SETS.get(words, ', ' + words)}, {write_epoch(epoch)}"
        return self.look_up(name, epoch, role, tensor, words, l1=l1)

    def rise(self, role: str, tensor: str, start: int, end: int, words: str = "all") -> Value:
        """How much the correlation rose between two epochs."""
        name = f"{ARROWS[role]}({write(tensor)}){SETS.get(words, ', ' + words)}, {write_course(start, end)}"
        return subtract(name, self.rho(role, tensor, end, words), self.rho(role, tensor, start, words), change=True)

    def lead(self, role: str, tensor: str, other: str, epoch: int) -> Value:
        """By how much the correlation of one tensor exceeds another's after an epoch."""
        arrow = ARROWS[role]
        name = f"{arrow}({write(tensor)}) − {arrow}({write(other)}), {write_epoch(epoch)}"
        return subtract(name, self.rho(role, tensor, epoch), self.rho(role, other, epoch))

    def between(self, words: str, other: str, epoch: int) -> Value:
        """By how much ρ← of ∇h_L over one set of words exceeds that over another after an epoch."""
        name = f"ρ←({write(self.gradient)}), {name_pair(words, other)}, {write_epoch(epoch)}"
        first, second = (self.rho("target", self.gradient, epoch, each) for each in (words, other))
        return subtract(name, first, second)

    def diverge(self, sample: str) -> Value:
        """By how much ρ← of ∇h_L rose more over the open class than over the closed."""
        words, other = f"open{sample}", f"closed{sample}"
        name = f"ρ←({write(self.gradient)}), {name_pair(words, other)}, {write_course(self.first, self.last)}"
        first, second = (self.rise("target", self.gradient, self.first, self.last, each) for each in (words, other))
        return subtract(name, first, second, change=True)

    def sparser(self, sample: str) -> Value:
        """By how much mean χ of ∇h_L over the closed class exceeds that over the open, in standard deviations."""
        words, other, epoch = f"closed{sample}", f"open{sample}", self.last
        name = f"mean χ({write(self.gradient)}), {name_pair(words, other)}, {write_epoch(epoch)}"
        first, second = (self.look_up(name, epoch, "target", self.gradient, each, "mean") for each in (words, other))
        return self.standardise(subtract(name, first, second))

    def growth(self) -> Value:
        """How much mean χ of ∇h_L over all words rose over training, in standard deviations."""
        name = f"mean χ({write(self.gradient)}), {write_course(self.first, self.last)}"
        end, start = (self.look_up(name, e, "target", self.gradient, "all", "mean") for e in (self.last, self.first))
        return self.standardise(subtract(name, end, start, change=True))

    def standardise(self, value: Value) -> Value:
        """A difference of means of χ at ∇h_L in standard deviations over all words after the last epoch."""
        deviation = self.measured.spread(self.last, "target", self.gradient)
        if not deviation > 0:
            raise NotTestable(f"{value.name} is undefined: all words have the same χ")
        return Value(value.name, value.replicates / deviation, value.n, DEVIATIONS, value.change)


def write_epoch(epoch: int) -> str:
    """An epoch as a name says it."""
    return f"epoch {epoch}" if epoch else "untrained"


def write_course(start: int, end: int) -> str:
    """From one epoch to another, as a name says it."""
    return f"epoch {start} to {end}" if start else f"untrained to epoch {end}"


def name_pair(words: str, other: str) -> str:
    """A difference between two sets of words, as a name says it."""
    (first, *sample), (second, *_) = words.split("_"), other.split("_")
    return ", ".join([f"{first} − {second}", *sample])


def subtract(name: str, first: Value, second: Value, change: bool = False) -> Value:
    """The difference of two values, replicate by replicate."""
    replicates = first.replicates - second.replicates
    return Value(name, replicates, min(first.n, second.n), first.quantity, change or first.change)
