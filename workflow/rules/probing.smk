# The probes of a checkpoint, as soon as there is one, and what they say about word frequency.

for job in experiment.jobs("probe"):

    rule:
        name:
            job.name
        input:
            tokens=tokens,
            checkpoint=[file.replace("{checkpoint}", name) for name in job.checkpoints for file in FILES],
            from_=before(job.checkpoints, needed=moving),
            teacher=parent("teacher", needed=moving),
        output:
            job.each(PROBE),
        log:
            f"{RUN}/logs/probe/{{probe}}/{job.checkpoints[-1]}.log",
        benchmark:
            f"{RUN}/benchmarks/probe/{{probe}}/{job.checkpoints[-1]}.tsv"
        conda:
            "../../envs/natural-sparsity.yaml"
        threads: probe_threads(job.checkpoints)
        resources:
            gpu=GPUS,
            device=device,
            mem_mb=memory(3000, 4),
            runtime=minutes(8 * 60),
        params:
            code=code("probe", kind, measures, lambda wildcards: method(wildcards) if moving(wildcards) else []),
            probe=lambda wildcards: to_json(experiment.probes[wildcards.probe]),
            named=job.checkpoints,
            training=lambda wildcards: block("training")(wildcards) if moving(wildcards) else "{}",
            inputs=inputs_of_run,
        message:
            said("probe", job.checkpoints)
        shell:
            "natural-sparsity probe {params.inputs} --named {params.named} --training {params.training:q} --condition {wildcards.probe}"
            " --probe {params.probe:q} --device {resources.device} --threads {threads} --output {output} 2> {log}"


rule correlate:
    input:
        probes=every(PROBE, at="course"),
        words=rules.words.output,
    output:
        correlations=f"{SEED}/correlations.parquet",
        differences=f"{SEED}/differences.parquet",
    log:
        f"{SEED}/logs/correlate.log",
    benchmark:
        f"{SEED}/benchmarks/correlate.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(2 * 60),
        mem_mb=memory(2000),
    params:
        code=code("correlate"),
        statistics=to_json(experiment.configuration.statistics),
        inputs=inputs_of_run,
    message:
        said("correlate")
    shell:
        "natural-sparsity correlate {params.inputs} --statistics {params.statistics:q}"
        " --correlations {output.correlations} --differences {output.differences} 2> {log}"


use rule correlate as correlate_first_epoch with:
    input:
        probes=every(PROBE, at="steps"),
        words=rules.words.output,
    output:
        correlations=f"{SEED}/first_epoch.parquet",
        differences=f"{SEED}/first_epoch_differences.parquet",
    log:
        f"{SEED}/logs/correlate_first_epoch.log",
    benchmark:
        f"{SEED}/benchmarks/correlate_first_epoch.tsv"
    message:
        said("correlate: first epoch")


rule acquire:
    input:
        probes=every(PROBE, at="all"),
        words=rules.words.output,
    output:
        acquisition=f"{SEED}/acquisition.parquet",
        partials=f"{SEED}/partials.parquet",
    log:
        f"{SEED}/logs/acquire.log",
    benchmark:
        f"{SEED}/benchmarks/acquire.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(2 * 60),
        mem_mb=memory(2000),
    params:
        code=code("acquire"),
        statistics=to_json(experiment.configuration.statistics),
        inputs=inputs_of_run,
    message:
        said("acquire: when words are learnt")
    shell:
        "natural-sparsity acquire {params.inputs} --statistics {params.statistics:q}"
        " --acquisition {output.acquisition} --partials {output.partials} 2> {log}"
