"""An experiment: what is trained on what, and which runs belong together.

Built from the validated configuration. The workflow asks it for runs, names and paths, and holds no logic of its own.
"""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from string import Formatter
from typing import TYPE_CHECKING, Any, NamedTuple

from natural_sparsity.config.base import Block
from natural_sparsity.config.data.base import Kind
from natural_sparsity.config.data.local import list_files
from natural_sparsity.config.data.source import Source
from natural_sparsity.config.derive import Member, dump, families
from natural_sparsity.config.methods.base import INIT, LAST, Method, Parent
from natural_sparsity.config.probe import Probe
from natural_sparsity.config.style import Style
from natural_sparsity.errors import UserError
from natural_sparsity.registry import METHODS, load

if TYPE_CHECKING:
    from natural_sparsity.config.configuration import Configuration

DATA = "results/data/{data}"
RUN = "results/runs/{data}/{model}/seed{seed}"
# The controls whose weights are kept, or drawn, at random.
RANDOM = ("random_mask", "random_mask_global", "random_init")
# The controls whose units are not compared with the dense model's: other units, or a second null.
OTHER_UNITS = ("random_mask_global", "random_init", "equal_size")
Value = str | int


@dataclass(frozen=True)
class Data:
    """What models are trained on: the settings of a kind of data, under a name.

    ``text``: the settings by which words are counted, tagged and drawn: its own, or those of the text that it shuffles.
    """

    name: str
    settings: Kind
    text: Kind

    @property
    def kind(self) -> str:
        """The kind's name."""
        return self.settings.kind

    @property
    def unit(self) -> str:
        """What a token is: a word or a character."""
        return str(getattr(self.text, "unit", "word"))

    @property
    def tagged(self) -> bool:
        """Whether it is probed by words, which have a part of speech."""
        return self.settings.probed and self.unit == "word"

    @property
    def shards(self) -> list[str]:
        """The names of the pieces in which text is prepared."""
        number = getattr(self.settings, "shards", 1)
        return [f"{i}-of-{number}" for i in range(number)]

    def files(self, name: str) -> list[str]:
        """The file of that name that is prepared for training; none where the data are generated."""
        return [] if self.settings.generated else [f"{DATA.format(data=self.name)}/{name}"]

    def download(self, key: str) -> str:
        """The command that downloads the source at a key, without its output."""
        return self.sources()[key].download()[1]

    def block(self) -> dict[str, Any]:
        """The settings that training needs, besides the files."""
        settings = dump(self.settings)
        return settings if self.settings.generated else {key: settings[key] for key in self.settings.training_keys}

    def sources(self) -> dict[str, Source]:
        """Where the data come from, by key: ``source``, or ``source.train`` and so on, and perhaps ``test_source``."""
        keys = [key for key in type(self.settings).model_fields if key.endswith("source")]
        blocks = {key: block for key in keys if (block := getattr(self.settings, key)) is not None}
        return {part: source for key, block in blocks.items() for part, source in block.list_parts(key).items()}

    def paths(self) -> dict[str, list[str]]:
        """The files or folders of each source: local ones as they are, others where they are downloaded to."""
        folder = f"{DATA.format(data=self.name)}/download"
        return {
            key: source.list_local(f"data.{self.name}.{key}") or [f"{folder}/{key}/{source.download()[0]}"]
            for key, source in self.sources().items()
        }

    def inputs(self) -> list[str]:
        """Every file of the sources: Snakemake would not notice changes to files in a folder."""
        return [file for path in chain.from_iterable(self.paths().values()) for file in list_files(path)]

    def options(self, name: str) -> str:
        """The sources as options of the command that reads them: --train, --dev and --test, or else all as ``name``."""
        words: dict[str, list[str]] = {}
        for key, paths in self.paths().items():
            # A path that begins with - would be an option.
            safe = [f"./{path}" if path[0] == "-" else path for path in paths]
            words.setdefault(f"--{key.partition('.')[2] or name}", []).extend(safe)
        return shlex.join(chain.from_iterable([option, *paths] for option, paths in words.items()))


