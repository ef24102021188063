# Correlations of sparsity with frequency.


rule correlate:
    input:
        probes=of_epochs(rules.probe.output[0]),
        words=rules.words.output,
    output:
        f"{RUN}/correlations.parquet",
    log:
        f"{RUN}/logs/correlate.log",
    benchmark:
        f"{RUN}/benchmarks/correlate.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.analysis.correlate"),
    shell:
        "natural-sparsity correlate --probes {input.probes} --words {input.words}"
        " --run {wildcards.corpus}/{wildcards.model}/seed{wildcards.seed} --output {output} 2> {log}"
