import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from natural_sparsity.config import source_paths, validate
from natural_sparsity.errors import UserError
from natural_sparsity.provenance import code_digest
from natural_sparsity.sparsify.derive import OF_LSTMS
from natural_sparsity.sparsify.methods import METHODS
from natural_sparsity.tasks.kinds import KINDS

try:
    config = validate(config, Path(workflow.basedir, "workflow/schemas/config.schema.yaml"))
except UserError as error:
    sys.exit(f"configuration: {error}")


def refuse_missing_profile(arguments):
    """Snakemake passes over a --workflow-profile that is not there, and would run everything on this machine."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--workflow-profile", default="none")
    name = parser.parse_known_args(arguments)[0].workflow_profile
    # With --directory, Snakemake has left the folder that it was called in, which the shell remembers.
    called_in = [Path(workflow.workdir_init), Path(os.getenv("PWD", "."))]
    folders = [*called_in, *(folder / "profiles" for folder in (*called_in, Path(workflow.basedir)))]
    if name != "none" and not any((folder / name).exists() for folder in folders):
        there = ", ".join(f"profiles/{path.name}" for path in sorted(folders[-1].iterdir()))
        sys.exit(f"--workflow-profile: there is no {name}, so the jobs would not go where you mean; {there} are there")


refuse_missing_profile(sys.argv[1:])

# Jobs find the package's command wherever snakemake was called from; an activated conda environment goes before it.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", os.defpath)]),
    NATURAL_SPARSITY_ROOT=str(workflow.basedir),
)

# A job takes a GPU of those that the profile grants if it will compute on one. This looks at the machine that
# Snakemake runs on; for others, a profile says so with set-resources.
GPUS = int(
    config["device"].startswith("cuda") or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None)
)

CORPUS = "results/{corpus}/corpus"
MODEL = "results/{corpus}/{model}"
RUN = f"{MODEL}/seed{{seed}}"
PARAMETERS = f"{RUN}/epoch{{epoch}}/parameters.safetensors"
STATE = f"{RUN}/epoch{{epoch}}/state.json"
PROBE = f"{RUN}/epoch{{epoch}}/{{probe}}.parquet"
TASK_MODEL = "results/{task}/{task_model}"
TASK_RUN = f"{TASK_MODEL}/seed{{seed}}"
TASK_PARAMETERS = f"{TASK_RUN}/epoch{{epoch}}/parameters.safetensors"
TASK_STATE = f"{TASK_RUN}/epoch{{epoch}}/state.json"
TASK_EVALUATION = f"{TASK_MODEL}/evaluation/epoch{{epoch}}.json"
EVALUATION = f"{MODEL}/evaluation/epoch{{epoch}}.json"
STRUCTURE = f"{MODEL}/evaluation/structure-epoch{{epoch}}.json"
FOLDED = f"{RUN}/epoch{{epoch}}/folded"
FOLDING = f"{MODEL}/evaluation/folding-epoch{{epoch}}.json"
COSTS = f"{MODEL}/evaluation/costs-epoch{{epoch}}.json"


def one_of(names):
    """A wildcard's pattern: one of the names; nothing if there are none."""
    return "|".join(names) or "(?!)"


# Language models and those of tasks, whose names differ.
MODELS = {**config["models"], **config["task_models"]}


# Tasks whose texts the rules of language models read, where such a task stands in the place of a corpus.
TEXTS = [name for name, task in config["tasks"].items() if task["kind"] == "classification"]
# The corpora of which models are probed: of others there is nothing to compare or to explore.
PROBED = list(dict.fromkeys(run["corpus"] for run in config["runs"] if run["probes"]))
# Of language models and of tasks.
RUNS = [*config["runs"], *config["task_runs"]]


wildcard_constraints:
    corpus=one_of([*config["corpora"], *TEXTS]),
    model=one_of(config["models"]),
    task=one_of(config["tasks"]),
    task_model=one_of(config["task_models"]),
    # What models are trained on: a corpus or a task.
    field=one_of([*config["corpora"], *config["tasks"]]),
    probe=one_of(config["probes"]),
    measure=r"[a-z]\w*",
    shard=r"\d+-of-\d+",
    seed=r"\d+",
    # The untrained checkpoint has a name of its own: no job may take it for an epoch to train.
    epoch=r"[1-9]\d*",