@dataclass(frozen=True)
class Run:
    """A model that is trained on data, once per seed.

    ``probes``: the conditions it is probed under. ``steps``: the checkpoints inside the first epoch, by name.
    """

    data: Data
    model: Member
    seeds: tuple[int, ...]
    epochs: int
    probes: Mapping[str, Probe]
    steps: tuple[str, ...] = ()

    @property
    def trained(self) -> range:
        """The epochs it trains; a rewound model starts after an epoch of its dense model."""
        return range(self.model.start + 1, self.epochs + 1)

    def before(self, checkpoint: str) -> str:
        """The checkpoint that the epoch of a checkpoint starts from.

        Raises:
            UserError: it does not end an epoch.
        """
        epoch = checkpoint.removeprefix("epoch")
        if not epoch.isdecimal():
            raise UserError(
                f"{checkpoint}: no epoch ended there, which weights: training could repeat; probe it frozen"
            )
        return f"epoch{int(epoch) - 1}" if int(epoch) > self.trained[0] else "init"

    def checkpoints(self, at: str, probe: str | None = None) -> list[str]:
        """The names of checkpoints, those that a probe can measure if it is named.

        ``at``: ``last``, that of the last epoch; ``epochs``, the trained ones; ``course``, the untrained one and these;
        ``steps``, the untrained one, those inside the first epoch and its last; ``all`` of them, in training's order.
        """
        untrained = (
            ["init"] if self.model.untrained and (probe is None or self.probes[probe].weights == "frozen") else []
        )
        epochs = [f"epoch{epoch}" for epoch in self.trained]
        steps = [*self.steps] if untrained else []
        match at:
            case "last":
                return epochs[-1:]
            case "epochs":
                return epochs
            case "course":
                return untrained + epochs
            case "steps":
                return untrained + steps + epochs[:1] if steps else []
            case "all":
                return untrained + steps + epochs
        raise ValueError(at)

    def with_untrained(self) -> "Run":
        """The run with only the probes that measure the untrained model."""
        return replace(self, probes={name: self.probes[name] for name in self.probes if self.untrained(name)})

    def untrained(self, probe: str) -> bool:
        """Whether a probe measures the untrained model."""
        return "init" in self.checkpoints("course", probe)

    def paths(self, pattern: str, along: str = "", at: str = "last", **fixed: Any) -> list[str]:
        """``pattern`` for every combination of the values of its fields, and of those of the pattern ``along``.

        The fields ``data`` and ``model`` are the run's, and those in ``fixed`` have the value given. All others take
        each value in turn: ``seed``, ``probe``, ``measure`` (those of the probe), and ``checkpoint`` (those that
        :meth:`checkpoints` gives for ``at``).
        """
        rows: list[dict[str, Value]] = [{}]
        fields = list(dict.fromkeys(name for _, name, _, _ in Formatter().parse(along + pattern) if name))
        for field in sorted(fields, key="checkpoint".__eq__):  # last: which there are depends on the probe
            rows = [{**row, field: value} for row in rows for value in self.values(field, {**fixed, **row}, at)]
        return [pattern.format(**row) for row in rows]

    def values(self, field: str, known: Mapping[str, Any], at: str) -> Iterable[Value]:
        """The values that a field takes, given those ``known`` for other fields."""
        match field:
            case "data":
                return [self.data.name]
            case "model":
                return [self.model.name]
            case "probe" if field not in known:
                probes = self.probes.items()
                return [name for name, probe in probes if known.get("measure", probe.measures[0]) in probe.measures]
            case "measure" if field not in known:
                chosen = [known["probe"]] if "probe" in known else list(self.probes)
                return list(dict.fromkeys(measure for name in chosen for measure in self.probes[name].measures))
            case "seed" if field not in known:
                return self.seeds
            case "checkpoint" if field not in known:
                return self.checkpoints(at, known.get("probe"))
        return [known[field]]


