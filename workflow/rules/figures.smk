# The figures of every run, and a target by name for each: `snakemake --cores 1 fig2`.


rule draw_architecture:
    output:
        figure("results/figures/architecture"),
    log:
        "results/figures/logs/architecture.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("architecture"),
    shell:
        "natural-sparsity draw architecture --style {params.style:q} --output results/figures/architecture 2> {log}"


rule draw_chi:
    output:
        figure("results/figures/chi"),
    log:
        "results/figures/logs/chi.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("chi"),
    shell:
        "natural-sparsity draw chi --style {params.style:q} --output results/figures/chi 2> {log}"


rule draw_training:
    input:
        checkpoints=of_seeds_and_epochs(STATE),
    output:
        figure(f"{MODEL}/figures/training"),
    log:
        f"{MODEL}/figures/logs/training.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("training"),
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw training --checkpoints {input.checkpoints}"
        " --style {params.style:q} --output {params.stem} 2> {log}"


rule draw_fig2:
    input:
        probes=of_seeds_and_epochs(PROBE),
        words=rules.words.output[0],
    output:
        figure(f"{MODEL}/{{probe}}/figures/{{measure}}/fig2"),
    log:
        f"{MODEL}/{{probe}}/figures/{{measure}}/logs/fig2.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("fig2"),
        unit=unit_of,
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
        min_count=block("corpora", "thresholds", "fig2"),
    shell:
        "natural-sparsity draw fig2 --measure {wildcards.measure} --probes {input.probes} --words {input.words} --min-count {params.min_count}"
        " --unit {params.unit} --style {params.style:q} --output {params.stem} 2> {log}"


rule draw_fig3a:
    input:
        correlations=of_seeds(rules.correlate.output.correlations),
        checkpoints=of_seeds_and_epochs(STATE),
    output:
        figure(f"{MODEL}/{{probe}}/figures/{{measure}}/fig3a"),
    log:
        f"{MODEL}/{{probe}}/figures/{{measure}}/logs/fig3a.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("fig3a"),
        unit=unit_of,
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw fig3a --measure {wildcards.measure} --correlations {input.correlations} --checkpoints {input.checkpoints}"
        " --unit {params.unit} --style {params.style:q} --output {params.stem} 2> {log}"


rule draw_fig3b:
    input:
        correlations=of_seeds(rules.correlate.output.correlations),
        checkpoints=of_seeds_and_epochs(STATE),
    output:
        figure(f"{MODEL}/{{probe}}/figures/{{measure}}/fig3b"),
    log:
        f"{MODEL}/{{probe}}/figures/{{measure}}/logs/fig3b.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("fig3b"),
        unit=unit_of,
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw fig3b --measure {wildcards.measure} --correlations {input.correlations} --checkpoints {input.checkpoints}"
        " --unit {params.unit} --style {params.style:q} --output {params.stem} 2> {log}"


rule draw_fig4:
    input:
        correlations=of_seeds(rules.correlate.output.correlations),
        checkpoints=of_seeds_and_epochs(STATE),
        words=rules.words.output[0],
    output:
        figure(f"{MODEL}/{{probe}}/figures/{{measure}}/fig4"),
    log:
        f"{MODEL}/{{probe}}/figures/{{measure}}/logs/fig4.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("fig4"),
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw fig4 --measure {wildcards.measure} --correlations {input.correlations} --checkpoints {input.checkpoints} --words {input.words}"
        " --style {params.style:q} --output {params.stem} 2> {log}"


rule draw_fig5:
    input:
        probes=of_seeds_at_the_end(PROBE),
        words=rules.words.output[0],
    output:
        figure(f"{MODEL}/{{probe}}/figures/{{measure}}/fig5"),
    log:
        f"{MODEL}/{{probe}}/figures/{{measure}}/logs/fig5.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("fig5"),
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
        min_count=block("corpora", "thresholds", "fig5"),
    shell:
        "natural-sparsity draw fig5 --measure {wildcards.measure} --probes {input.probes} --words {input.words} --min-count {params.min_count}"
        " --style {params.style:q} --output {params.stem} 2> {log}"


rule draw_claims:
    input:
        claims=of_seeds(rules.judge_claims.output.csv),
    output:
        figure(f"{MODEL}/{{probe}}/figures/claims"),
    log:
        f"{MODEL}/{{probe}}/figures/logs/claims.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("claims"),
        unit=unit_of,
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw claims --claims {input.claims} --unit {params.unit} --style {params.style:q} --output {params.stem} 2> {log}"


rule draw_comparison:
    input:
        correlations=with_measure(rules.correlate.output.correlations),
    output:
        figure("results/comparison/{measure}/comparison"),
    log:
        "results/comparison/{measure}/logs/comparison.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("comparison"),
        unit=unit_of,
    shell:
        "natural-sparsity draw comparison --measure {wildcards.measure} --correlations {input.correlations}"
        " --unit {params.unit} --style {params.style:q} --output results/comparison/{wildcards.measure}/comparison 2> {log}"


# Targets by name.
localrules:
    architecture,
    comparison,
    chi,
    training,
    fig2,
    fig3a,
    fig3b,
    fig4,
    fig5,
    claims,
    figures,


rule architecture:
    input:
        rules.draw_architecture.output,


rule chi:
    input:
        rules.draw_chi.output,


rule training:
    input:
        everywhere(rules.draw_training.output),


rule fig2:
    input:
        everywhere(rules.draw_fig2.output),


rule fig3a:
    input:
        everywhere(rules.draw_fig3a.output),


rule fig3b:
    input:
        everywhere(rules.draw_fig3b.output),


rule fig4:
    input:
        everywhere(rules.draw_fig4.output, classes=True),


rule fig5:
    input:
        everywhere(rules.draw_fig5.output, classes=True),


rule claims:
    input:
        everywhere(rules.judge_claims.output),
        everywhere(rules.draw_claims.output),


rule comparison:
    input:
        rules.compare.output if PROBED else [],
        everywhere(rules.draw_comparison.output),


rule figures:
    input:
        rules.architecture.input,
        rules.chi.input,
        rules.training.input,
        rules.fig2.input,
        rules.fig3a.input,
        rules.fig3b.input,
        rules.fig4.input,
        rules.fig5.input,
        rules.claims.input,
        rules.comparison.input,
