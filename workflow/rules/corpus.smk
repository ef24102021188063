# From a text to token streams and a table of words; from labelled texts to the arrays of a classifier.


rule obtain:
    output:
        f"{DATA}/download/{{source}}/{{file}}",
    log:
        f"{DATA}/logs/obtain/{{source}}/{{file}}.log",
    wildcard_constraints:
        source=r"(test_)?source(\.\w+)?",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(24 * 60),
        mem_mb=memory(1000),
    params:
        command=lambda wildcards: experiment.data[wildcards.data].download(wildcards.source),
    message:
        said("obtain: download {wildcards.file}")
    shell:
        "natural-sparsity {params.command} --output {output:q} 2> {log:q}"


rule documents:
    input:
        lambda wildcards: experiment.data[wildcards.data].inputs(),
    output:
        documents=directory(f"{DATA}/documents"),
        account=f"{DATA}/accounts/documents.json",
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
        **given_settings("format", "text_column", "line_breaks", "lines_per_document", "tokenised", "max_documents"),
        code=code("documents", readers),
        source=lambda wildcards: experiment.data[wildcards.data].options("input"),
        shards=in_folder("documents", ".jsonl.zst"),
    message:
        said("documents: read the source")
    shell:
        "natural-sparsity documents {params.source} {params.given} --output {params.shards} --account {output.account}"
        " 2> {log}"


rule sentences:
    input:
        documents=rules.documents.output.documents,
    output:
        text=f"{DATA}/sentences/{{shard}}.txt.zst",
        cased=f"{DATA}/sentences/{{shard}}.cased.txt.zst",
        documents=f"{DATA}/sentences/{{shard}}.documents.parquet",
        account=f"{DATA}/accounts/sentences/{{shard}}.json",
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
        **given_settings("unit", "unicode", "tokenised"),
        code=code("sentences"),
    message:
        said("sentences: split and tokenise")
    shell:
        "natural-sparsity sentences --input {input.documents}/{wildcards.shard}.jsonl.zst {params.given} --text {output.text}"
        " --cased {output.cased} --documents {output.documents} --account {output.account} 2> {log}"


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
    message:
        said("index: count the words")
    shell:
        "natural-sparsity index --text {input.text}"
        " --types {output.types} --tokens {output.tokens} --lengths {output.lengths} 2> {log}"


rule filter:
    input:
        types=of_text(rules.index.output.types),
        documents=of_text(rules.sentences.output.documents),
        tokens=of_text(rules.index.output.tokens),
        lengths=of_text(rules.index.output.lengths),
    output:
        kept=directory(f"{DATA}/kept"),
        rows=directory(f"{DATA}/rows"),
        counts=f"{DATA}/types.parquet",
        thresholds=f"{DATA}/thresholds.parquet",
        account=f"{DATA}/accounts/filter.json",
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
        **given_settings("min_count"),
        code=code("filter"),
        inputs=inputs,
        kept=in_folder("kept", ".npy"),
        rows=in_folder("rows", ".npy"),
    message:
        said("filter: drop sentences with a rare word")
    shell:
        "natural-sparsity filter {params.inputs} {params.given} --kept {params.kept} --rows {params.rows}"
        " --output {output.counts} --thresholds {output.thresholds} --account {output.account} 2> {log}"


rule split:
    input:
        documents=of_text(rules.sentences.output.documents),
        kept=rules.filter.output.kept,
        accounts=[rules.documents.output.account, rules.filter.output.account],
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
        **given_settings("split.seed"),
        code=code("split"),
        kept=in_folder("kept", ".npy"),
        fractions=lambda wildcards: [setting("split", name)(wildcards) for name in ("train", "dev", "test")],
        assignment=in_folder("assignment", ".npy"),
    message:
        said("split: train, dev and test")
    shell:
        "natural-sparsity split --documents {input.documents} --kept {params.kept} --accounts {input.accounts}"
        " --fractions {params.fractions} {params.given} --assignment {params.assignment} 2> {log}"


rule vocabulary:
    input:
        rows=rules.filter.output.rows,
        tokens=of_text(rules.index.output.tokens),
        lengths=of_text(rules.index.output.lengths),
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
        **given_settings("min_count"),
        code=code("vocabulary"),
        rows=in_folder("rows", ".npy"),
        assignment=in_folder("assignment", ".npy"),
    message:
        said("vocabulary: list the words")
    shell:
        "natural-sparsity vocabulary --counts {input.counts} --rows {params.rows} --tokens {input.tokens}"
        " --lengths {input.lengths} --assignment {params.assignment} {params.given} --output {output} 2> {log}"


