# The probes of a checkpoint, as soon as there is one; a condition of probing is a block of the configuration.

for rule_name, run, group in jobs("probe"):

    rule:
        name:
            rule_name
        input:
            tokens=lambda wildcards: f"{CORPUS}/tokens/{config['probes'][wildcards.probe]['split']}.npy",
            parameters=[PARAMETERS.replace("{epoch}", epoch) for epoch in group],
            state=[STATE.replace("{epoch}", epoch) for epoch in group],
            from_parameters=checkpoints_before(PARAMETERS, group),
            from_state=checkpoints_before(STATE, group),
            teacher_parameters=lambda wildcards: parent("teacher", PARAMETERS)(wildcards) if moving(wildcards) else [],
            teacher_state=lambda wildcards: parent("teacher", STATE)(wildcards) if moving(wildcards) else [],
        output:
            [f"{run}/epoch{epoch}/{{probe}}.parquet" for epoch in group],
        log:
            f"{RUN}/logs/probe/{{probe}}/epoch{group[-1]}.log",
        benchmark:
            f"{RUN}/benchmarks/probe/{{probe}}/epoch{group[-1]}.tsv"
        conda:
            "../../envs/natural-sparsity.yaml"
        threads: 1
        resources:
            gpu=GPUS,
            device=device,
            mem_mb=memory(3000, 4),
            runtime=minutes(8 * 60),
        params:
            code=code_digest("natural_sparsity.probing.probe"),
            probe=probe_block,
            teacher=teacher,
            training=lambda wildcards: block("models", "training")(wildcards) if moving(wildcards) else "{}",
        shell:
            "natural-sparsity probe --tokens {input.tokens} --parameters {input.parameters} --state {input.state}"
            " --from-parameters {input.from_parameters} --from-state {input.from_state} --training {params.training:q}"
            " {params.teacher} --condition {wildcards.probe} --probe {params.probe:q} --device {resources.device} --threads {threads}"
            " --output {output} 2> {log}"
