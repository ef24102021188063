# From a text to token streams and a table of words; from labelled texts to the arrays of a classifier.


rule obtain:
    output:
        f"{DATA}/download/{{source}}/{{file}}",
    log:
        f"{DATA}/logs/obtain/{{source}}/{{file}}.log",
    wildcard_constraints:
        source="source|test_source",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(24 * 60),
        mem_mb=memory(1000),
    params:
        command=lambda wildcards: experiment.data[wildcards.data].download(wildcards.source),
    shell:
        "natural-sparsity {params.command} --output {output:q} 2> {log:q}"


rule documents:
    input:
        lambda wildcards: experiment.data[wildcards.data].inputs(),
    output:
        documents=directory(f"{DATA}/documents"),
    log:
        f"{DATA}/logs/documents.log",
    benchmark:
        f"{DATA}/benchmarks/documents.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(12 * 60),
        mem_mb=memory(1000),
    params:
        code=code("documents"),
        paths=lambda wildcards: experiment.data[wildcards.data].paths(),
        format=setting("format"),
        limit=lambda wildcards: f"--max-documents {n}" if (n := setting("max_documents")(wildcards)) else "",
        shards=in_folder("documents", ".jsonl.zst"),
    shell:
        "natural-sparsity documents --input {params.paths:q} --format {params.format} {params.limit}"
        " --output {params.shards} 2> {log}"


rule sentences:
    input:
        documents=rules.documents.output.documents,
    output:
        text=f"{DATA}/sentences/{{shard}}.txt.zst",
        cased=f"{DATA}/sentences/{{shard}}.cased.txt.zst",
        documents=f"{DATA}/sentences/{{shard}}.documents.parquet",
    log:
        f"{DATA}/logs/sentences/{{shard}}.log",
    benchmark:
        f"{DATA}/benchmarks/sentences/{{shard}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(2 * 60),
        mem_mb=memory(1500),
    params:
        code=code("sentences"),
        unit=setting("unit"),
    shell:
        "natural-sparsity sentences --input {input.documents}/{wildcards.shard}.jsonl.zst --unit {params.unit}"
        " --text {output.text} --cased {output.cased} --documents {output.documents} 2> {log}"


rule index:
    input:
        text=rules.sentences.output.text,
    output:
        types=f"{DATA}/index/{{shard}}.types.parquet",
        tokens=f"{DATA}/index/{{shard}}.tokens.npy",
        lengths=f"{DATA}/index/{{shard}}.lengths.npy",
    log:
        f"{DATA}/logs/index/{{shard}}.log",
    benchmark:
        f"{DATA}/benchmarks/index/{{shard}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(2000),
    params:
        code=code("index"),
    shell:
        "natural-sparsity index --text {input.text}"
        " --types {output.types} --tokens {output.tokens} --lengths {output.lengths} 2> {log}"


rule filter:
    input:
        types=shards(rules.index.output.types),
        tokens=shards(rules.index.output.tokens),
        lengths=shards(rules.index.output.lengths),
    output:
        kept=directory(f"{DATA}/kept"),
        rows=directory(f"{DATA}/rows"),
        counts=f"{DATA}/types.parquet",
    log:
        f"{DATA}/logs/filter.log",
    benchmark:
        f"{DATA}/benchmarks/filter.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(4000),
    params:
        code=code("filter"),
        min_count=setting("min_count"),
        kept=in_folder("kept", ".npy"),
        rows=in_folder("rows", ".npy"),
    shell:
        "natural-sparsity filter --types {input.types} --tokens {input.tokens} --lengths {input.lengths}"
        " --min-count {params.min_count} --kept {params.kept} --rows {params.rows} --output {output.counts} 2> {log}"


rule split:
    input:
        documents=shards(rules.sentences.output.documents),
        kept=rules.filter.output.kept,
    output:
        assignment=directory(f"{DATA}/assignment"),
    log:
        f"{DATA}/logs/split.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(4000),
    params:
        code=code("split"),
        kept=in_folder("kept", ".npy"),
        fractions=lambda wildcards: [setting("split", name)(wildcards) for name in ("train", "dev", "test")],
        seed=setting("split", "seed"),
        assignment=in_folder("assignment", ".npy"),
    shell:
        "natural-sparsity split --documents {input.documents} --kept {params.kept} --fractions {params.fractions}"
        " --seed {params.seed} --assignment {params.assignment} 2> {log}"


