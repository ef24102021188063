# Sparsified models: what their training starts from, and how they compare with the dense model.


rule sparsify:
    input:
        parameters=parent("start", PARAMETERS),
        state=parent("start", STATE),
        masks_parameters=parent("masks", PARAMETERS),
        masks_state=parent("masks", STATE),
    output:
        parameters=f"{RUN}/init/parameters.safetensors",
        state=f"{RUN}/init/state.json",
    log:
        f"{RUN}/logs/sparsify.log",
    wildcard_constraints:
        model=one_of(name for name, model in config["models"].items() if "start" in model["parents"]),
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        mem_mb=memory(2000, 6),
    params:
        code=code_digest("natural_sparsity.sparsify.start"),
        method=method_digest,
        sparsify=block("models", "sparsify"),
        masks=masks_from,
    shell:
        "natural-sparsity sparsify --from-parameters {input.parameters} --from-state {input.state} {params.masks}"
        " --sparsify {params.sparsify:q} --parameters {output.parameters} --state {output.state} 2> {log}"


rule evaluate:
    input:
        tokens=data("test.npy"),
        parameters=of_seeds(PARAMETERS),
        state=of_seeds(STATE),
    output:
        EVALUATION,
    log:
        f"{MODEL}/logs/evaluate/epoch{{epoch}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    threads: 1
    resources:
        gpu=GPUS,
        device=device,
        mem_mb=memory(3000, 4),
        runtime=minutes(4 * 60),
    params:
        code=code_digest("natural_sparsity.sparsify.evaluate"),
        batch=block("models", "training", "evaluation_batch"),
    shell:
        "natural-sparsity evaluate --tokens {input.tokens} --parameters {input.parameters} --state {input.state}"
        " --batch {params.batch} --device {resources.device} --threads {threads} --output {output} 2> {log}"


rule compare_pruned:
    input:
        evaluations=with_pruned(EVALUATION),
    output:
        csv=f"{MODEL}/lottery.csv",
        markdown=f"{MODEL}/lottery.md",
    log:
        f"{MODEL}/logs/lottery.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.sparsify.lottery"),
    shell:
        "natural-sparsity lottery --evaluations {input.evaluations}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule draw_lottery:
    input:
        table=rules.compare_pruned.output.csv,
    output:
        figure(f"{MODEL}/figures/lottery"),
    log:
        f"{MODEL}/figures/logs/lottery.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("lottery"),
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw lottery --lottery {input.table} --style {params.style:q} --output {params.stem} 2> {log}"


rule tabulate_lottery:
    input:
        csv=rules.compare_pruned.output.csv,
    output:
        page=report(f"{MODEL}/lottery.html", **in_report("lottery", MODEL, form="table")),
    log:
        f"{MODEL}/logs/tabulate_lottery.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.report.tabulate"),
    shell:
        "natural-sparsity tabulate --csv {input.csv} --title 'Lottery tickets: {wildcards.corpus}/{wildcards.model}'"
        " --output {output.page} 2> {log}"


rule compress:
    input:
        tokens=f"{CORPUS}/tokens/test.npy",
        parameters=of_seeds(PARAMETERS),
        state=of_seeds(STATE),
    output:
        COSTS,
    log:
        f"{MODEL}/logs/compress/epoch{{epoch}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000, 4),
        runtime=minutes(4 * 60),
    params:
        code=code_digest("natural_sparsity.sparsify.compress"),
        batch=block("models", "training", "evaluation_batch"),
        rounded=roundings,
    shell:
        "natural-sparsity compress --tokens {input.tokens} --parameters {input.parameters} --state {input.state}"
        " --batch {params.batch} --rounded {params.rounded:q} --output {output} 2> {log}"


rule compare_costs:
    input:
        costs=with_compressed(COSTS),
    output:
        csv=f"{MODEL}/compression.csv",
        markdown=f"{MODEL}/compression.md",
    log:
        f"{MODEL}/logs/compression.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.sparsify.compression"),
    shell:
        "natural-sparsity compression --costs {input.costs} --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule tabulate_compression:
    input:
        csv=rules.compare_costs.output.csv,
    output:
        page=report(f"{MODEL}/compression.html", **in_report("compression", MODEL, form="table")),
    log:
        f"{MODEL}/logs/tabulate_compression.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.report.tabulate"),
    shell:
        "natural-sparsity tabulate --csv {input.csv} --title 'Compression: {wildcards.corpus}/{wildcards.model}'"
        " --output {output.page} 2> {log}"


localrules:
    tabulate_lottery,
    tabulate_compression,
    lottery,
    compression,


rule lottery:
    input:
        [
            expand(path, corpus=corpus, model=model)
            for corpus, model in PRUNED
            for path in [*rules.compare_pruned.output, *rules.tabulate_lottery.output, *rules.draw_lottery.output]
        ],


rule compression:
    input:
        [
            expand(path, corpus=corpus, model=model)
            for corpus, model in COMPRESSED
            for path in [*rules.compare_costs.output, *rules.tabulate_compression.output]
        ],
