"""The configuration, checked before any job starts: the schema, and what a schema cannot say."""

import difflib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.exceptions import ValidationError, best_match

from natural_sparsity.errors import UserError
from natural_sparsity.probing.measures import MEASURES
from natural_sparsity.probing.settings import OF_TRAINING, check_conditions
from natural_sparsity.sparsify.derive import OF_TASKS, OWN_ARCHITECTURE, expand
from natural_sparsity.tagging.tag import find_model

Config = dict[str, Any]

# The standard's integers include 2.0, which Python cannot count with, and its numbers NaN.
TYPES = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda _, value: isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value),
    }
)
# Sparsification methods that classifiers have; None is the dense model's.
ON_TEXTS = (None, "sparse_vd")
# How many classes the texts of each format have.
CLASSES = {"vader": 2, "vader_sources": 4, "imdb": 2, "ag_news": 4}
Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=TYPES)


def validate(config: Config, schema_path: Path) -> Config:
    """Return ``config`` with the schema's defaults filled in.

    Raises:
        UserError: one line with the key, what is wrong with it, and the mend.
    """
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    check_methods(schema, config, "models")
    check_methods(schema, config, "task_models")
    check_kinds(schema, config)
    error = best_match(Validator(schema).iter_errors(config))
    if error is not None:
        raise UserError(explain(error))
    check_optimisers(config["models"])
    check_units(config["corpora"])
    check_tasks(config)
    given = config.get("probes", {})
    config = with_defaults(schema, config, schema["$defs"])
    check_runs(config)
    check_probes(given, config["probes"])
    check_styles(config["figures"])
    for name in {run["corpus"] for run in config["runs"] if run.get("corpus") in config["corpora"]}:
        check_corpus(f"corpora.{name}", config["corpora"][name])
    return expanded(config)


def expanded(config: Config) -> Config:
    """The runs and models that sparsified ones stand for; those of tasks apart, as ``task_runs`` and ``task_models``.

    An entry of ``task_runs`` has its task as ``corpus``.
    """
    numbered = [{**run, "entry": i} for i, run in enumerate(config["runs"])]
    of_texts = expand({**config, "runs": [run for run in numbered if "corpus" in run]}, "models")
    of_tasks = expand(
        {
            "models": config["task_models"],
            "runs": [{**run, "corpus": run["task"]} for run in numbered if "task" in run],
        },
        "task_models",
    )
    repeated = sorted(set(of_texts["models"]) & set(of_tasks["models"]))
    if repeated:
        raise UserError(f"task_models.{repeated[0]}: {repeated[0]} is also the name of one of models; rename one")
    return {**of_texts, "task_models": of_tasks["models"], "task_runs": of_tasks["runs"]}


def check_optimisers(models: Config) -> None:
    """A model that Adam trains says how fast; what is SGD's alone is left out."""
    for name, model in models.items():
        training = model.get("training", {})
        if training.get("optimiser") != "adam":
            continue
        for key in ("learning_rate", "clip"):
            if key not in training:
                raise UserError(f"models.{name}.training.{key}: give it for Adam; the default is SGD's")
        if "decay" in training or "sparsify" in model:
            decay, own = "training.decay: Adam's rate is constant", "training.optimiser: the method has its own"
            raise UserError(f"models.{name}.{decay if 'decay' in training else own}; leave it out")


def check_methods(schema: Config, config: Config, blocks: str) -> None:
    """The blocks of sparsification methods, of ``models`` or ``task_models``, each by its method's own schema.

    Raises:
        UserError: as :func:`validate`.
    """
    models = config.get(blocks)
    for name, model in models.items() if isinstance(models, dict) else ():
        block = model.get("sparsify") if isinstance(model, dict) else None
        if not isinstance(block, dict):
            continue
        key, methods = f"{blocks}.{name}", methods_of(schema)
        if block.get("method") not in methods:
            known = ", ".join(methods)
            raise UserError(f"{key}.sparsify.method: {block.get('method')!r} is no method; the methods are {known}")
        if blocks == "task_models" and block["method"] not in OF_TASKS:
            known = ", ".join(OF_TASKS)
            raise UserError(
                f"{key}.sparsify.method: {block['method']} is for language models; those for tasks are {known}"
            )
        validator = Validator({**methods[block["method"]], "$defs": schema["$defs"]})
        error = best_match(validator.iter_errors(block))
        if error is not None:
            raise UserError(explain(error, f"{key}.sparsify"))
        own = ["architecture"] if block["method"] in OWN_ARCHITECTURE else []
        for part in own:
            if part not in model:
                raise UserError(f"{key}.{part}: missing; give the student's, in which it differs from {block['of']}")
        for part in ("architecture", "training"):
            for name in sorted(set(model.get(part, {})) & set(methods[block["method"]]["properties"])):
                raise UserError(
                    f"{key}.{part}.{name}: {block['method']} has its own, sparsify.{name}; leave it out here"
                )
            if "of" in block and part in model and part not in own:
                raise UserError(f"{key}.{part}: it is that of {block['of']} (sparsify.of); leave it out here")


