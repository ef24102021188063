# Epoch k is a function of checkpoint k-1, so that raising the number of epochs trains only new ones.


rule initialise:
    input:
        vocabulary=data("vocabulary.parquet"),
    output:
        parameters=f"{RUN}/init/parameters.safetensors",
        state=f"{RUN}/init/state.json",
    log:
        f"{RUN}/logs/initialise.log",
    wildcard_constraints:
        model=one_of(name for name, model in config["models"].items() if "start" not in model["parents"]),
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.training.initialise"),
        architecture=block("models", "architecture"),
        training=block("models", "training"),
        classes=lambda wildcards: (
            f"--classes {config['tasks'][wildcards.corpus]['classes']}" if wildcards.corpus in config["tasks"] else ""
        ),
    shell:
        "natural-sparsity initialise --vocabulary {input.vocabulary} --architecture {params.architecture:q}"
        " --training {params.training:q} {params.classes} --seed {wildcards.seed}"
        " --parameters {output.parameters} --state {output.state} 2> {log}"


for rule_name, run, group in jobs("train_epoch"):

    rule:
        name:
            rule_name
        input:
            train=data("train.npy"),
            dev=data("dev.npy"),
            parameters=checkpoint_before(PARAMETERS, group[0]),
            state=checkpoint_before(STATE, group[0]),
            teacher_parameters=parent("teacher", PARAMETERS),
            teacher_state=parent("teacher", STATE),
        output:
            parameters=[f"{run}/epoch{epoch}/parameters.safetensors" for epoch in group],
            state=[f"{run}/epoch{epoch}/state.json" for epoch in group],
        log:
            f"{RUN}/logs/train/epoch{group[-1]}.log",
        benchmark:
            f"{RUN}/benchmarks/train/epoch{group[-1]}.tsv"
        # The chain of epochs is the longest path: it goes before the probes, which wait for nobody.
        priority: 100
        conda:
            "../../envs/natural-sparsity.yaml"
        threads: 1
        resources:
            gpu=GPUS,
            device=device,
            save_interval_s=config["save_interval_s"],
            mem_mb=memory(3000, 4),
            runtime=minutes(12 * 60),
        params:
            code=code_digest("natural_sparsity.training.train"),
            method=method_digest,
            training=block("models", "training"),
            sparsify=block("models", "sparsify"),
            teacher=teacher,
        shell:
            "natural-sparsity train --train {input.train} --dev {input.dev} --from-parameters {input.parameters}"
            " --from-state {input.state} --training {params.training:q} --sparsify {params.sparsify:q} {params.teacher}"
            " --device {resources.device} --threads {threads} --save-interval-s {resources.save_interval_s}"
            " --parameters {output.parameters} --state {output.state} 2> {log}"