class Job(NamedTuple):
    """A rule that makes or probes some checkpoints: its name, the checkpoints, and what it is restricted to.

    ``run``: None for any. ``probes``: empty for any.
    """

    name: str
    checkpoints: list[str]
    run: Run | None = None
    probes: tuple[str, ...] = ()

    def each(self, pattern: str) -> list[str]:
        """``pattern`` for each checkpoint, restricted to the run's data and model, and to the probes."""
        own = {"data": self.run.data.name, "model": self.run.model.name} if self.run else {}
        for field, value in (own | ({"probe": "|".join(self.probes)} if self.probes else {})).items():
            pattern = pattern.replace(f"{{{field}}}", f"{{{field},{value}}}")
        return [pattern.replace("{checkpoint}", checkpoint) for checkpoint in self.checkpoints]


class Experiment:
    """All data, models, probes and runs.

    Raises:
        UserError: the families of ``configuration`` contradict themselves; see :func:`derive.families`.
    """

    def __init__(self, configuration: "Configuration"):
        self.configuration, self.name = configuration, configuration.name
        members = families(configuration)
        self.models = {member.name: member for family in members.values() for member in family}
        data = configuration.data
        self.data = {name: Data(name, data[name], data[configuration.text_of(name)]) for name in data}
        self.probes = configuration.probes
        self.runs = [
            Run(
                self.data[run.data],
                member,
                tuple(run.seeds),
                run.epochs,
                {probe: self.probes[probe] for probe in run.probes or ()},
                tuple(f"step{2**i}" for i in range(run.first_epoch_checkpoints)),
            )
            for run in configuration.runs
            for member in members[run.model]
        ]

    def as_dict(self) -> dict[str, Any]:
        """The configuration with every default, as plain values; families are written out."""
        models = {
            name: {
                "architecture": dump(model.architecture),
                "training": dump(model.training),
                "sparsify": model.sparsify,
            }
            for name, model in self.models.items()
        }
        runs = [
            {"data": run.data.name, "model": run.model.name, "seeds": list(run.seeds), "epochs": run.epochs}
            | {"probes": list(run.probes)}
            for run in self.runs
        ]
        return {**dump(self.configuration), "models": models, "runs": runs}

    def run(self, data: str, model: str) -> Run:
        """The run of a model on data.

        Raises:
            UserError: there is none.
        """
        for run in self.runs:
            if (run.data.name, run.model.name) == (data, model):
                return run
        raise UserError(f"{data}/{model} is not among the runs")

    def paths(self, pattern: str, runs: Iterable[Run], along: str = "", at: str = "last", **fixed: Any) -> list[str]:
        """``pattern`` for each of ``runs``, each path once unless it goes ``along``; see :meth:`Run.paths`."""
        paths = list(chain.from_iterable(run.paths(pattern, along, at, **fixed) for run in runs))
        return paths if along else list(dict.fromkeys(paths))

    def targets(self, product: str, pattern: str) -> list[str]:
        """Every path of a figure or table that lies at ``pattern``, where ``figure`` or ``table`` is its name."""
        return self.paths(pattern, self.subjects(product), figure=product, table=product)

    def subjects(self, product: str) -> list[Run]:
        """The runs that a figure or table is about; where it compares a family, the dense model's.

        A product with a path for the whole experiment is made if there is any such run.
        """
        match product:
            case "architecture" | "chi":
                return self.runs
            case "training":
                return [run for run in self.runs if run.data.settings.probed]
            case "retention":
                return [run for run in self.runs if run.data.name in self.named("text")]
            case "fig4" | "fig5":
                return [run for run in self.probed if run.data.tagged]
            case "structure":
                return self.structured()
            case "moduli":
                return [run for run in self.runs if run.model.method == "moduli"]
            case "connectivity" | "network":
                return [run for name in self.data for run in self.moduli(name, controls=False)]
            case "lottery":
                return [run for run in self.runs if self.pruned(run)]
            case "footprint":
                return self.compressed_bases
            case "stability":
                return [run for run in self.runs if self.twins(run)]
            case "natural":
                return [run for run in self.compressed_bases if run.probes]
            case "acquisition":
                return [run.with_untrained() for run in self.runs]
            case "units":
                return [run for base in self.compressed_bases if (run := self.with_units(base)).probes]
        return self.probed

    @property
    def probed(self) -> list[Run]:
        """The runs that are probed."""
        return [run for run in self.runs if run.probes]

    @property
    def probed_data(self) -> list[Data]:
        """The data on which some model is probed."""
        return [self.data[name] for name in dict.fromkeys(run.data.name for run in self.probed)]

    @property
    def compressed_bases(self) -> list[Run]:
        """The runs of dense models whose derived models are compared with them by cost and by unit."""
        return [run for run in self.runs if run.data.settings.probed and self.compressed(run)]

    def named(self, fact: str) -> list[str]:
        """The names of the data whose kind is ``fact``."""
        return [name for name, data in self.data.items() if data.kind == fact]

    def parent(self, data: str, model: str, role: str) -> dict[str, Value]:
        """The model, checkpoint and epoch that a model has in a ``role``; empty without one.

        Both have the same data and seed. The last epoch is that of a teacher's own run, otherwise of the model's run.
        A checkpoint inside the first epoch has ``steps``, too.
        """
        if role not in self.models[model].parents:
            return {}
        parent, epoch = self.models[model].parents[role]
        if steps := self.models[model].parents[role].step:
            return {"model": parent, "checkpoint": f"rewind{steps}", "epoch": INIT, "steps": steps}
        if epoch == LAST:
            epoch = self.run(data, parent if role == "teacher" else model).epochs
        if not epoch:
            return {"model": parent, "checkpoint": "init", "epoch": self.models[parent].start}
        return {"model": parent, "checkpoint": f"epoch{epoch}", "epoch": int(epoch)}

    def members(self, product: str | None, **wildcards: str) -> list[Run]:
        """The runs that a table or figure with these wildcards compares; for others, the run that the wildcards name.

        Raises:
            UserError: there is no such run, or the runs cannot be compared.
        """
        data, model, probe = (wildcards.get(name, "") for name in ("data", "model", "probe"))
        match product:
            case "comparison":
                return self.probed
            case "control":
                return self.controls(self.run(data, model))[:1]
            case "first_epoch" | "control_first_epoch":
                runs = self.members(product.removesuffix("first_epoch").removesuffix("_") or None, **wildcards)
                return [run for run in runs if run.checkpoints("steps", probe)]
            case "structure":
                return self.structured()
            case "moduli":
                return self.moduli(data)
            case "connectivity" | "network":
                return self.moduli(data, controls=False)
            case "lottery":
                return self.lottery(data, model)
            case "footprint":
                return self.footprint(data, model)
            case "stability":
                return self.stability(data, model)
            case "twins":
                return self.twins(self.run(data, model))
            case "natural":
                return self.natural(data, model, probe)
            case "units":
                return self.units(data, model, probe)
        return [self.run(data, model)]

    def jobs(self, kind: str) -> Iterator[Job]:
        """Divide checkpoints into jobs, each with a rule of its own, to ``train``, ``probe`` or ``retrace`` them.

        With one checkpoint per job, one rule serves all runs. With more, each group of checkpoints of each run has its
        own rule, since Snakemake must know how many outputs a rule has; the last group may be shorter. The untrained
        checkpoint is probed with the first epochs. All checkpoints inside a first epoch are made by one job.
        """
        if kind != "retrace" and getattr(self.configuration.epochs_per_job, kind) == 1:
            yield Job(kind, ["epoch{epoch}" if kind == "train" else "{checkpoint}"])
            return
        taken: Counter[str] = Counter()
        for run, probes, checkpoints in self.groups(kind):
            ends = [checkpoints[i].removeprefix("epoch") for i in (0, -1)]
            name = re.sub(r"\W", "_", "_".join([kind, run.data.name, run.model.name, ends[0], "to", ends[1]]))
            taken[name] += 1
            # Names of models may differ only in punctuation.
            yield Job(f"{name}_{taken[name]}" if taken[name] > 1 else name, checkpoints, run, probes)

    def groups(self, kind: str) -> Iterator[tuple[Run, tuple[str, ...], list[str]]]:
        """The groups of checkpoints that one job takes: their run, the probes that take them all, and their names."""
        if kind == "retrace":
            yield from ((run, (), [*run.steps]) for run in self.runs if run.steps)
            return
        size = getattr(self.configuration.epochs_per_job, kind)
        for run in self.runs:
            epochs = split_list(run.checkpoints("epochs"), size)
            if kind == "train":
                yield from ((run, (), group) for group in epochs)
                continue
            untrained = tuple(name for name in run.probes if run.untrained(name))
            others = tuple(name for name in run.probes if name not in untrained)
            if untrained:
                groups = [["init", *epochs[0]], *epochs[1:], *split_list(run.steps, size)]
                yield from ((run, untrained, group) for group in groups)
            if others:
                yield from ((run, others, group) for group in epochs)

    def family(self, run: Run) -> list[Run]:
        """The runs, on the same data, of the models made from a run's dense model, without twins."""
        place = run.data.name, run.model.name
        made = [other for other in self.runs if (other.data.name, other.model.base) == place]
        return [other for other in made if not settings_of(other.model).copies]

    def twins(self, run: Run) -> list[Run]:
        """The runs, on the same data, in which a run's model is trained again with other random numbers."""
        place = run.data.name, Parent(run.model.name, LAST)
        return [other for other in self.runs if (other.data.name, other.model.parents.get("original")) == place]

    def pruned(self, run: Run) -> list[Run]:
        """The family's runs that have a density, the random controls among them."""
        return [other for other in self.family(run) if "density" in other.model.sparsify]

    def compressed(self, run: Run) -> list[Run]:
        """The family's runs whose cost is worth comparing: all but the random controls."""
        return [other for other in self.family(run) if other.model.role not in RANDOM]

    def with_units(self, run: Run) -> Run:
        """A dense model's run, with only the probes for which units are compared with what is pruned.

        These are the probes with frozen weights; there are none if nothing is pruned.
        """
        pruning = any(prunes(other.model) for other in self.compressed(run))
        frozen = {name: probe for name, probe in run.probes.items() if probe.weights == "frozen"}
        return replace(run, probes=frozen if pruning else {})

    def controls(self, run: Run) -> list[Run]:
        """The runs of the same model on the run's text in random order, as long as the run and with its seeds.

        The first is the one that the run is compared with: over the whole stream rather than within documents.
        """
        shuffled = [
            other
            for other in self.runs
            if (self.configuration.text_of(other.data.name), other.model) == (run.data.name, run.model)
            and other.data != run.data
        ]
        shuffled.sort(key=lambda other: getattr(other.data.settings, "within", "") != "stream")
        return [replace(other, seeds=run.seeds, epochs=run.epochs) for other in shuffled]

    def lottery(self, data: str, model: str) -> list[Run]:
        """A dense model's run and those of the models pruned from it, all with the same number of epochs.

        Raises:
            UserError: nothing was pruned from it, or the pruned models' runs differ in length.
        """
        dense = self.run(data, model)
        others = self.pruned(dense)
        if not others:
            raise UserError(f"no model pruned from {model} runs on {data}")
        return compare_ends(dense, others, f"the models pruned from {model}")

    def stability(self, data: str, model: str) -> list[Run]:
        """A model's run and those of its twins, all with the same number of epochs.

        Raises:
            UserError: it has no twin, or the twins' runs differ in length.
        """
        original = self.run(data, model)
        others = self.twins(original)
        if not others:
            raise UserError(f"no twin of {model} runs on {data}")
        return compare_ends(original, others, f"the twins of {model}")

    def margins(self, data: str, model: str) -> str:
        """The margin by which each twin of a model is judged, as JSON."""
        names = [run.model.name for run in self.twins(self.run(data, model))]
        return to_json({name: getattr(self.configuration.models[name].sparsify, "margin", None) for name in names})

    def footprint(self, data: str, model: str) -> list[Run]:
        """A dense model's run and those whose cost is compared with it."""
        dense = self.run(data, model)
        return [dense, *self.compressed(dense)]

    def sources(self, data: str, model: str) -> str:
        """The model that each of a footprint table's models is made from, by name, as JSON."""
        members = [run.model for run in self.footprint(data, model)]
        return to_json({member.name: member.source.name for member in members if member.source})

    def natural(self, data: str, model: str, probe: str) -> list[Run]:
        """The runs of a dense model, and of all models made from it, that have the probe."""
        dense = self.run(data, model)
        return [run for run in (dense, *self.family(dense)) if probe in run.probes]

    def units(self, data: str, model: str, probe: str) -> list[Run]:
        """The runs of :meth:`natural` whose models are pruned, and the dense model's."""
        return [run for run in self.natural(data, model, probe) if run.model.name == model or prunes(run.model)]

    def structured(self) -> list[Run]:
        """The runs whose gates are counted: of the methods that remove them, and of their dense models."""
        by_group = [run for run in self.runs if counts_gates(run.model)]
        dense = {(run.data.name, run.model.base) for run in by_group}
        return [run for run in self.runs if run in by_group or (run.data.name, run.model.name) in dense]

    def moduli(self, data: str, controls: bool = True) -> list[Run]:
        """The moduli-regularised runs on data; with their dense and retrained models as ``controls``."""
        bases = {model.base for model in self.models.values() if model.method == "moduli"}

        def belongs(model: Member) -> bool:
            if model.role == "retrained":
                return controls
            return model.method == "moduli" or (controls and model.name in bases)

        return [run for run in self.runs if run.data.name == data and belongs(run.model)]

    def roundings(self, model: str) -> list[str]:
        """Bit widths and scopes to which a model is rounded, as JSON.

        A model is rounded as the QAT models that start from it, and such a model's control as the model itself.
        """
        members = [member for member in self.models.values() if member.method == "qat"]
        settings = [
            member.sparsify
            for member in members
            if (member.source and member.source.name == model) or (member.name, member.role) == (model, "rounded")
        ]
        pairs = sorted({(each["bits"], each["scope"]) for each in settings})
        return [to_json({"bits": bits, "scope": scope}) for bits, scope in pairs]

    def folds(self, model: str) -> bool:
        """Whether a model's method removes gates and neurons, which folding cuts out."""
        return counts_gates(self.models[model])

    def unit(self, data: str | None = None) -> str:
        """What the tokens of some data, or of all probed data, are; "token" where they differ."""
        units = {self.data[data].unit} if data else {each.unit for each in self.probed_data}
        return units.pop() if len(units) == 1 else "token"

    def style(self, figure: str) -> str:
        """The style of a figure as JSON: its own block over the one for all figures."""
        blocks = [self.configuration.figures.get(name, Style()) for name in ("all", figure)]
        return to_json({key: value for block in blocks for key, value in block.model_dump(exclude_unset=True).items()})


