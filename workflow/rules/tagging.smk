# Parts of speech of the training split.


rule tag:
    input:
        cased=rules.sentences.output.cased,
        assignment=rules.split.output.assignment,
        vocabulary=rules.vocabulary.output,
    output:
        f"{CORPUS}/tags/{{shard}}.parquet",
    log:
        f"{CORPUS}/logs/tag/{{shard}}.log",
    benchmark:
        f"{CORPUS}/benchmarks/tag/{{shard}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(2 * 60),
        mem_mb=memory(1500),
    params:
        code=code_digest("natural_sparsity.tagging.tag"),
        model=block("corpora", "tagging", "model"),
        case=block("corpora", "tagging", "case"),
    shell:
        "natural-sparsity tag --cased {input.cased} --assignment {input.assignment}/{wildcards.shard}.npy"
        " --vocabulary {input.vocabulary} --model {params.model:q} --case {params.case} --output {output} 2> {log}"


rule words:
    input:
        vocabulary=rules.vocabulary.output,
        tags=lambda wildcards: [] if of_characters(wildcards.corpus) else of_shards(rules.tag.output[0])(wildcards),
    output:
        f"{CORPUS}/words.parquet",
    log:
        f"{CORPUS}/logs/words.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.tagging.words"),
        min_tagged=block("corpora", "tagging", "min_tagged"),
        matched_size=block("corpora", "tagging", "matched_size"),
    shell:
        "natural-sparsity words --vocabulary {input.vocabulary} --tags {input.tags}"
        " --min-tagged {params.min_tagged} --matched-size {params.matched_size} --output {output} 2> {log}"