def methods_of(schema: Config) -> dict[str, Config]:
    """The schema of each sparsification method, by its name."""
    alternatives = schema["$defs"]["model"]["properties"]["sparsify"]["oneOf"]
    methods = [resolved(alternative, schema["$defs"]) for alternative in alternatives]
    return {method["properties"]["method"]["const"]: method for method in methods}


def check_kinds(schema: Config, config: Config) -> None:
    """The blocks of tasks, each by its kind's own schema; raises as :func:`validate`."""
    alternatives = [resolved(alternative, schema["$defs"]) for alternative in schema["$defs"]["task"]["oneOf"]]
    kinds = {kind["properties"]["kind"]["const"]: kind for kind in alternatives}
    tasks = config.get("tasks")
    for name, block in tasks.items() if isinstance(tasks, dict) else ():
        if not isinstance(block, dict):
            continue
        if block.get("kind") not in kinds:
            raise UserError(f"tasks.{name}.kind: {block.get('kind')!r} is no kind; the kinds are {', '.join(kinds)}")
        error = best_match(Validator({**kinds[block["kind"]], "$defs": schema["$defs"]}).iter_errors(block))
        if error is not None:
            raise UserError(explain(error, f"tasks.{name}"))


def check_tasks(config: Config) -> None:
    """Tasks, their models and runs fit together; before defaults are filled in.

    Raises:
        UserError: as :func:`validate`.
    """
    for name in sorted(set(config.get("tasks", {})) & set(config["corpora"])):
        raise UserError(f"tasks.{name}: {name} is also the name of a corpus; rename one")
    for name, model in config.get("task_models", {}).items():
        architecture = model.get("architecture", {})
        if "activation" in architecture and architecture.get("cell", "rnn") != "rnn":
            raise UserError(
                f"task_models.{name}.architecture.activation: it is Elman's, and the cell is {architecture['cell']};"
                " leave it out"
            )
    for i, run in enumerate(config["runs"]):
        if ("corpus" in run) == ("task" in run):
            raise UserError(f"runs.{i}: give a corpus or a task" + (", not both" if "corpus" in run else ""))
        if "task" in run and "probes" in run:
            raise UserError(f"runs.{i}.probes: probes are keyed by words, and a task has none; leave them out")


def explain(error: ValidationError, under: str = "") -> str:
    """One line for a schema violation, in a block that lies ``under`` a key."""
    key = ".".join([*filter(None, [under]), *map(str, error.absolute_path)]) or "configuration"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = sorted(set(error.instance) - set(known))[0]
        close = difflib.get_close_matches(unknown, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(known)}"
        return f"{key}: unknown key {unknown!r}; {hint}"
    if key.startswith("tasks.") and key.endswith("source") and error.validator in ("oneOf", "required"):
        given = ", ".join(error.instance)
        return f"{key}: give url and checksum, or path, or sdist, version and checksum; here are {given}"
    if key.endswith(".source") and error.validator in ("oneOf", "required"):
        given = ", ".join(error.instance)
        return (
            f"{key}: give url and checksum, or path, or package and file; here are {given} (files on top are merged in)"
        )
    if "propertyNames" in error.absolute_schema_path:
        if error.validator == "enum":
            return f"{key}: unknown key {error.instance!r}; the keys here are {', '.join(error.validator_value)}"
        return f"{key}: {error.instance!r} cannot name a block; use letters, digits, - and _ (not a name of ours)"
    text = isinstance(error.instance, str) and error.validator == "type"
    hint = " (inside braces, --config gives numbers as text: put them in a file for --configfile)" if text else ""
    return f"{key}: {error.message}{hint}"


def with_defaults(schema: Config, value: Any, definitions: Config) -> Any:
    """A copy of ``value`` in which absent keys have the schema's defaults, at every depth."""
    schema = chosen(resolved(schema, definitions), value, definitions)
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    properties = {key: resolved(entry, definitions) for key, entry in schema.get("properties", {}).items()}
    absent = {key: entry["default"] for key, entry in properties.items() if "default" in entry and key not in value}
    others = schema.get("additionalProperties") or {}
    return {
        key: with_defaults(properties.get(key, others), entry, definitions)
        for key, entry in {**value, **absent}.items()
    }


def resolved(schema: Config, definitions: Config) -> Config:
    """The schema with what its ``$ref`` names, under what stands beside it."""
    if "$ref" not in schema:
        return schema
    return {**definitions[schema["$ref"].removeprefix("#/$defs/")], **schema}


def chosen(schema: Config, value: Any, definitions: Config) -> Config:
    """Of alternatives that are told apart by their method or kind, the one of ``value``; else the schema itself."""
    for alternative in schema.get("oneOf", []):
        properties = resolved(alternative, definitions).get("properties", {})
        if isinstance(value, dict) and any(
            key in value and value[key] == properties.get(key, {}).get("const", ()) for key in ("method", "kind")
        ):
            return resolved(alternative, definitions)
    return schema


