# What jobs take: memory, time, and a place to compute.
import shutil


def memory(mb, per_input=0):
    """A resource: megabytes, as measured (docs/performance.md), with the inputs' size; a job that failed gets more."""
    return lambda wildcards, input, attempt: attempt * int(mb + (per_input * input.size_mb if per_input else 0))


def minutes(n):
    """A resource: the time that a job may take; one that failed gets more."""
    return lambda wildcards, attempt: attempt * n


# A job takes one of the GPUs that the profile grants if it will compute on one. This looks at the machine that
# Snakemake runs on; for others, a profile says so with set-resources.
DEVICE = experiment.configuration.device
GPUS = int(DEVICE.startswith("cuda") or (DEVICE == "auto" and shutil.which("nvidia-smi") is not None))
ON_OTHERS = workflow.remote_exec or workflow.non_local_exec


def device(wildcards):
    """A resource: where a job computes. On a cluster it must be said: nothing is known here of its nodes."""
    if DEVICE == "auto" and ON_OTHERS:
        raise WorkflowError(
            "device: auto is for the machine that Snakemake runs on; for jobs on others say cuda or cpu,"
            " as profiles/slurm/config.yaml does under set-resources"
        )
    return DEVICE


LAST_PROBE_THREADS = 4


def probe_threads(checkpoints):
    """Threads: several for the last epoch of a lone run, beside which only figures are left; otherwise one.

    Beside other runs, a job for several cores would wait until they are free at once. Weights that move need the
    training's number, a GPU has no use for more, and on a cluster a job that asks for more waits longer.
    """
    alone = sum(len(run.seeds) for run in experiment.runs) == 1

    def threads(wildcards):
        last = experiment.run(wildcards.data, wildcards.model).checkpoints("epochs")[-1]
        ends = last in [name.format(**wildcards) for name in checkpoints]
        return LAST_PROBE_THREADS if alone and ends and not (moving(wildcards) or GPUS or ON_OTHERS) else 1

    return threads


# What a profile or the command line sets for train and probe is for all of their jobs, whatever checkpoints they take.
# An epoch that is trained again ends in the same bits only on the same kind of device and with as many threads.
for settings in (workflow.resource_settings.overwrite_resources, workflow.resource_settings.overwrite_threads):
    for name, kind in (("train", "train"), ("train", "retrace"), ("probe", "probe")):
        if name in settings:
            settings.update({job.name: settings[name] for job in experiment.jobs(kind)})
    if "train" in settings:
        settings["rewind"] = settings["train"]
