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


# What a profile or the command line sets for train and probe is for all of their jobs, whatever checkpoints they take.
# An epoch that is trained again ends in the same bits only on the same kind of device and with as many threads.
for settings in (workflow.resource_settings.overwrite_resources, workflow.resource_settings.overwrite_threads):
    for name, kind in (("train", "train"), ("train", "retrace"), ("probe", "probe")):
        if name in settings:
            settings.update({job.name: settings[name] for job in experiment.jobs(kind)})
    if "train" in settings:
        settings["rewind"] = settings["train"]