rule vocabulary:
    input:
        rows=rules.filter.output.rows,
        tokens=shards(rules.index.output.tokens),
        lengths=shards(rules.index.output.lengths),
        assignment=rules.split.output.assignment,
        counts=rules.filter.output.counts,
    output:
        f"{DATA}/vocabulary.parquet",
    log:
        f"{DATA}/logs/vocabulary.log",
    wildcard_constraints:
        data=one_of(experiment.named("text")),
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(4000),
    params:
        code=code("vocabulary"),
        min_count=setting("min_count"),
        rows=in_folder("rows", ".npy"),
        assignment=in_folder("assignment", ".npy"),
    shell:
        "natural-sparsity vocabulary --counts {input.counts} --rows {params.rows} --tokens {input.tokens}"
        " --lengths {input.lengths} --assignment {params.assignment} --min-count {params.min_count}"
        " --output {output} 2> {log}"


rule encode:
    input:
        counts=rules.filter.output.counts,
        rows=rules.filter.output.rows,
        tokens=shards(rules.index.output.tokens),
        lengths=shards(rules.index.output.lengths),
        documents=shards(rules.sentences.output.documents),
        assignment=rules.split.output.assignment,
        vocabulary=rules.vocabulary.output,
    output:
        train=f"{DATA}/tokens/train.npy",
        dev=f"{DATA}/tokens/dev.npy",
        test=f"{DATA}/tokens/test.npy",
        summary=f"{DATA}/summary.json",
    log:
        f"{DATA}/logs/encode.log",
    benchmark:
        f"{DATA}/benchmarks/encode.tsv"
    wildcard_constraints:
        data=one_of(experiment.named("text")),
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(4000),
    params:
        code=code("encode"),
        rows=in_folder("rows", ".npy"),
        assignment=in_folder("assignment", ".npy"),
    shell:
        "natural-sparsity encode --vocabulary {input.vocabulary} --counts {input.counts} --rows {params.rows} --tokens {input.tokens}"
        " --lengths {input.lengths} --documents {input.documents} --assignment {params.assignment}"
        " --train {output.train} --dev {output.dev} --test {output.test} --summary {output.summary} 2> {log}"


rule tag:
    input:
        cased=rules.sentences.output.cased,
        assignment=rules.split.output.assignment,
        vocabulary=rules.vocabulary.output,
    output:
        f"{DATA}/tags/{{shard}}.parquet",
    log:
        f"{DATA}/logs/tag/{{shard}}.log",
    benchmark:
        f"{DATA}/benchmarks/tag/{{shard}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(2 * 60),
        mem_mb=memory(1500),
    params:
        code=code("tag"),
        model=setting("tagging", "model"),
        case=setting("tagging", "case"),
    shell:
        "natural-sparsity tag --cased {input.cased} --assignment {input.assignment}/{wildcards.shard}.npy"
        " --vocabulary {input.vocabulary} --model {params.model:q} --case {params.case} --output {output} 2> {log}"


rule words:
    input:
        vocabulary=rules.vocabulary.output,
        tags=lambda wildcards: shards(rules.tag.output[0])(wildcards) if experiment.data[wildcards.data].tagged else [],
    output:
        f"{DATA}/words.parquet",
    log:
        f"{DATA}/logs/words.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code("words"),
        min_tagged=setting("tagging", "min_tagged"),
        matched_size=setting("tagging", "matched_size"),
    shell:
        "natural-sparsity words --vocabulary {input.vocabulary} --tags {input.tags}"
        " --min-tagged {params.min_tagged} --matched-size {params.matched_size} --output {output} 2> {log}"


rule labelled:
    input:
        source=lambda wildcards: experiment.data[wildcards.data].inputs(),
    output:
        train=f"{DATA}/tokens/train.npy",
        dev=f"{DATA}/tokens/dev.npy",
        test=f"{DATA}/tokens/test.npy",
        vocabulary=f"{DATA}/vocabulary.parquet",
        summary=f"{DATA}/summary.json",
    log:
        f"{DATA}/logs/labelled.log",
    wildcard_constraints:
        data=one_of(experiment.named("classification")),
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(2000, 10),
    params:
        code=code("labelled"),
        format=setting("format"),
        words=setting("words"),
        min_occurrences=setting("min_occurrences"),
        length=setting("length"),
        dev=setting("split", "dev"),
        test=setting("split", "test"),
        seed=setting("split", "seed"),
    shell:
        "natural-sparsity labelled --source {input.source:q} --format {params.format} --words {params.words}"
        " --min-occurrences {params.min_occurrences} --length {params.length} --fractions {params.dev} {params.test}"
        " --seed {params.seed} --train {output.train} --dev {output.dev} --test {output.test}"
        " --vocabulary {output.vocabulary} --summary {output.summary} 2> {log}"
