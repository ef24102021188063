# Correlations of sparsity with frequency, how sure they are, and what they say about the paper.


rule correlate:
    input:
        probes=of_epochs(PROBE),
        words=rules.words.output,
    output:
        correlations=f"{RUN}/{{probe}}/correlations.parquet",
        differences=f"{RUN}/{{probe}}/differences.parquet",
    log:
        f"{RUN}/logs/correlate/{{probe}}.log",
    benchmark:
        f"{RUN}/benchmarks/correlate/{{probe}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(2 * 60),
        mem_mb=memory(2000),
    params:
        code=code_digest("natural_sparsity.analysis.correlate"),
        statistics=json.dumps(config["statistics"], sort_keys=True),
    shell:
        "natural-sparsity correlate --probes {input.probes} --words {input.words}"
        " --run {wildcards.corpus}/{wildcards.model}/seed{wildcards.seed} --statistics {params.statistics:q}"
        " --correlations {output.correlations} --differences {output.differences} 2> {log}"


rule judge_claims:
    input:
        correlations=rules.correlate.output.correlations,
        differences=rules.correlate.output.differences,
        checkpoints=of_epochs(STATE),
    output:
        csv=f"{RUN}/{{probe}}/claims.csv",
        markdown=f"{RUN}/{{probe}}/claims.md",
    log:
        f"{RUN}/logs/claims/{{probe}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.analysis.claims"),
        unit=unit_of,
    shell:
        "natural-sparsity claims --correlations {input.correlations} --differences {input.differences}"
        " --checkpoints {input.checkpoints} --run {wildcards.corpus}/{wildcards.model}/seed{wildcards.seed} --unit {params.unit}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule compare:
    input:
        correlations=for_each_condition(rules.correlate.output.correlations),
        claims=for_each_condition(rules.judge_claims.output.csv),
        checkpoints=for_each_condition(STATE),
        summaries=for_each_condition(rules.encode.output.summary),
    output:
        csv="results/comparison/table.csv",
        markdown="results/comparison/table.md",
    log:
        "results/comparison/logs/compare.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.analysis.compare"),
    shell:
        "natural-sparsity compare --correlations {input.correlations} --claims {input.claims}"
        " --checkpoints {input.checkpoints} --summaries {input.summaries}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"