def block(kind, *keys):
    """A rule's parameter: an entry of the wildcards' corpus or model block; objects as JSON, whatever their order."""

    def get(wildcards):
        name = {"corpora": "corpus", "models": "model", "tasks": "task", "task_models": "task_model"}[kind]
        value = config[kind][wildcards[name]]
        for key in keys:
            value = value[key]
        return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value

    return get


def roundings(wildcards):
    """A parameter: the bits and scopes, as JSON, of the models that the wildcards' one is trained on to with few bits."""
    of = [model["sparsify"] for model in config["models"].values() if model.get("of") == wildcards.model]
    pairs = {(s["bits"], s["scope"]) for s in of if s["method"] == "qat"}
    return [json.dumps({"bits": bits, "scope": scope}) for bits, scope in sorted(pairs)]


def probe_block(wildcards):
    """A rule's parameter: the block of the wildcards' probe as JSON; the split is the rule's input."""
    of = config["probes"][wildcards.probe]
    return json.dumps({key: value for key, value in of.items() if key != "split"}, sort_keys=True)


def moving(wildcards):
    """Whether the wildcards' probe gathers while the epoch is trained."""
    return config["probes"][wildcards.probe]["weights"] == "training"


def checkpoints_before(pattern, group):
    """An input function: ``pattern`` for the epoch before each of ``group``, for a probe that trains them again."""
    return lambda wildcards: [
        path for epoch in group if moving(wildcards) for path in checkpoint_before(pattern, epoch)(wildcards)
    ]


def shards(wildcards):
    """The names of the corpus's shards."""
    n = config["corpora"][wildcards.corpus]["shards"]
    return [f"{i}-of-{n}" for i in range(n)]


def of_shards(pattern):
    """An input function: ``pattern`` for every shard of the corpus."""
    return lambda wildcards: expand(pattern, corpus=wildcards.corpus, shard=shards(wildcards))


def in_folder(name, suffix):
    """A parameter: a file a shard in the folder that is the output or input called ``name``."""

    def get(wildcards, input, output):
        folder = output.get(name) or input.get(name)
        return [f"{folder}/{shard}{suffix}" for shard in shards(wildcards)]

    return get


def source(wildcards):
    """The corpus's files or folders: local ones as they are, others to be downloaded."""
    of = config["corpora"][wildcards.corpus]["source"]
    if "url" in of:
        folder = f"{CORPUS}/download".format(**wildcards)
        return [f"{folder}/{Path(urlsplit(of['url']).path).name}"]
    return [str(path) for path in source_paths(wildcards.corpus, of)]


def source_files(wildcards):
    """Every file of the source: of a folder, Snakemake would see only that a file came or went, not that it changed."""
    files = []
    for path in source(wildcards):
        inside = sorted(map(str, Path(path).rglob("*"))) if Path(path).is_dir() else [path]
        files += [file for file in inside if not Path(file).is_dir()]
    return files


def entry(wildcards):
    """The entry of ``runs`` that has the wildcards' corpus and model, or task and its model."""
    wanted = (wildcards.get("corpus", wildcards.get("task")), model_of(wildcards))
    for run in RUNS:
        if (run["corpus"], run["model"]) == wanted:
            return run
    sys.exit(f"configuration: {'/'.join(wanted)} is not among the runs")


def model_of(wildcards):
    """The name of the wildcards' model, of a language model or of a task's."""
    return wildcards.get("model", wildcards.get("task_model"))


def epochs_of(run):
    """The epochs that an entry of ``runs`` trains: a sparsified model may start at one of its dense model's."""
    return range(MODELS[run["model"]]["rewind"] + 1, run["epochs"] + 1)


def epochs(wildcards):
    """The epochs of the wildcards' run."""
    return epochs_of(entry(wildcards))


def unit_of_corpus(corpus):
    """What the tokens of a corpus are; a task's texts are read as words."""
    return "word" if corpus in TEXTS else config["corpora"][corpus]["unit"]


def of_characters(corpus):
    """Whether a corpus's tokens are characters, which have no part of speech."""
    return unit_of_corpus(corpus) == "character"


def unit_of(wildcards):
    """A parameter: what the tokens of the wildcards' corpus are, or of all corpora that are compared."""
    names = [wildcards.corpus] if "corpus" in wildcards.keys() else PROBED
    units = {unit_of_corpus(name) for name in names}
    return units.pop() if len(units) == 1 else "token"


