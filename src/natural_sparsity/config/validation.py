"""The configuration, checked before any job starts: each block by its model, and how the blocks fit together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.base import join_words, read_block
from natural_sparsity.config.configuration import Configuration
from natural_sparsity.config.data.base import Kind
from natural_sparsity.config.data.local import check_file
from natural_sparsity.config.methods.base import find_lack
from natural_sparsity.config.model import Model
from natural_sparsity.config.run import Run
from natural_sparsity.config.sources import trace
from natural_sparsity.config.style import check_colors
from natural_sparsity.errors import UserError

PARTS = ("architecture", "training")


def validate(config: dict[str, Any]) -> Configuration:
    """Read the configuration and check that it can be run; the runs of the result name their probes.

    Raises:
        UserError: one line with the key, what is wrong with it, and the fix.
    """
    configuration = read_block(Configuration, config, "")
    for name, data in configuration.data.items():
        data.check_references(f"data.{name}", configuration.data)
    for name, model in configuration.models.items():
        check_model(name, model, configuration)
    seen: dict[tuple[str, str], int] = {}
    for i, run in enumerate(configuration.runs):
        check_names(i, run, configuration)
        other = seen.setdefault((run.data, run.model), i)
        if other != i:
            raise UserError(f"runs.{i}: {run.data}/{run.model} is already runs.{other}; list its seeds there")
    for i, run in enumerate(configuration.runs):
        check_needs(i, run, configuration)
    check_use(configuration)
    for name in dict.fromkeys(configuration.text_of(run.data) for run in configuration.runs):
        configuration.data[name].check_files(f"data.{name}")
    for name in dict.fromkeys(run.model for run in configuration.runs):
        check_vectors(f"models.{name}.architecture.vectors.path", configuration.models[name].architecture)
    for name, style in configuration.figures.items():
        check_colors(style, f"figures.{name}")
    runs = [run.model_copy(update={"probes": choose_probes(run, configuration)}) for run in configuration.runs]
    for i, run in enumerate(runs):
        check_first_epoch(i, run, configuration)
        check_control(i, run, runs, configuration)
    return configuration.model_copy(update={"runs": runs})


def check_model(name: str, model: Model, configuration: Configuration) -> None:
    """Check that a sparsified model repeats no setting of its dense model or its method, and that cell and rate fit."""
    method = model.sparsify
    if method is None:
        return
    key, (own, source) = f"models.{name}", method.find_source()
    if method.own_architecture and "architecture" not in model.model_fields_set:
        raise UserError(f"{key}.architecture: missing; give the student's, in which it differs from {source}")
    for path, replaced in method.replaces.items():
        part, entry = path.split(".")
        if entry in getattr(model, part).model_fields_set:
            raise UserError(f"{key}.{path}: {method.method} has its own, {replaced}; leave it out here")
    for part in PARTS:
        if source and part in model.model_fields_set and not (part == "architecture" and method.own_architecture):
            raise UserError(f"{key}.{part}: it is that of {source} (sparsify.{own}); leave it out here")
    dense = trace(model, configuration.models)[-1]
    cell = (model if method.own_architecture else dense).architecture.cell
    for what, needs in method.collect_needs().items():
        if needs.cells and cell not in needs.cells:
            cells = join_words(needs.cells, "or")
            raise UserError(f"{key}.sparsify: {what} needs cell {cells}, and the cell here is {cell}; change either")
    rate = getattr(method, "learning_rate", None)
    optimizer = method.replaces.get("training.optimizer") or dense.training.optimizer
    if rate and rate > 1 and optimizer.lower() == "adam":
        raise UserError(f"{key}.sparsify.learning_rate: {rate:g} is a rate for SGD; give Adam one such as 0.001")


def check_vectors(key: str, architecture: Architecture) -> None:
    """Check that the word vectors that an embedding starts from, if any, are in a file that can be read."""
    if architecture.vectors:
        try:
            check_file(architecture.vectors.path)
        except UserError as error:
            raise UserError(f"{key}: {error}") from error


def check_names(i: int, run: Run, configuration: Configuration) -> None:
    """Check that a run names data, a model and probes that exist, and probes only where there are words."""
    references: list[tuple[str, str, Mapping[str, Any]]] = [
        ("data", run.data, configuration.data),
        ("model", run.model, configuration.models),
    ]
    references += [("probes", probe, configuration.probes) for probe in run.probes or []]
    for key, name, blocks in references:
        if name not in blocks:
            among = "models" if key == "model" else key
            families = [block for block in blocks if key == "model" and name.startswith(f"{block}-")]
            family = max(families, key=len, default="")
            hint = f"; if it is one of the models that {family} stands for, give {family}" if family else ""
            raise UserError(f"runs.{i}.{key}: {name!r} is not among {among} ({', '.join(blocks)}){hint}")
    data = configuration.data[run.data]
    if run.probes is not None and not data.probed:
        raise UserError(f"runs.{i}.probes: probes need words, and {data.kind} has none; leave them out")


def check_needs(i: int, run: Run, configuration: Configuration) -> None:
    """Check that the data of a run have what the method of its model needs."""
    method = configuration.models[run.model].sparsify
    data = configuration.data[run.data]
    for what, needs in method.collect_needs().items() if method else ():
        lack, has = find_lack(needs, type(data))
        if lack:
            raise UserError(f"runs.{i}: {run.model}: {what} needs {lack}, and {has}; run it on other data")


def check_use(configuration: Configuration) -> None:
    """Check that each key set for a model is used by some of the data it runs on."""
    kinds: dict[str, list[Kind]] = {}
    for run in configuration.runs:
        kinds.setdefault(run.model, []).append(configuration.data[run.data])
    for name, data in kinds.items():
        for key, fact in list_limited_keys(configuration.models[name]):
            if not any(kind.has(fact) for kind in data):
                raise UserError(f"models.{name}.{key}: none of the data that {name} runs on uses it; leave it out")


def list_limited_keys(model: Model) -> Iterator[tuple[str, str]]:
    """Yield the keys that the user set and only some kinds of data use, each with the fact that decides."""
    for part in PARTS:
        block = getattr(model, part)
        for key in type(block).model_fields:
            extra = type(block).model_fields[key].json_schema_extra
            if key in block.model_fields_set and isinstance(extra, dict) and "only" in extra:
                yield f"{part}.{key}", str(extra["only"])


def check_first_epoch(i: int, run: Run, configuration: Configuration) -> None:
    """Check that something probes the checkpoints inside a run's first epoch, and that there is such an epoch."""
    key, method = f"runs.{i}.first_epoch_checkpoints", configuration.models[run.model].sparsify
    if not run.first_epoch_checkpoints:
        return
    if method and not method.follows_steps:
        raise UserError(f"{key}: models of {method.method} exist only at the end of an epoch; leave it out")
    if any(
        getattr(each.sparsify, "rewind", 0) for each in trace(configuration.models[run.model], configuration.models)
    ):
        raise UserError(f"{key}: {run.model} starts from a trained model and has no first epoch; leave it out")
    if not any(configuration.probes[name].weights == "frozen" for name in run.probes or ()):
        raise UserError(f"{key}: no probe of the run reads them; add one with weights: frozen, or leave this out")


def check_control(i: int, run: Run, runs: Sequence[Run], configuration: Configuration) -> None:
    """Check that a control has all the seeds, probes and epochs of the run on the text that it controls."""
    text = configuration.text_of(run.data)
    for other in runs:
        if run.data == text or (other.data, other.model) != (text, run.model):
            continue
        few = other.epochs > run.epochs or set(other.seeds) - set(run.seeds)
        if few or set(other.probes or ()) - set(run.probes or ()):
            needed = {"epochs": other.epochs, "seeds": other.seeds, "probes": other.probes}
            listed = ", ".join(f"{key}: {value}".replace("'", "") for key, value in needed.items())
            raise UserError(
                f"runs.{i}: {run.data}/{run.model} is the control of {text}/{run.model} and must cover all of it;"
                f" give it {listed}"
            )


def choose_probes(run: Run, configuration: Configuration) -> list[str]:
    """Return the probes of a run: those that it names, else all; none where there are no words."""
    if not configuration.data[run.data].probed:
        return []
    return list(configuration.probes) if run.probes is None else run.probes
