# Wildcards, and the experiment (src/natural_sparsity/config/experiment.py), which the rules ask for paths.
import os
import sys
from pathlib import Path

from natural_sparsity.config.experiment import DATA, RUN, Experiment
from natural_sparsity.config.rules import check_profile, end_in_a_line, name_files, refuse_in_a_line
from natural_sparsity.config.validation import validate
from natural_sparsity.config.yaml_files import Places

# Read here before Snakemake merges them, for keys that stand twice and the lines of mistakes.
FILES_OF_CONFIG = [Path(workflow.basedir, "config.yaml"), *workflow.overwrite_configfiles]
# With --directory, Snakemake has left the folder that it was called in, which the shell remembers.
CALLED_IN = os.getenv("PWD", workflow.workdir_init)
with end_in_a_line():
    check_profile(sys.argv[1:], [workflow.workdir_init, CALLED_IN], workflow.basedir)
    places = Places(name_files(FILES_OF_CONFIG, CALLED_IN), workflow.config_settings.config)


configfile: FILES_OF_CONFIG[0]


# The jobs that Snakemake starts get the same configuration files, and so take the same name.
config["name"] = config.get("name") or FILES_OF_CONFIG[-1].stem
with end_in_a_line(places.explain):
    experiment = Experiment(validate(config))
config = experiment.as_dict()  # which the report's captions read

# Jobs find the package's command wherever snakemake was called from; an activated conda environment goes before it.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", os.defpath)]),
    NATURAL_SPARSITY_ROOT=str(workflow.basedir),
)

# Checkpoints and their measurements; like DATA, which depends on the data alone, experiments share them.
CHECKPOINT = f"{RUN}/{{checkpoint}}"
FILES = [f"{CHECKPOINT}/parameters.safetensors", f"{CHECKPOINT}/state.json"]
STATE = FILES[1]
PROBE = f"{CHECKPOINT}/{{probe}}.parquet"
# What depends on the runs, seeds and epochs that an experiment has.
EXPERIMENT = f"results/experiments/{experiment.name}"
MODEL = f"{EXPERIMENT}/{{data}}/{{model}}"
CONDITION = f"{MODEL}/{{probe}}"
SEED = f"{MODEL}/seed{{seed}}/{{probe}}"


def one_of(names):
    """A wildcard's pattern: one of the names; nothing if there are none."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    data=one_of(experiment.data),
    model=one_of(experiment.models),
    probe=one_of(experiment.probes),
    measure=r"[a-z]\w*",
    shard=r"\d+-of-\d+",
    seed=r"\d+",
    step=r"[1-9]\d*",
    # The untrained checkpoint has a name of its own: no job may take it for an epoch to train.
    epoch=r"[1-9]\d*",
    checkpoint=r"init|(step|epoch)[1-9]\d*",


def prepared(name):
    """An input function: a file of the wildcards' data; none where they are generated."""
    return lambda wildcards: experiment.data[wildcards.data].files(name)


def tokens(wildcards):
    """An input function: the token stream that the wildcards' probe reads."""
    return prepared(f"tokens/{experiment.probes[wildcards.probe].split}.npy")(wildcards)


def of_text(pattern):
    """An input function: ``pattern`` for the wildcards' text, or the text that they shuffle, and all of its shards."""

    def paths(wildcards):
        text = experiment.configuration.text_of(wildcards.data)
        return list(dict.fromkeys(expand(pattern, data=text, shard=experiment.data[text].shards)))

    return paths


def every(*patterns, product=None, along="", at="last"):
    """An input function: the patterns for all values of the fields that are not wildcards; see Run.paths.

    They belong to the wildcards' run, or to all runs that the table or figure ``product`` compares.
    """

    @refuse_in_a_line
    def paths(wildcards):
        runs = experiment.members(product, **wildcards)
        return [path for pattern in patterns for path in experiment.paths(pattern, runs, along, at, **wildcards)]

    return paths


def together(*inputs):
    """An input function: the paths that several give."""
    return lambda wildcards: [path for paths in inputs for path in paths(wildcards)]


def before(checkpoints, needed=lambda wildcards: True):
    """An input function: the checkpoints from which the epochs of ``checkpoints`` start."""

    @refuse_in_a_line
    def paths(wildcards):
        run = experiment.run(wildcards.data, wildcards.model)
        names = [run.before(name.format(**wildcards)) for name in checkpoints if needed(wildcards)]
        return [path for name in names for path in expand(FILES, **{**wildcards, "checkpoint": name})]

    return paths


def parent(role, needed=lambda wildcards: True):
    """An input function: the checkpoint that a model has as its ``role`` (start, masks, teacher); none without one."""

    @refuse_in_a_line
    def paths(wildcards):
        parents = experiment.parent(wildcards.data, wildcards.model, role) if needed(wildcards) else {}
        return expand(FILES, **{**wildcards, **parents}) if parents else []

    return paths
