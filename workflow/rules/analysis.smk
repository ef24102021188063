# Correlations of sparsity with frequency, how sure they are, and what they say about the paper.


rule correlate:
    input:
        probes=of_epochs(rules.probe.output[0]),
        words=rules.words.output,
    output:
        correlations=f"{RUN}/correlations.parquet",
        differences=f"{RUN}/differences.parquet",
    log:
        f"{RUN}/logs/correlate.log",
    benchmark:
        f"{RUN}/benchmarks/correlate.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.analysis.correlate"),
        statistics=json.dumps(config["statistics"]),
    shell:
        "natural-sparsity correlate --probes {input.probes} --words {input.words}"
        " --run {wildcards.corpus}/{wildcards.model}/seed{wildcards.seed} --statistics {params.statistics:q}"
        " --correlations {output.correlations} --differences {output.differences} 2> {log}"