def data(name):
    """An input function: an array or the vocabulary that the wildcards' corpus or task gives to training."""

    def path(wildcards):
        if wildcards.corpus in config["tasks"]:
            return f"results/{wildcards.corpus}/data/{name}"
        return f"{CORPUS}/{name if name == 'vocabulary.parquet' else f'tokens/{name}'}".format(corpus=wildcards.corpus)

    return path


def of_tasks(pattern):
    """``pattern`` for each run of a task, after its last epoch."""
    return [
        path
        for run in config["runs"]
        if run["corpus"] in config["tasks"]
        for path in expand(pattern, corpus=run["corpus"], model=run["model"], epoch=run["epochs"])
    ]


def of_epochs(pattern):
    """An input function: ``pattern`` for every epoch of the run."""
    return lambda wildcards: expand(pattern, **wildcards, epoch=epochs(wildcards))


def of_seeds(pattern):
    """An input function: ``pattern`` for every seed of the wildcards' corpus and model."""
    return lambda wildcards: expand(pattern, **wildcards, seed=entry(wildcards)["seeds"])


def of_seeds_and_epochs(pattern):
    """An input function: ``pattern`` for every seed and epoch of the wildcards' corpus and model."""
    return lambda wildcards: expand(pattern, **wildcards, seed=entry(wildcards)["seeds"], epoch=epochs(wildcards))


def of_seeds_at_the_end(pattern):
    """An input function: ``pattern`` for every seed, after the last epoch."""
    return lambda wildcards: expand(
        pattern, **wildcards, seed=entry(wildcards)["seeds"], epoch=entry(wildcards)["epochs"]
    )


def jobs(kind, rule_name=None, runs=config["runs"], path=RUN):
    """How epochs are shared out among jobs: (rule's name, run's path, epochs) for each rule that ``kind`` needs.

    Rules are called ``rule_name``, else as the kind; ``path`` is that of ``runs``, whose names take its wildcards' place.

    One epoch a job is one rule with wildcards. More are a rule for each such group, since Snakemake wants a rule's
    outputs to be known by number; a run's last group is as long as what is left.
    """
    size = config["epochs_per_job"][kind]
    if size == 1:
        yield rule_name or kind, path, ["{epoch}"]
        return
    for run in runs:
        wildcards = iter([run["corpus"], run["model"]])
        own = re.sub(r"{(corpus|model|task|task_model)}", lambda match: f"{{{match[1]},{next(wildcards)}}}", path)
        for first in epochs_of(run)[::size]:
            last = min(first + size - 1, run["epochs"])
            names = re.sub(r"\W", "_", f"{run['corpus']}_{run['model']}")
            yield f"{rule_name or kind}_{names}_{first}_to_{last}", own, list(map(str, range(first, last + 1)))


def task_jobs():
    """As :func:`jobs`, of the training on tasks."""
    return jobs("train_epoch", "train_task", config["task_runs"], TASK_RUN)


def memory(mb, per_input=0):
    """A resource: megabytes, as measured (docs/performance.md), with the inputs' size; a job that failed gets more."""
    return lambda wildcards, input, attempt: attempt * int(mb + (per_input * input.size_mb if per_input else 0))


def minutes(n):
    """A resource: the time that a job may take; one that failed gets more."""
    return lambda wildcards, attempt: attempt * n


# What a profile or the command line sets for train_epoch and probe is for all of their jobs, whatever epochs they take.
for settings in (workflow.resource_settings.overwrite_resources, workflow.resource_settings.overwrite_threads):
    for kind in config["epochs_per_job"]:
        if kind in settings:
            settings.update({name: settings[kind] for name, _, _ in jobs(kind)})
    if "train_task" in settings:
        settings.update({name: settings["train_task"] for name, _, _ in task_jobs()})


def device(wildcards):
    """A resource: where a job computes. On a cluster it must be said: nothing is known here of its nodes."""
    if config["device"] == "auto" and (workflow.remote_exec or workflow.non_local_exec):
        raise WorkflowError(
            "device: auto is for the machine that Snakemake runs on; for jobs on others say cuda or cpu,"
            " as profiles/slurm/config.yaml does under set-resources"
        )
    return config["device"]


