"""Families: the models that a block ``models.NAME`` stands for, and the checkpoints that each of them needs.

A method with levels gives a model per level, and one more per level for each control: ``NAME-level2``,
``NAME-level2-random_mask``. Each is a model like any other, with ``parents``: the checkpoints that it starts from or
learns from. A student starts from random weights of its own, or where a pruned model did.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.methods.base import INIT, Method, Parent
from natural_sparsity.config.sources import check_source, find_block, list_keys
from natural_sparsity.config.training import Training
from natural_sparsity.errors import UserError
from natural_sparsity.registry import METHODS, load

if TYPE_CHECKING:
    from natural_sparsity.config.configuration import Configuration
    from natural_sparsity.config.model import Model
    from natural_sparsity.config.run import Run

# Keys that say which models a block stands for, or how they are judged, not how any of them is trained.
OF_FAMILIES = {"of", "student", "levels", "controls", "retrain", "margin"}


@dataclass(frozen=True)
class Member:
    """A model that is trained: a dense one, or one of the family that a block stands for.

    ``sparsify``: the settings of its method, with its place in its family; empty for a dense model. ``base``: the dense
    model that it is made from. ``source``: the model that its method was given: the dense one, or one that another
    method has pruned. ``parents``: by role, which is ``start`` (the weights and the state that training starts with),
    ``masks`` (what is kept), ``teacher``, or ``original`` (what a twin is compared with).
    """

    name: str
    architecture: Architecture
    training: Training
    sparsify: dict[str, Any] = field(default_factory=dict)
    base: str | None = None
    parents: dict[str, Parent] = field(default_factory=dict)
    source: "Member | None" = None

    @property
    def method(self) -> str:
        """The method that makes it sparse; empty for a dense model."""
        return str(self.sparsify.get("method", ""))

    @property
    def role(self) -> str:
        """Its place in its family: ticket, random_mask, student, …; empty for a dense model."""
        return str(self.sparsify.get("role", ""))

    @property
    def vectors(self) -> list[str]:
        """The file of the word vectors that its embedding starts from; none for most."""
        return [self.architecture.vectors.path] if self.architecture.vectors else []

    @property
    def start(self) -> int:
        """The epoch that its training starts after; 0 inside the first."""
        epoch = self.parents["start"].epoch if "start" in self.parents else INIT
        if epoch == INIT and self.source:
            return self.source.start
        return epoch if isinstance(epoch, int) else INIT

    @property
    def untrained(self) -> bool:
        """Whether its training starts before the first step, so that what it starts from is untrained."""
        if "start" not in self.parents:
            return True
        return self.parents["start"].epoch == INIT and (self.source is None or self.source.untrained)


def families(configuration: "Configuration") -> dict[str, list[Member]]:
    """The models that each block of ``models`` stands for.

    Raises:
        UserError: a block names no dense model, two models share a name, or a run lacks its dense model's run.
    """
    blocks = configuration.models
    members = {name: list(family(name, blocks)) for name in blocks}
    origins: dict[str, str] = {}
    for block, family_members in members.items():
        for member in family_members:
            if origins.setdefault(member.name, block) != block or (member.name in blocks and member.name != block):
                raise UserError(f"models.{block}: {member.name} is also the name of another model; rename one")
    for i, run in enumerate(configuration.runs):
        check_run(i, run, configuration, members[run.model][0])
    return members


def family(name: str, blocks: Mapping[str, "Model"]) -> Iterator[Member]:
    """The models that one block stands for.

    Raises:
        UserError: it is to be made from a model that its method does not take, or contradicts itself.
    """
    block = blocks[name]
    if block.sparsify is None:
        yield Member(name, block.architecture, block.training)
        return
    key, method = f"models.{name}.sparsify", block.sparsify
    check_effect(key, dump(method))
    dumped = dump(method)
    # A key that is null is left out, so that a new one that nobody sets trains nothing again.
    settings = {key: value for key, value in dumped.items() if key not in OF_FAMILIES and value is not None}
    for own in list_keys(method):
        check_source(name, own, blocks)
    _, named = method.find_source()
    if named is None:
        yield Member(name, block.architecture, block.training, settings)
        return
    source = next(member for member in family(find_block(named, blocks) or "", blocks) if member.name == named)
    architecture = block.architecture if method.own_architecture else source.architecture
    for variant in method.list_variants(name, source.name):
        sparsify, parents = {**settings, "family": name, **variant.place}, variant.parents
        if source.sparsify:
            if method.copies:
                check_original(key, source, parents["start"])
                # A ticket's own start is where the ticket goes back to.
                sparsify["rewind"] = sparsify["rewind"] or source.sparsify.get("rewind", INIT)
            if not parents["start"].step:
                check_start(key, method, source, parents["start"])
            parents = {**parents, "masks": parents["start"]}
        base = source.base or source.name
        yield Member(variant.name, architecture, source.training, sparsify, base, parents, source)


def check_start(key: str, method: Method, source: Member, start: Parent) -> None:
    """Check that a pruned model has a checkpoint where another method is to go on, and its last masks there.

    Raises:
        UserError: it has not.
    """
    epoch, rewinds = int(start.epoch), hasattr(method, "rewind")
    key = f"{key}.{'rewind' if rewinds else method.keeps_masks}"
    if 0 < epoch <= source.start:
        raise UserError(f"{key}: {source.name} starts from epoch {source.start}; give a later one, or 0 to start there")
    end = find_end(source.sparsify)
    if epoch < end and "masks" not in source.parents:
        mend = "give that epoch or a later one" if rewinds else "name a ticket, which is from the start"
        raise UserError(f"{key}: {source.name} is not at its density before epoch {end:g}; {mend}")
    if not rewinds and not source.untrained and not source.start:
        raise UserError(
            f"{key}: {source.name} starts inside an epoch, and its teacher cannot; name one with another rewind"
        )


def find_end(sparsify: Mapping[str, Any]) -> float:
    """The epoch after which a model that is pruned in training is at its density; 0 for one that is not.

    A ramp begins with the second epoch.
    """
    if "ramp" in sparsify:
        return max(sparsify["ramp"], 2) if sparsify["sparsity"] else 0
    return float(sparsify.get("end", 0))


def check_original(key: str, source: Member, start: Parent) -> None:
    """Check that a pruned model can be trained again with its masks alone, from a step inside its first epoch if asked.

    Raises:
        UserError: its method does more than keep masks, or it has no such step.
    """
    if not load(METHODS[source.method].settings).Settings.masks_alone:
        raise UserError(
            f"{key}.of: {source.name} is made by {source.method}, which does more in training than keep masks; give a"
            " dense model or a ticket"
        )
    if start.step and not source.untrained:
        raise UserError(
            f"{key}.rewind: {source.name} starts from a trained model and has no {start.epoch} of its own; give a later"
            " epoch, or 0 to start there"
        )


def check_effect(key: str, sparsify: Mapping[str, Any]) -> None:
    """Check that a penalty penalises something, that its control has something to control, and that pruning takes time.

    Raises:
        UserError: it does not.
    """
    if not any(sparsify.get("strengths", {"": 1}).values()):
        raise UserError(f"{key}.strengths: all are 0; give one that is not, or prune with gradual_groups")
    if sparsify.get("strength") == 0 and sparsify["control"] != "none":
        raise UserError(f"{key}.control: {sparsify['control']} controls a penalty, and strength is 0; leave it out")
    begin, end = sparsify.get("begin", 0), sparsify.get("end", 1)
    if end <= begin:
        raise UserError(f"{key}: begin is {begin:g} and end is {end:g}; pruning ends after it begins")
    if sparsify.get("student") and sparsify["controls"]:
        raise UserError(
            f"{key}.controls: without a teacher, the student is {sparsify['student']} itself; leave them out"
        )
    if sparsify.get("rewind") and not sparsify["of"]:
        raise UserError(f"{key}.rewind: to start from a trained model, name it: of")


def check_run(i: int, run: "Run", configuration: "Configuration", model: Member) -> None:
    """Check that a sparsified model's run has runs of what it is made from, and epochs left to train.

    Raises:
        UserError: it has not.
    """
    block = configuration.models[run.model].sparsify
    sparsify = {} if block is None else dump(block)
    rewind = sparsify.get("rewind", INIT)
    if not isinstance(rewind, int):
        check_step(run, model, Parent(sparsify["of"], rewind), configuration)
        rewind = INIT  # inside the first epoch
    if model.start >= run.epochs:
        raise UserError(
            f"runs.{i}: {run.model} starts from epoch {model.start}, which leaves none of {run.epochs} epochs to train"
        )
    end = find_end(sparsify)
    if end > run.epochs:
        raise UserError(
            f"runs.{i}: {run.model} is not at its density before epoch {end:g}, but its run ends with epoch"
            f" {run.epochs}"
        )
    if block and block.copies:
        check_chance(run, model.source, configuration)
    # A model that prunes the trained weights, or is compared with them, needs a dense run at least as long as its own.
    needed = run.epochs if "levels" in sparsify or (block and block.copies) else max(rewind, 1)
    for named in [getattr(block, key) for key in list_keys(block)] if block else []:
        source = find_block(named, configuration.models)
        runs = [other for other in configuration.runs if (other.data, other.model) == (run.data, source)]
        if not any(other.epochs >= needed and set(run.seeds) <= set(other.seeds) for other in runs):
            raise UserError(
                f"runs.{i}: {run.model} starts from {named}: give {source} a run on {run.data} with seeds: {run.seeds}"
                f" and epochs: {needed} or more"
            )


def check_chance(run: "Run", source: Member | None, configuration: "Configuration") -> None:
    """Check that something in the training of ``source``, a twin's original, is left to chance, so that the two differ.

    Raises:
        UserError: nothing is: text is read in the same order in every epoch, and there is no dropout.
    """
    if source and configuration.data[run.data].streams and not source.architecture.dropout:
        raise UserError(
            f"models.{run.model}.sparsify.of: {source.name} trains without dropout, and on {run.data} in the same order"
            f" whatever the seed, so its twin would be the same run; give {source.base or source.name}"
            " architecture.dropout"
        )


def check_step(run: "Run", model: Member, start: Parent, configuration: "Configuration") -> None:
    """Check that an epoch of generated data goes on after a step; of other data, it is not known yet how long one is.

    Raises:
        UserError: it does not.
    """
    steps = model.training.steps
    if configuration.data[run.data].generated and start.step >= steps:
        raise UserError(
            f"models.{run.model}.sparsify.rewind: an epoch of {start.model} on {run.data} has {steps} steps"
            f" (training.steps); give a step below {steps}, or an epoch"
        )


def dump(block: Any) -> dict[str, Any]:
    """A block of the configuration as JSON has it."""
    return dict(block.model_dump(mode="json", by_alias=True))
