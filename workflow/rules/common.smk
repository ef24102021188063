import json
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from natural_sparsity.config import source_paths, validate
from natural_sparsity.errors import UserError
from natural_sparsity.provenance import code_digest

try:
    config = validate(config, Path(workflow.basedir, "workflow/schemas/config.schema.yaml"))
except UserError as error:
    sys.exit(f"configuration: {error}")

# Jobs find the package's command wherever snakemake was called from; an activated conda environment goes before it.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", os.defpath)]),
    NATURAL_SPARSITY_ROOT=str(workflow.basedir),
)

# A job takes a GPU of those that the profile grants if it will compute on one.
GPUS = int(
    config["device"].startswith("cuda") or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None)
)

CORPUS = "results/{corpus}/corpus"
RUN = "results/{corpus}/{model}/seed{seed}"


wildcard_constraints:
    corpus="|".join(config["corpora"]),
    model="|".join(config["models"]),
    shard=r"\d+-of-\d+",
    seed=r"\d+",
    # The untrained checkpoint has a name of its own: no job may take it for an epoch to train.
    epoch=r"[1-9]\d*",


def block(kind, *keys):
    """A rule's parameter: an entry of the wildcards' corpus or model block; objects as JSON."""

    def get(wildcards):
        value = config[kind][wildcards.corpus if kind == "corpora" else wildcards.model]
        for key in keys:
            value = value[key]
        return json.dumps(value) if isinstance(value, dict) else value

    return get


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


def every_run():
    """Every (corpus, model, seed) with its number of epochs."""
    for run in config["runs"]:
        for seed in run["seeds"]:
            yield dict(corpus=run["corpus"], model=run["model"], seed=seed), run["epochs"]


def epochs(wildcards):
    """The epochs of the wildcards' run."""
    for names, n in every_run():
        if all(str(names[key]) == wildcards.get(key) for key in names):
            return range(1, n + 1)
    sys.exit(f"configuration: {wildcards.corpus}/{wildcards.model}/seed{wildcards.seed} is not among the runs")


def of_epochs(pattern):
    """An input function: ``pattern`` for every epoch of the run."""
    return lambda wildcards: expand(pattern, **wildcards, epoch=epochs(wildcards))


def last_epoch(pattern):
    """An input function: ``pattern`` for the last epoch of the run."""
    return lambda wildcards: expand(pattern, **wildcards, epoch=epochs(wildcards)[-1])


def checkpoint_before(name):
    """An input function: ``name`` of the epoch before; before the first comes the untrained checkpoint."""

    def path(wildcards):
        before = int(wildcards.epoch) - 1
        folder = RUN.format(**wildcards)
        return f"{folder}/epoch{before}/{name}" if before else f"{folder}/init/{name}"

    return path


def style(figure):
    """The style of a figure as JSON: its own entry over the one for all."""
    styles = config["figures"]
    return json.dumps({**styles.get("all", {}), **styles.get(figure, {})})


def of_runs(pattern):
    """``pattern`` for every run."""
    return [path for names, _ in every_run() for path in expand(pattern, **names)]


def every_epoch(pattern):
    """``pattern`` for every epoch of every run."""
    return [path for names, n in every_run() for path in expand(pattern, **names, epoch=range(1, n + 1))]


def figure_folders():
    """Where figures of this configuration lie."""
    return [
        "results/figures",
        *(f"{RUN}/figures".format(**names) for names, _ in every_run()),
    ]