def check_runs(config: Config) -> None:
    """Runs name corpora or tasks, models and probes that exist, and a corpus or task and a model meet once."""
    seen: dict[tuple[str, str], int] = {}
    for i, run in enumerate(config["runs"]):
        if "task" in run:
            if config["tasks"].get(run["task"], {}).get("kind") == "classification":
                check_texts(i, run, config)
                run["corpus"] = run.pop("task")  # in whose place it is trained, by the same rules
                named = [("corpus", run["corpus"], "tasks"), ("model", run["model"], "models")]
            else:
                named = [("task", run["task"], "tasks"), ("model", run["model"], "task_models")]
            run["probes"] = []
        else:
            run.setdefault("probes", list(config["probes"]))
            named = [("corpus", run["corpus"], "corpora"), ("model", run["model"], "models")]
        named += [("probes", probe, "probes") for probe in run["probes"]]
        for key, name, blocks in named:
            if name not in config[blocks]:
                known = ", ".join(config[blocks]) or "there is none"
                raise UserError(f"runs.{i}.{key}: {name!r} is not among {blocks} ({known})")
        place = run.get("task") or run["corpus"]
        other = seen.setdefault((place, run["model"]), i)
        if other != i:
            raise UserError(f"runs.{i}: {place}/{run['model']} is already runs.{other}; list its seeds there")


def check_probes(given: Config, probes: Config) -> None:
    """The measures are known, what is ``given`` fits together; ``probes`` keep only what their weights leave open."""
    for name, probe in given.items():
        check_conditions(f"probes.{name}", probe)
        if probes[name]["weights"] == "training":
            probes[name] = {key: value for key, value in probes[name].items() if key not in OF_TRAINING}
            probes[name]["split"] = OF_TRAINING["split"]
    for name, probe in probes.items():
        for measure in probe["measures"]:
            if measure not in MEASURES:
                raise UserError(f"probes.{name}.measures: {measure!r} is not among {', '.join(MEASURES)}")


def check_styles(styles: Config) -> None:
    """The figures' styles are what the figures take."""
    if not styles:
        return  # matplotlib takes a second to import, which most calls need not wait for
    from natural_sparsity.figures.style import Style

    for name, style in styles.items():
        try:
            Style.parse(json.dumps(style))
        except UserError as error:
            raise UserError(f"figures.{name}: {str(error).removeprefix('--style: ')}") from error


def check_texts(i: int, run: Config, config: Config) -> None:
    """The files of a classification task fit its format, and the model's method is one that it has."""
    method = (config["models"].get(run["model"], {}).get("sparsify") or {}).get("method")
    if method not in ON_TEXTS:
        known = ", ".join(each for each in ON_TEXTS if each)
        raise UserError(f"runs.{i}: {method} is for language models; for classification there is {known}")
    task = config["tasks"][run["task"]]
    if ("test_source" in task) != (task["format"] == "ag_news"):
        raise UserError(f"tasks.{run['task']}.test_source: ag_news has a file of its own for it, and no other format")
    if task["classes"] != CLASSES[task["format"]]:
        raise UserError(
            f"tasks.{run['task']}.classes: {task['format']} has {CLASSES[task['format']]}, not {task['classes']}"
        )
    for name in ("source", "test_source"):
        path = task.get(name, {}).get("path")
        if path and not Path(path).is_file():
            raise UserError(f"tasks.{run['task']}.{name}: {path} is no file")


def check_units(corpora: Config) -> None:
    """Corpora of characters say nothing of parts of speech, which characters do not have."""
    for name, corpus in corpora.items():
        if corpus.get("unit") == "character" and "tagging" in corpus:
            raise UserError(
                f"corpora.{name}.tagging: the corpus is of characters, which have no part of speech; leave it out"
            )


def check_corpus(key: str, corpus: Config) -> None:
    """The source is there, the fractions sum to 1, the spaCy model is installed."""
    fractions = [corpus["split"][name] for name in ("train", "dev", "test")]
    if abs(sum(fractions) - 1) > 1e-9:
        raise UserError(f"{key}.split: {' + '.join(map(str, fractions))} = {sum(fractions):g}, not 1")
    for path in source_paths(key, corpus["source"]):
        if not path.exists():
            raise UserError(f"{key}.source: {path} does not exist")
    if corpus["unit"] == "character":
        return
    try:
        find_model(corpus["tagging"]["model"])
    except UserError as error:
        raise UserError(f"{key}.tagging.model: {error}") from error


def source_paths(key: str, source: Config) -> Iterator[Path]:
    """The local files or folders of a source; none for one that is downloaded."""
    if "package" in source:
        try:
            package = find_spec(source["package"])
        except (ImportError, ValueError):
            package = None
        if package is None or not package.submodule_search_locations:
            raise UserError(
                f"{key}.source.package: {source['package']} is not installed; pip install {source['package']}"
            )
        yield Path(package.submodule_search_locations[0], source["file"])
    elif "path" in source:
        paths = source["path"]
        yield from map(Path, [paths] if isinstance(paths, str) else paths)