rule encode:
    input:
        counts=rules.filter.output.counts,
        rows=rules.filter.output.rows,
        tokens=of_text(rules.index.output.tokens),
        lengths=of_text(rules.index.output.lengths),
        documents=of_text(rules.sentences.output.documents),
        assignment=rules.split.output.assignment,
        vocabulary=rules.vocabulary.output,
        of_documents=rules.documents.output.account,
        of_sentences=of_text(rules.sentences.output.account),
        of_filter=rules.filter.output.account,
    output:
        train=f"{DATA}/tokens/train.npy",
        dev=f"{DATA}/tokens/dev.npy",
        test=f"{DATA}/tokens/test.npy",
        documents=f"{DATA}/tokens/documents.parquet",
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
    message:
        said("encode: write words as numbers")
    # What was kept of the text goes to the terminal too.
    shell:
        "natural-sparsity encode --vocabulary {input.vocabulary} --counts {input.counts} --rows {params.rows} --tokens {input.tokens}"
        " --lengths {input.lengths} --documents {input.documents} --assignment {params.assignment} --accounts {input.of_documents} {input.of_sentences}"
        " {input.of_filter} --train {output.train} --dev {output.dev} --test {output.test} --document-tokens {output.documents}"
        " --summary {output.summary} 2>&1 | tee {log} >&2"


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
        **given_settings("tagging.model", "tagging.case"),
        code=code("tag"),
    message:
        said("tag: parts of speech")
    shell:
        "natural-sparsity tag --cased {input.cased} --assignment {input.assignment}/{wildcards.shard}.npy"
        " --vocabulary {input.vocabulary} {params.given} --output {output} 2> {log}"


# Of shuffled data, from the tags of the text, so that other classes of words retrain nothing.
rule words:
    input:
        vocabulary=f"{DATA}/vocabulary.parquet",
        tags=lambda wildcards: of_text(rules.tag.output[0])(wildcards) if experiment.data[wildcards.data].tagged else [],
    output:
        f"{DATA}/words.parquet",
    log:
        f"{DATA}/logs/words.log",
    wildcard_constraints:
        data=one_of(experiment.named("text") + experiment.named("shuffled")),
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        **given_settings("tagging.min_tagged", "tagging.matched_size", of="text"),
        code=code("words"),
    message:
        said("words: classes and matched samples")
    shell:
        "natural-sparsity words --vocabulary {input.vocabulary} --tags {input.tags} {params.given} --output {output} 2> {log}"


# The control for what needs language: a text in random order.
rule shuffle:
    input:
        train=of_text(rules.encode.output.train),
        dev=of_text(rules.encode.output.dev),
        test=of_text(rules.encode.output.test),
        documents=of_text(rules.encode.output.documents),
        summary=of_text(rules.encode.output.summary),
        vocabulary=of_text(rules.vocabulary.output[0]),
    output:
        train=f"{DATA}/tokens/train.npy",
        dev=f"{DATA}/tokens/dev.npy",
        test=f"{DATA}/tokens/test.npy",
        vocabulary=f"{DATA}/vocabulary.parquet",
        summary=f"{DATA}/summary.json",
    log:
        f"{DATA}/logs/shuffle.log",
    wildcard_constraints:
        data=one_of(experiment.named("shuffled")),
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        runtime=minutes(60),
        mem_mb=memory(1000, 2),
    params:
        **given_settings("of", "within", "seed"),
        code=code("shuffle"),
        inputs=inputs,
        folder=lambda wildcards, output: folders([output.summary]),
    message:
        said("shuffle: tokens in random order")
    shell:
        "natural-sparsity shuffle {params.inputs} {params.given} --output {params.folder} 2> {log}"


rule labelled:
    input:
        lambda wildcards: experiment.data[wildcards.data].inputs(),
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
        **given_settings("format", "words", "min_occurrences", "length", "split.seed"),
        code=code("labelled"),
        source=lambda wildcards: experiment.data[wildcards.data].options("source"),
        fractions=lambda wildcards: [setting("split", name)(wildcards) for name in ("dev", "test")],
    message:
        said("labelled: write texts as numbers")
    shell:
        "natural-sparsity labelled {params.source} {params.given} --fractions {params.fractions}"
        " --train {output.train} --dev {output.dev} --test {output.test}"
        " --vocabulary {output.vocabulary} --summary {output.summary} 2>&1 | tee {log} >&2"
