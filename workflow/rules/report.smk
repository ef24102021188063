# What the results were made with. The report itself: `snakemake --report report.html`, when all is there.


rule describe:
    """The configuration and the versions that the results were made with"""
    input:
        checkpoints=experiment.paths(STATE, experiment.runs, at="epochs"),
    output:
        json=f"{EXPERIMENT}/provenance.json",
        page=in_report(f"{EXPERIMENT}/provenance.html", "provenance"),
    log:
        f"{EXPERIMENT}/logs/describe.log",
    # Takes moments, so it needs no cluster job.
    localrule: True
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code("describe"),
        configuration=to_json(config),
        commit=find_commit(workflow.basedir),
    message:
        "describe: what the results were made with"
    shell:
        "natural-sparsity describe --checkpoints {input.checkpoints} --configuration {params.configuration:q}"
        " --commit {params.commit:q} --json {output.json} --page {output.page} 2> {log}"
