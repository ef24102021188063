# A page on which to look at every word of every run: `snakemake --cores 1 explorer`.

EXPLORER = f"{EXPERIMENT}/explorer"
# All files of the page besides the data; Python files are in the code digest.
ASSETS = [
    path
    for path in sorted(Path(workflow.basedir, "src/natural_sparsity/explorer").iterdir())
    if path.suffix in (".css", ".html", ".js")
]


rule pack:
    input:
        probes=every(PROBE, at="all"),
        checkpoints=every(STATE, at="all"),
        words=rules.words.output,
    output:
        directory(f"{EXPLORER}/data/{{data}}/{{model}}/seed{{seed}}/{{probe}}"),
    log:
        f"{SEED}/logs/pack.log",
    benchmark:
        f"{SEED}/benchmarks/pack.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code("pack"),
        inputs=inputs_of_run,
    message:
        said("pack: data of the explorer")
    shell:
        "natural-sparsity pack {params.inputs} --output {output} 2> {log}"


rule explore:
    """The same as explorer"""
    input:
        data=experiment.paths(rules.pack.output[0], experiment.probed),
        words=experiment.paths(rules.words.output[0], experiment.probed),
        assets=ASSETS,
    output:
        page=f"{EXPLORER}/index.html",
        words=experiment.paths(f"{EXPLORER}/words/{{data}}.js", experiment.probed),
        assets=[f"{EXPLORER}/{path.name}" for path in ASSETS if path.suffix != ".html"],
        plotly=f"{EXPLORER}/plotly.min.js",
    log:
        f"{EXPERIMENT}/logs/explore.log",
    localrule: True
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code("explore"),
        units=[data.unit for data in experiment.probed_data],
    message:
        "explore: the page of the explorer"
    shell:
        "natural-sparsity explore --data {input.data} --words {input.words} --units {params.units}"
        " --output {output.page} 2> {log}"


rule explorer:
    """A page on which to look at every word of every run"""
    input:
        rules.explore.output if experiment.probed else [],
    localrule: True
