# Classification of texts: the data. Initial checkpoint, training, evaluation and structure are those of
# language models, in whose rules such a task stands in the place of a corpus.


rule obtain_task:
    output:
        "results/{task}/data/{which}/{file}",
    log:
        "results/{task}/data/logs/{which}/{file}.log",
    wildcard_constraints:
        which="source|test_source",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(24 * 60),
        mem_mb=memory(1000),
    params:
        how=lambda wildcards: (
            f"sdist --package {of['sdist']}=={of['version']}"
            if "sdist" in (of := config["tasks"][wildcards.task][wildcards.which])
            else f"obtain --url {shlex.quote(of['url'])}"
        ),
        checksum=lambda wildcards: config["tasks"][wildcards.task][wildcards.which]["checksum"],
    shell:
        "natural-sparsity {params.how} --checksum {params.checksum} --output {output:q} 2> {log:q}"


rule texts:
    input:
        task_files,
    output:
        train="results/{task}/data/train.npy",
        dev="results/{task}/data/dev.npy",
        test="results/{task}/data/test.npy",
        vocabulary="results/{task}/data/vocabulary.parquet",
        summary="results/{task}/data/summary.json",
    log:
        "results/{task}/data/logs/texts.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(2000, 10),
    params:
        code=code_digest("natural_sparsity.tasks.texts"),
        format=task_block("format"),
        words=task_block("words"),
        min_count=task_block("min_count"),
        length=task_block("length"),
        dev=task_block("split", "dev"),
        test=task_block("split", "test"),
        seed=task_block("split", "seed"),
    shell:
        "natural-sparsity texts --source {input:q} --format {params.format} --words {params.words}"
        " --min-count {params.min_count} --length {params.length} --fractions {params.dev} {params.test} --seed {params.seed}"
        " --train {output.train} --dev {output.dev} --test {output.test} --vocabulary {output.vocabulary}"
        " --summary {output.summary} 2> {log}"
