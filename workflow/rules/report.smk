# What the report shows besides the figures; the report itself: `snakemake --report report.html`, when all is there.


rule describe:
    input:
        checkpoints=[*everywhere(STATE), *on_tasks(TASK_STATE)],
    output:
        json="results/provenance.json",
        page=report("results/provenance.html", **in_report("provenance", "")),
    log:
        "results/logs/describe.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.report.describe"),
        configuration=json.dumps(config),
        commit=commit(),
    shell:
        "natural-sparsity describe --checkpoints {input.checkpoints} --configuration {params.configuration:q}"
        " --commit {params.commit} --json {output.json} --page {output.page} 2> {log}"


# Moments each: no job of a cluster's.
localrules:
    describe,
    tabulate_claims,
    tabulate_comparison,


rule tabulate_claims:
    input:
        csv=rules.judge_claims.output.csv,
    output:
        page=report(f"{RUN}/{{probe}}/claims.html", **in_report("claims", f"{RUN}/{{probe}}", form="table")),
    log:
        f"{RUN}/logs/tabulate_claims/{{probe}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.report.tabulate"),
        unit=unit_of,  # for the caption
    shell:
        "natural-sparsity tabulate --csv {input.csv} --title 'Claims: {wildcards.corpus}/{wildcards.model}/seed{wildcards.seed},"
        " {wildcards.probe}' --output {output.page} 2> {log}"


rule tabulate_comparison:
    input:
        csv=rules.compare.output.csv,
    output:
        page=report("results/comparison/table.html", **in_report("comparison", "", form="table")),
    log:
        "results/comparison/logs/tabulate.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.report.tabulate"),
        unit=unit_of,  # for the caption
    shell:
        "natural-sparsity tabulate --csv {input.csv} --title 'Runs side by side' --output {output.page} 2> {log}"
