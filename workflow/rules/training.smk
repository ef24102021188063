# Epoch k is a function of checkpoint k-1, so that raising the number of epochs trains only new ones.

STARTED = [name for name, model in experiment.models.items() if "start" in model.parents]


rule initialise:
    input:
        vocabulary=prepared("vocabulary.parquet"),
        vectors=lambda wildcards: experiment.models[wildcards.model].vectors,
    output:
        f"{RUN}/init/parameters.safetensors",
        f"{RUN}/init/state.json",
    log:
        f"{RUN}/logs/initialise.log",
    wildcard_constraints:
        model=one_of(name for name in experiment.models if name not in STARTED),
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        mem_mb=memory(2000, 4),
    params:
        code=code("initialise", kind),
        kind=lambda wildcards: experiment.data[wildcards.data].kind,
        block=lambda wildcards: to_json(experiment.data[wildcards.data].block()),
        architecture=block("architecture"),
        training=block("training"),
        inputs=inputs,
        checkpoint=checkpoint,
    message:
        said("initialise")
    shell:
        "natural-sparsity initialise --data {wildcards.data} --kind {params.kind} --block {params.block:q} {params.inputs}"
        " --model {wildcards.model} --architecture {params.architecture:q} --training {params.training:q}"
        " --seed {wildcards.seed} --checkpoint {params.checkpoint} 2> {log}"


# What the training of a sparsified model starts from.
rule sparsify:
    input:
        from_=parent("start"),
        masks=parent("masks"),
    output:
        f"{RUN}/init/parameters.safetensors",
        f"{RUN}/init/state.json",
    log:
        f"{RUN}/logs/sparsify.log",
    wildcard_constraints:
        model=one_of(STARTED),
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        mem_mb=memory(2000, 6),
    params:
        code=code("sparsify", method),
        sparsify=block("sparsify"),
        inputs=inputs,
        parents=lambda wildcards: expect_parents(experiment, wildcards, "start", "masks"),
        checkpoint=checkpoint,
    message:
        said("sparsify: what training starts from")
    shell:
        "natural-sparsity sparsify {params.inputs} {params.parents} --model {wildcards.model} --sparsify {params.sparsify:q}"
        " --checkpoint {params.checkpoint} 2> {log}"


for job in experiment.jobs("train"):

    rule:
        name:
            job.name
        input:
            from_=before(job.checkpoints[:1]),
            train=prepared("tokens/train.npy"),
            dev=prepared("tokens/dev.npy"),
            teacher=parent("teacher"),
        output:
            [job.each(file) for file in FILES],
        log:
            f"{RUN}/logs/train/{job.checkpoints[-1]}.log",
        benchmark:
            f"{RUN}/benchmarks/train/{job.checkpoints[-1]}.tsv"
        conda:
            "../../envs/natural-sparsity.yaml"
        resources:
            gpu=GPUS,
            device=device,
            save_interval_s=experiment.configuration.save_interval_s,
            mem_mb=memory(3000, 4),
            runtime=minutes(12 * 60),
        params:
            code=code("train", kind, method),
            training=block("training"),
            sparsify=block("sparsify"),
            inputs=inputs_of_run,
            parents=lambda wildcards: expect_parents(experiment, wildcards, "teacher"),
            epochs=numbers(job, "epoch"),
            checkpoint=checkpoint,
        message:
            said("train", job.checkpoints)
        shell:
            "natural-sparsity train {params.inputs} {params.parents} --epochs {params.epochs} --training {params.training:q} --sparsify {params.sparsify:q}"
            " --device {resources.device} --threads {threads} --save-interval-s {resources.save_interval_s}"
            " --checkpoint {params.checkpoint} 2> {log}"


# Checkpoints inside the first epoch, which is trained again and must end in the same bits.
for job in experiment.jobs("retrace"):

    rule:
        name:
            job.name
        input:
            from_=[file.replace("{checkpoint}", "init") for file in FILES],
            to=[file.replace("{checkpoint}", "epoch1") for file in FILES],
            train=prepared("tokens/train.npy"),
            teacher=parent("teacher"),
        output:
            [job.each(file) for file in FILES],
        log:
            f"{RUN}/logs/retrace.log",
        benchmark:
            f"{RUN}/benchmarks/retrace.tsv"
        conda:
            "../../envs/natural-sparsity.yaml"
        resources:
            gpu=GPUS,
            device=device,
            mem_mb=memory(3000, 4),
            runtime=minutes(12 * 60),
        params:
            code=code("retrace", kind, method),
            training=block("training"),
            inputs=inputs_of_run,
            steps=numbers(job, "step"),
            checkpoint=checkpoint,
        message:
            said("retrace", job.checkpoints)
        shell:
            "natural-sparsity retrace {params.inputs} --training {params.training:q} --steps {params.steps}"
            " --device {resources.device} --threads {threads} --checkpoint {params.checkpoint} 2> {log}"


# A model inside its first epoch, with all that training goes on with, for models that rewind to a step.
rule rewind:
    input:
        from_=[file.replace("{checkpoint}", "init") for file in FILES],
        to=[file.replace("{checkpoint}", "epoch1") for file in FILES],
        train=prepared("tokens/train.npy"),
    output:
        [file.replace("{checkpoint}", "rewind{step}") for file in FILES],
    log:
        f"{RUN}/logs/rewind/{{step}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        gpu=GPUS,
        device=device,
        mem_mb=memory(3000, 4),
        runtime=minutes(12 * 60),
    params:
        code=code("retrace", kind, method),
        training=block("training"),
        inputs=inputs_of_run,
        checkpoint=checkpoint,
    message:
        said("rewind: the model inside its first epoch")
    shell:
        "natural-sparsity retrace {params.inputs} --training {params.training:q} --steps {wildcards.step} --resumable"
        " --device {resources.device} --threads {threads} --checkpoint {params.checkpoint} 2> {log}"
