# Constant gates, removed neurons: what sparsified LSTMs have left, and smaller ones with the same outputs.


rule structure_of:
    input:
        tokens=data("test.npy"),
        parameters=of_seeds(PARAMETERS),
        state=of_seeds(STATE),
    output:
        STRUCTURE,
    log:
        f"{MODEL}/logs/structure/epoch{{epoch}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000, 4),
        runtime=minutes(4 * 60),
    params:
        code=code_digest("natural_sparsity.sparsify.structure"),
        batch=block("models", "training", "evaluation_batch"),
    shell:
        "natural-sparsity structure --tokens {input.tokens} --parameters {input.parameters} --state {input.state}"
        " --batch {params.batch} --device cpu --threads {threads} --output {output} 2> {log}"


rule fold:
    input:
        parameters=PARAMETERS,
        state=STATE,
    output:
        parameters=f"{FOLDED}/parameters.safetensors",
        state=f"{FOLDED}/state.json",
    log:
        f"{RUN}/logs/fold/epoch{{epoch}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        mem_mb=memory(2000, 6),
    params:
        code=code_digest("natural_sparsity.sparsify.fold"),
    shell:
        "natural-sparsity fold --from-parameters {input.parameters} --from-state {input.state}"
        " --parameters {output.parameters} --state {output.state} 2> {log}"


rule measure_folding:
    input:
        tokens=data("test.npy"),
        parameters=of_seeds(PARAMETERS),
        state=of_seeds(STATE),
        folded_parameters=of_seeds(rules.fold.output.parameters),
        folded_state=of_seeds(rules.fold.output.state),
    output:
        FOLDING,
    log:
        f"{MODEL}/logs/folding/epoch{{epoch}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000, 4),
    params:
        code=code_digest("natural_sparsity.sparsify.folding"),
        batch=block("models", "training", "evaluation_batch"),
    shell:
        "natural-sparsity folding --tokens {input.tokens} --parameters {input.parameters} --state {input.state}"
        " --folded-parameters {input.folded_parameters} --folded-state {input.folded_state}"
        " --batch {params.batch} --output {output} 2> {log}"


rule compare_structures:
    input:
        structures=of_structured(STRUCTURE),
        foldings=of_structured(FOLDING),
    output:
        csv="results/comparison/structure/table.csv",
        markdown="results/comparison/structure/table.md",
    log:
        "results/comparison/structure/logs/structures.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.sparsify.structures"),
        runs=of_structured("{corpus}/{model}"),
    shell:
        "natural-sparsity structures --structures {input.structures} --foldings {input.foldings} --runs {params.runs}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule draw_structure:
    input:
        structures=of_structured(STRUCTURE),
    output:
        figure("results/comparison/structure/structure"),
    log:
        "results/comparison/structure/logs/draw.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("structure"),
        runs=of_structured("{corpus}/{model}"),
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw structure --structures {input.structures} --runs {params.runs}"
        " --style {params.style:q} --output {params.stem} 2> {log}"


localrules:
    tabulate_structure,
    structure,


rule tabulate_structure:
    input:
        csv=rules.compare_structures.output.csv,
    output:
        page=report("results/comparison/structure/table.html", **in_report("structure", "", form="table")),
    log:
        "results/comparison/structure/logs/tabulate.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.report.tabulate"),
    shell:
        "natural-sparsity tabulate --csv {input.csv} --title 'Gates, neurons and weights left' --output {output.page} 2> {log}"


rule structure:
    input:
        [
            path
            for path in [
                *rules.compare_structures.output,
                *rules.tabulate_structure.output,
                *rules.draw_structure.output,
            ]
            if structured()
        ],
