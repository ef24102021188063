# Natural sparsity of sparsified models: beside the dense model's, and unit by unit. `snakemake --cores 2 natural`

CONDITION = f"{MODEL}/{{probe}}"


rule tabulate_natural:
    input:
        correlations=beside_dense(rules.correlate.output.correlations),
        checkpoints=beside_dense(STATE),
    output:
        csv=f"{CONDITION}/natural.csv",
        markdown=f"{CONDITION}/natural.md",
    log:
        f"{MODEL}/logs/natural/{{probe}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.analysis.natural"),
    shell:
        "natural-sparsity natural --correlations {input.correlations} --checkpoints {input.checkpoints}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule draw_natural:
    input:
        correlations=beside_dense(rules.correlate.output.correlations),
        checkpoints=beside_dense(STATE),
    output:
        figure(f"{CONDITION}/figures/{{measure}}/natural"),
    log:
        f"{CONDITION}/figures/{{measure}}/logs/natural.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("natural"),
        unit=unit_of,
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw natural --measure {wildcards.measure} --statistic pearson_log"
        " --correlations {input.correlations} --checkpoints {input.checkpoints} --unit {params.unit}"
        " --style {params.style:q} --output {params.stem} 2> {log}"


rule units:
    input:
        tokens=lambda wildcards: f"{CORPUS}/tokens/{config['probes'][wildcards.probe]['split']}.npy",
        parameters=PARAMETERS,
        state=STATE,
    output:
        f"{RUN}/epoch{{epoch}}/units/{{probe}}.parquet",
    log:
        f"{RUN}/logs/units/{{probe}}/epoch{{epoch}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    threads: 1
    resources:
        gpu=GPUS,
        device=device,
        mem_mb=memory(3000, 4),
        runtime=minutes(8 * 60),
    params:
        code=code_digest("natural_sparsity.probing.units"),
        probe=probe_block,
    shell:
        "natural-sparsity units --tokens {input.tokens} --parameters {input.parameters} --state {input.state}"
        " --condition {wildcards.probe} --probe {params.probe:q} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


rule compare_units:
    input:
        units=beside_dense(rules.units.output[0], pruned=True),
    output:
        csv=f"{CONDITION}/overlap.csv",
        markdown=f"{CONDITION}/overlap.md",
    log:
        f"{MODEL}/logs/overlap/{{probe}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.analysis.overlap"),
        models=lambda wildcards, input: [Path(path).parts[2] for path in input.units],
    shell:
        "natural-sparsity overlap --units {input.units} --models {params.models}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule draw_overlap:
    input:
        table=rules.compare_units.output.csv,
    output:
        figure(f"{CONDITION}/figures/overlap"),
    log:
        f"{CONDITION}/figures/logs/overlap.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("overlap"),
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw overlap --overlap {input.table} --style {params.style:q} --output {params.stem} 2> {log}"


localrules:
    natural,


rule natural:
    input:
        [
            path
            for corpus, model in COMPRESSED
            for probe in runs_of(corpus, [model])[0]["probes"]
            for path in expand(
                [
                    *rules.tabulate_natural.output,
                    *rules.draw_natural.output,
                    *(
                        [*rules.compare_units.output, *rules.draw_overlap.output]
                        if has_units(corpus, model, probe)
                        else []
                    ),
                ],
                corpus=corpus,
                model=model,
                probe=probe,
                measure=config["probes"][probe]["measures"],
            )
        ],
