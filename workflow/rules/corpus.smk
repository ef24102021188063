# Text: obtain, extract and tokenise in shards, filter, split, vocabulary, encode.


rule obtain:
    output:
        f"{CORPUS}/download/{{file}}",
    log:
        f"{CORPUS}/logs/obtain/{{file}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(24 * 60),
        mem_mb=memory(1000),
    params:
        url=block("corpora", "source", "url"),
        checksum=block("corpora", "source", "checksum"),
    shell:
        "natural-sparsity obtain --url {params.url:q} --checksum {params.checksum} --output {output:q} 2> {log:q}"


rule documents:
    input:
        source_files,
    output:
        documents=directory(f"{CORPUS}/documents"),
    log:
        f"{CORPUS}/logs/documents.log",
    benchmark:
        f"{CORPUS}/benchmarks/documents.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(12 * 60),
        mem_mb=memory(1000),
    params:
        code=code_digest("natural_sparsity.corpus.documents"),
        paths=source,
        format=block("corpora", "format"),
        limit=lambda wildcards: (
            f"--max-documents {n}" if (n := config["corpora"][wildcards.corpus]["max_documents"]) else ""
        ),
        shards=in_folder("documents", ".jsonl.zst"),
    shell:
        "natural-sparsity documents --input {params.paths:q} --format {params.format} {params.limit}"
        " --output {params.shards} 2> {log}"


rule sentences:
    input:
        documents=rules.documents.output.documents,
    output:
        text=f"{CORPUS}/sentences/{{shard}}.txt.zst",
        cased=f"{CORPUS}/sentences/{{shard}}.cased.txt.zst",
        documents=f"{CORPUS}/sentences/{{shard}}.documents.parquet",
    log:
        f"{CORPUS}/logs/sentences/{{shard}}.log",
    benchmark:
        f"{CORPUS}/benchmarks/sentences/{{shard}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(2 * 60),
        mem_mb=memory(1500),
    params:
        code=code_digest("natural_sparsity.corpus.sentences"),
        unit=block("corpora", "unit"),
    shell:
        "natural-sparsity sentences --input {input.documents}/{wildcards.shard}.jsonl.zst --unit {params.unit}"
        " --text {output.text} --cased {output.cased} --documents {output.documents} 2> {log}"


rule index:
    input:
        text=rules.sentences.output.text,
    output:
        types=f"{CORPUS}/index/{{shard}}.types.parquet",
        tokens=f"{CORPUS}/index/{{shard}}.tokens.npy",
        lengths=f"{CORPUS}/index/{{shard}}.lengths.npy",
    log:
        f"{CORPUS}/logs/index/{{shard}}.log",
    benchmark:
        f"{CORPUS}/benchmarks/index/{{shard}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(2000),
    params:
        code=code_digest("natural_sparsity.corpus.index"),
    shell:
        "natural-sparsity index --text {input.text}"
        " --types {output.types} --tokens {output.tokens} --lengths {output.lengths} 2> {log}"


rule filter:
    input:
        types=of_shards(rules.index.output.types),
        tokens=of_shards(rules.index.output.tokens),
        lengths=of_shards(rules.index.output.lengths),
    output:
        kept=directory(f"{CORPUS}/kept"),
        rows=directory(f"{CORPUS}/rows"),
        counts=f"{CORPUS}/types.parquet",
    log:
        f"{CORPUS}/logs/filter.log",
    benchmark:
        f"{CORPUS}/benchmarks/filter.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(4000),
    params:
        code=code_digest("natural_sparsity.corpus.filter"),
        min_count=block("corpora", "min_count"),
        kept=in_folder("kept", ".npy"),
        rows=in_folder("rows", ".npy"),
    shell:
        "natural-sparsity filter --types {input.types} --tokens {input.tokens} --lengths {input.lengths}"
        " --min-count {params.min_count} --kept {params.kept} --rows {params.rows} --output {output.counts} 2> {log}"


rule split:
    input:
        documents=of_shards(rules.sentences.output.documents),
        kept=rules.filter.output.kept,
    output:
        assignment=directory(f"{CORPUS}/assignment"),
    log:
        f"{CORPUS}/logs/split.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(4000),
    params:
        code=code_digest("natural_sparsity.corpus.split"),
        kept=in_folder("kept", ".npy"),
        fractions=lambda wildcards: [
            config["corpora"][wildcards.corpus]["split"][part] for part in ("train", "dev", "test")
        ],
        seed=block("corpora", "split", "seed"),
        assignment=in_folder("assignment", ".npy"),
    shell:
        "natural-sparsity split --documents {input.documents} --kept {params.kept} --fractions {params.fractions}"
        " --seed {params.seed} --assignment {params.assignment} 2> {log}"


rule vocabulary:
    input:
        rows=rules.filter.output.rows,
        tokens=of_shards(rules.index.output.tokens),
        lengths=of_shards(rules.index.output.lengths),
        assignment=rules.split.output.assignment,
        counts=rules.filter.output.counts,
    output:
        f"{CORPUS}/vocabulary.parquet",
    log:
        f"{CORPUS}/logs/vocabulary.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(4000),
    params:
        code=code_digest("natural_sparsity.corpus.vocabulary"),
        min_count=block("corpora", "min_count"),
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
        tokens=of_shards(rules.index.output.tokens),
        lengths=of_shards(rules.index.output.lengths),
        documents=of_shards(rules.sentences.output.documents),
        assignment=rules.split.output.assignment,
        vocabulary=rules.vocabulary.output,
    output:
        train=f"{CORPUS}/tokens/train.npy",
        dev=f"{CORPUS}/tokens/dev.npy",
        test=f"{CORPUS}/tokens/test.npy",
        summary=f"{CORPUS}/summary.json",
    log:
        f"{CORPUS}/logs/encode.log",
    benchmark:
        f"{CORPUS}/benchmarks/encode.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(4000),
    params:
        code=code_digest("natural_sparsity.corpus.encode"),
        rows=in_folder("rows", ".npy"),
        assignment=in_folder("assignment", ".npy"),
    shell:
        "natural-sparsity encode --vocabulary {input.vocabulary} --counts {input.counts} --rows {params.rows} --tokens {input.tokens}"
        " --lengths {input.lengths} --documents {input.documents} --assignment {params.assignment}"
        " --train {output.train} --dev {output.dev} --test {output.test} --summary {output.summary} 2> {log}"