def split_list(items: Sequence[str], size: int) -> list[list[str]]:
    """Consecutive pieces of ``size`` items; the last may be shorter."""
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def compare_ends(run: Run, others: list[Run], what: str) -> list[Run]:
    """A run, cut to the number of epochs that the ``others`` have, and these; ``what`` they are, for the error.

    Raises:
        UserError: they differ in length.
    """
    first, *_ = others
    if other := next((other for other in others if other.epochs != first.epochs), None):
        raise UserError(
            f"runs: of {what} on {run.data.name}, {first.model.name} runs for {first.epochs} epochs and"
            f" {other.model.name} for {other.epochs}; give all the same number, since a table compares their losses"
        )
    return [replace(run, epochs=first.epochs), *others]


def counts_gates(model: Member) -> bool:
    """Whether a model's method removes groups of an LSTM's weights, so that there are gates and neurons to count."""
    return bool(model.method) and settings_of(model).needs.cells == ("lstm",)


def prunes(model: Member) -> bool:
    """Whether a model's weights are pruned by what they have learnt."""
    return bool(model.method) and settings_of(model).prunes and model.role not in OTHER_UNITS


def settings_of(model: Member) -> type[Method]:
    """The settings class of a sparsified model's method."""
    settings: type[Method] = load(METHODS[model.method].settings).Settings
    return settings


def to_json(value: Any) -> str:
    """A block, or plain values, as JSON with sorted keys, so that the order in the file does not matter."""
    return json.dumps(dump(value) if isinstance(value, Block) else value, sort_keys=True)