def checkpoint_before(pattern, epoch):
    """An input function: ``pattern`` for the epoch before; before the run's first comes its initial checkpoint."""

    def path(wildcards):
        before = int(wildcards.get("epoch", epoch)) - 1
        at = pattern.replace("epoch{epoch}", f"epoch{before}" if before >= epochs(wildcards)[0] else "init")
        return expand(at, **wildcards)

    return path


def parent(role, pattern):
    """An input function: ``pattern`` of the checkpoint that a sparsified model has as its ``role``; [] without one.

    It is of the same corpus and seed, at the epoch that the model names or the last: of a teacher's own run, else of the
    wildcards'.
    """

    def paths(wildcards):
        parents = MODELS[model_of(wildcards)]["parents"]
        if role not in parents:
            return []
        model, epoch = parents[role]
        if epoch == "last":
            if role == "teacher":
                [run] = runs_of(wildcards.corpus, [model])
            else:
                run = entry(wildcards)
            epoch = run["epochs"]
        at = pattern.replace("epoch{epoch}", f"epoch{epoch}" if epoch else "init")
        return expand(at, **{**wildcards, "model" if "model" in wildcards.keys() else "task_model": model})

    return paths


def teacher(wildcards, input):
    """A parameter: a student's teacher; nothing for others."""
    paths = input.teacher_parameters, input.teacher_state
    return "--teacher-parameters {} --teacher-state {}".format(*paths) if input.teacher_state else ""


def method_digest(wildcards):
    """A parameter: the digest of the code of a sparsified model's method; nothing for a dense one."""
    method = MODELS[model_of(wildcards)]["sparsify"].get("method")
    return code_digest(METHODS[method]) if method else ""


def kind_digest(wildcards):
    """A parameter: the digest of the code of a task's kind."""
    return code_digest(KINDS[config["tasks"][wildcards.task]["kind"]])


def masks_from(wildcards, input):
    """A parameter: the checkpoint whose weights or masks decide what is kept; nothing where there is none."""
    paths = input.masks_parameters, input.masks_state
    return "--masks-parameters {} --masks-state {}".format(*paths) if input.masks_state else ""


def style(figure):
    """The style of a figure as JSON: its own entry over the one for all."""
    styles = config["figures"]
    return json.dumps({**styles.get("all", {}), **styles.get(figure, {})}, sort_keys=True)


# What a figure or table is called where the report lists it.
TITLES = {
    "architecture": "1: the model",
    "chi": "What χ measures",
    "training": "Losses and learning rate",
    "fig2": "2: by epoch and word",
    "fig3a": "3a: correlations, target words",
    "fig3b": "3b: correlations, input words",
    "fig4": "4: open and closed classes",
    "fig5": "5: against frequency, by class",
    "claims": "The paper’s statements",
    "comparison": "Runs side by side",
    "moduli": "Error by space and control",
    "connectivity": "Distances of joined units",
    "network": "Strongest weights in the space",
    "lottery": "Perplexity against density",
    "compression": "What models cost",
    "natural": "Sparsified models beside the dense one",
    "overlap": "Units that keep their weights",
    "structure": "Gates, neurons and weights left",
    "provenance": "Configuration and versions",
}


def in_report(name, path, **labels):
    """What ``report`` takes for the product at ``path``: caption, place and labels, by the wildcards in the path."""
    wildcards = set(re.findall(r"{(\w+)}", path))
    condition = ("Claims, " if name == "claims" else "Figures, ") + "probed {probe}"
    elsewhere = (
        "Sparsified models" if name in ("lottery", "compression") else "Training" if "model" in wildcards else None
    )
    return dict(
        caption=f"../report/{name}.rst",
        category="{corpus}, {model}" if "model" in wildcards else "All runs",
        subcategory=condition if "probe" in wildcards else elsewhere,
        labels={"shows": TITLES[name]}
        | labels
        | {axis: f"{{{axis}}}" for axis in ("measure", "seed") if axis in wildcards},
    )


def figure(stem):
    """A figure's files; its picture and its numbers go into the report."""
    forms = {".png": "picture", ".csv": "table (CSV)"}
    about = {suffix: in_report(Path(stem).name, stem, form=form) for suffix, form in forms.items()}
    return [f"{stem}.pdf", *[report(f"{stem}{suffix}", **arguments) for suffix, arguments in about.items()]]


