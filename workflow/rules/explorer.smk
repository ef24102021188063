# A page on which to look at every word of every run: `snakemake --cores 1 explorer`.

EXPLORER = "results/explorer"
# All files that the page consists of, besides the data; Python's are in the digest of the code.
ASSETS = [
    f"{workflow.basedir}/src/natural_sparsity/explorer/{name}" for name in ("page.html", "explorer.css", "explorer.js")
]


rule pack:
    input:
        probes=of_epochs(PROBE),
        checkpoints=of_epochs(STATE),
        words=rules.words.output[0],
    output:
        directory(f"{EXPLORER}/data/{{corpus}}/{{model}}/seed{{seed}}/{{probe}}"),
    log:
        f"{RUN}/logs/pack/{{probe}}.log",
    benchmark:
        f"{RUN}/benchmarks/pack/{{probe}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.explorer.data"),
    shell:
        "natural-sparsity pack --probes {input.probes} --checkpoints {input.checkpoints} --words {input.words}"
        " --run {wildcards.corpus}/{wildcards.model}/seed{wildcards.seed} --condition {wildcards.probe}"
        " --output {output} 2> {log}"


rule explore:
    input:
        data=everywhere(rules.pack.output[0]),
        words=everywhere(rules.words.output[0]),
        assets=ASSETS,
    output:
        page=f"{EXPLORER}/index.html",
        words=expand(f"{EXPLORER}/words/{{corpus}}.js", corpus=PROBED),
        assets=expand(f"{EXPLORER}/{{name}}", name=["explorer.css", "explorer.js", "plotly.min.js"]),
    log:
        "results/logs/explore.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.explorer.page"),
        corpora=PROBED,
        units=[unit_of_corpus(name) for name in PROBED],
    shell:
        "natural-sparsity explore --data {input.data} --corpora {params.corpora} --words {input.words}"
        " --units {params.units} --output {output.page} 2> {log}"


localrules:
    explore,
    explorer,


rule explorer:
    input:
        rules.explore.output if PROBED else [],