def commit():
    """The commit that is checked out, if the workflow lies in a git repository; ``-dirty`` if files differ from it."""
    command = ["git", "-C", str(workflow.basedir), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    if shutil.which("git") is None:
        return "unknown"
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def for_each_condition(pattern):
    """``pattern`` for every run, seed and condition, each after its last epoch; equal paths are kept, to be zipped."""
    return [
        path
        for run in config["runs"]
        for probe in run["probes"]
        for seed in run["seeds"]
        for path in expand(
            pattern, corpus=run["corpus"], model=run["model"], seed=seed, probe=probe, epoch=run["epochs"]
        )
    ]


def with_measure(pattern):
    """An input function: ``pattern`` for every run, seed and condition that has the wildcards' measure."""
    return lambda wildcards: [
        path
        for run in config["runs"]
        for probe in run["probes"]
        if wildcards.measure in config["probes"][probe]["measures"]
        for path in expand(pattern, corpus=run["corpus"], model=run["model"], seed=run["seeds"], probe=probe)
    ]


def everywhere(pattern, classes=False):
    """``pattern`` for every run: every corpus with its model, seeds, epochs, probes and their measures that it names.

    What needs word ``classes`` leaves out the corpora that have none.
    """
    paths = []
    for run in config["runs"]:
        if classes and of_characters(run["corpus"]):
            continue
        for probe in run["probes"]:
            axes = dict(corpus=run["corpus"], model=run["model"], seed=run["seeds"], probe=probe)
            measures = config["probes"][probe]["measures"]
            paths += expand(pattern, **axes, epoch=epochs_of(run), measure=measures)
    return list(dict.fromkeys(paths))


def on_tasks(pattern):
    """``pattern`` for every run of a task, each after its last epoch."""
    return [
        path
        for run in config["task_runs"]
        for path in expand(pattern, task=run["corpus"], task_model=run["model"], seed=run["seeds"], epoch=run["epochs"])
    ]


def is_moduli(run, others=False):
    """Whether a run is of moduli regularisation, or (``others``) its dense model's or its retrained one's."""
    of = {model.get("of") for model in MODELS.values() if model["sparsify"].get("method") == "moduli"}
    sparsify = MODELS[run["model"]]["sparsify"]
    if sparsify.get("role") == "retrained":
        return others
    return sparsify.get("method") == "moduli" or (others and run["model"] in of)


def moduli_runs(field, others=True):
    """The moduli-regularised runs of a corpus or task, with or without the ``others``: dense and retrained models."""
    return [run for run in RUNS if run["corpus"] == field and is_moduli(run, others)]


def of_moduli(language, task, others=True):
    """An input function: a file for each moduli-regularised run of the wildcards' corpus, by the pattern ``language``, or of
    their task, by ``task``; their dense models and what is retrained under their masks are the ``others``.
    """

    def paths(wildcards):
        found = []
        for run in moduli_runs(wildcards.field, others):
            of = dict(epoch=run["epochs"], seed=run["seeds"])
            if run["model"] in config["task_models"]:
                found += expand(task, task=run["corpus"], task_model=run["model"], **of)
            else:
                found += expand(language, corpus=run["corpus"], model=run["model"], **of)
        return found

    return paths


MODULI_FIELDS = sorted({run["corpus"] for run in RUNS if is_moduli(run)})


def runs_of(corpus, models):
    """The entries of ``runs`` of a corpus whose model is among ``models``."""
    return [run for run in config["runs"] if run["corpus"] == corpus and run["model"] in models]


def pruned(wildcards):
    """The models with a density that come from the wildcards' dense model, by name."""
    models = config["models"].items()
    return [name for name, model in models if model.get("of") == wildcards.model and "density" in model["sparsify"]]


def with_pruned(pattern):
    """An input function: ``pattern`` of the wildcards' dense model and of what was pruned from it, with the controls.

    All at the last epoch of the pruned models' runs, so that all have been trained for as many.
    """

    def paths(wildcards):
        others = runs_of(wildcards.corpus, pruned(wildcards))
        if not others:
            sys.exit(f"configuration: no run on {wildcards.corpus} of a model pruned from {wildcards.model}")
        epochs = {run["epochs"] for run in others}
        if len(epochs) > 1:
            sys.exit(
                f"configuration: the models pruned from {wildcards.model} run for {sorted(epochs)} epochs on"
                f" {wildcards.corpus}; give them as many each, or their losses cannot be compared"
            )
        runs = [*runs_of(wildcards.corpus, [wildcards.model]), *others]
        of = dict(corpus=wildcards.corpus, epoch=epochs)
        return [path for run in runs for path in expand(pattern, model=run["model"], **of)]

    return paths


def compressed(corpus, model):
    """The runs on a corpus of the models made from a dense one, less the controls that prune at random."""
    models = config["models"].items()
    random = ("random_mask", "random_init")
    made = [name for name, of in models if of.get("of") == model and of["sparsify"].get("role") not in random]
    return runs_of(corpus, made)


def with_compressed(pattern):
    """An input function: ``pattern`` of the wildcards' dense model and of those made from it, after their last epochs."""
    return lambda wildcards: [
        path
        for run in [
            *runs_of(wildcards.corpus, [wildcards.model]),
            *compressed(wildcards.corpus, wildcards.model),
        ]
        for path in expand(pattern, corpus=run["corpus"], model=run["model"], epoch=run["epochs"])
    ]


# The dense models, each with its corpus, from which another is made in some run.
COMPRESSED = [
    (run["corpus"], run["model"])
    for run in config["runs"]
    if run["corpus"] not in TEXTS  # whose costs and units are not compared
    and not config["models"][run["model"]].get("of")
    and compressed(run["corpus"], run["model"])
]


def beside_dense(pattern, pruned=False):
    """An input function: ``pattern`` of the wildcards' dense model and of all made from it, at each one's last epoch.

    A file a model and seed, of those that have the wildcards' probe; ``pruned``: only what has weights that are pruned.
    """

    def paths(wildcards):
        def wanted(name, of):
            kept = of["sparsify"].get("method") not in ("qat", "distil") and of["sparsify"].get("role") != "random_init"
            return name == wildcards.model or (of.get("of") == wildcards.model and (kept or not pruned))

        runs = runs_of(wildcards.corpus, [name for name, of in config["models"].items() if wanted(name, of)])
        axes = dict(corpus=wildcards.corpus, probe=wildcards.probe)
        return [
            path
            for run in runs
            if wildcards.probe in run["probes"]
            for path in expand(pattern, model=run["model"], seed=run["seeds"], epoch=run["epochs"], **axes)
        ]

    return paths


def has_units(corpus, model, probe):
    """Whether units are compared with what is pruned: something is, and weights stand still while they are probed."""
    methods = {config["models"][run["model"]]["sparsify"]["method"] for run in compressed(corpus, model)}
    return config["probes"][probe]["weights"] == "frozen" and not methods <= {"qat", "distil"}


# What a model costs is measured on one CPU thread: a small part of training, where that is on this machine's CPU too.
CHEAP_TO_COMPRESS = not GPUS and not (workflow.remote_exec or workflow.non_local_exec)


def structured():
    """The runs whose gates are counted: of a method for groups of weights, and of the dense models that they come from."""
    models = config["models"]
    by_group = [run for run in config["runs"] if models[run["model"]]["sparsify"].get("method") in OF_LSTMS]
    dense = {(run["corpus"], models[run["model"]].get("of")) for run in by_group}
    return [run for run in config["runs"] if run in by_group or (run["corpus"], run["model"]) in dense]


def of_structured(pattern):
    """``pattern`` for each run whose gates are counted, after its last epoch."""
    return [
        path
        for run in structured()
        for path in expand(pattern, corpus=run["corpus"], model=run["model"], epoch=run["epochs"])
    ]


# The dense models, each with its corpus, from which another is pruned in some run.
PRUNED = sorted(
    {
        (run["corpus"], config["models"][run["model"]]["of"])
        for run in config["runs"]
        if "density" in config["models"][run["model"]]["sparsify"]
    }
)


def task_block(*keys):
    """A rule's parameter: an entry of the wildcards' task block."""

    def get(wildcards):
        value = config["tasks"][wildcards.task]
        for key in keys:
            value = value[key]
        return value

    return get


def task_files(wildcards):
    """The files of a task's data set: local ones as they are, others to be downloaded."""
    of, found = config["tasks"][wildcards.task], []
    for name in [name for name in ("source", "test_source") if name in of]:
        if "path" in of[name]:
            found.append(of[name]["path"])
        else:
            file = Path(urlsplit(of[name]["url"]).path).name if "url" in of[name] else f"{of[name]['sdist']}.tar.gz"
            found.append(f"results/{wildcards.task}/data/{name}/{file}")
    return found
