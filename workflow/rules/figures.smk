# The figures: a PDF, a picture and a CSV of exactly the numbers drawn.

WHOLE = f"{EXPERIMENT}/figures"
OF_DATA = f"{EXPERIMENT}/{{data}}/figures"
OF_MODEL = f"{MODEL}/figures"
OF_CONDITION = f"{CONDITION}/figures"
OF_MEASURE = f"{CONDITION}/figures/{{measure}}"


# What all figures share. Each gives its inputs, which are options of its command.
rule draw:
    log:
        f"{WHOLE}/logs/{{figure}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=lambda wildcards: digest(registry.FIGURES[wildcards.figure]),
        style=lambda wildcards: experiment.style(wildcards.figure),
        inputs=inputs,
        given="",
        stem=stem,
    message:
        said("figure")
    shell:
        "natural-sparsity draw {wildcards.figure} {params.inputs} {params.given} --style {params.style:q}"
        " --output {params.stem} 2> {log}"


use rule draw as draw_of_data with:
    log:
        f"{OF_DATA}/logs/{{figure}}.log",


use rule draw as draw_of_model with:
    log:
        f"{OF_MODEL}/logs/{{figure}}.log",


use rule draw as draw_of_condition with:
    log:
        f"{OF_CONDITION}/logs/{{figure}}.log",


use rule draw as draw_of_measure with:
    log:
        f"{OF_MEASURE}/logs/{{figure}}.log",


use rule draw as draw_architecture with:
    output:
        figure(WHOLE, "architecture"),


use rule draw as draw_chi with:
    output:
        figure(WHOLE, "chi"),


use rule draw_of_data as draw_retention with:
    input:
        thresholds=rules.filter.output.thresholds,
        account=rules.filter.output.account,
    output:
        figure(OF_DATA, "retention"),
    params:
        **given(data=lambda wildcards: wildcards.data, unit=unit),


use rule draw_of_model as draw_training with:
    input:
        checkpoints=every(STATE, at="epochs"),
    output:
        figure(OF_MODEL, "training"),


use rule draw_of_measure as draw_fig2 with:
    input:
        probes=every(PROBE, at="course"),
        words=rules.words.output,
    output:
        figure(OF_MEASURE, "fig2"),
    params:
        **given(measure=measure, unit=unit, threshold=setting("thresholds", "fig2", of="text")),


use rule draw_of_measure as draw_fig3a with:
    input:
        correlations=every(CORRELATIONS),
        checkpoints=every(STATE, at="epochs"),
        control=every(CORRELATIONS, product="control"),
    output:
        figure(OF_MEASURE, "fig3a"),
    params:
        **given(measure=measure, unit=unit),


use rule draw_fig3a as draw_fig3b with:
    output:
        figure(OF_MEASURE, "fig3b"),
    params:
        **given(measure=measure, unit=unit),


use rule draw_of_measure as draw_fig4 with:
    input:
        correlations=every(CORRELATIONS),
        checkpoints=every(STATE, at="epochs"),
        control=every(CORRELATIONS, product="control"),
        words=rules.words.output,
    output:
        figure(OF_MEASURE, "fig4"),
    params:
        **given(measure=measure),


use rule draw_of_measure as draw_fig5 with:
    input:
        probes=every(PROBE),
        words=rules.words.output,
    output:
        figure(OF_MEASURE, "fig5"),
    params:
        **given(measure=measure, threshold=setting("thresholds", "fig5", of="text")),


use rule draw_of_measure as draw_emergence with:
    input:
        correlations=every(CORRELATIONS),
        differences=together(
            every(rules.correlate.output.differences),
            every(rules.correlate_first_epoch.output.differences, product="first_epoch"),
        ),
        first_epoch=every(FIRST_EPOCH, product="first_epoch"),
        control=every(CORRELATIONS, product="control"),
        control_first_epoch=every(FIRST_EPOCH, product="control_first_epoch"),
    output:
        figure(OF_MEASURE, "emergence"),
    params:
        **given(measure=measure, unit=unit),


use rule draw_of_condition as draw_acquisition with:
    input:
        acquisition=every(rules.acquire.output.acquisition),
        partials=every(rules.acquire.output.partials),
    output:
        figure(OF_CONDITION, "acquisition"),
    params:
        **given(unit=unit),


use rule draw_of_condition as draw_claims with:
    input:
        claims=every(f"{SEED}/claims.parquet"),
    output:
        figure(OF_CONDITION, "claims"),
    params:
        **given(unit=unit),


use rule draw as draw_comparison with:
    input:
        correlations=every(CORRELATIONS, product="comparison"),
    output:
        figure(f"{WHOLE}/{{measure}}", "comparison"),
    log:
        f"{WHOLE}/{{measure}}/logs/{{figure}}.log",
    params:
        **given(measure=measure, unit=unit),


use rule draw_of_model as draw_lottery with:
    input:
        lottery=f"{MODEL}/lottery.parquet",
    output:
        figure(OF_MODEL, "lottery"),


use rule draw_of_model as draw_stability with:
    input:
        lines=every(LINE, product="twins"),
    output:
        figure(OF_MODEL, "stability"),


use rule draw as draw_structure with:
    input:
        structures=every(STRUCTURE, product="structure"),
    output:
        figure(WHOLE, "structure"),


use rule draw_of_measure as draw_natural with:
    input:
        correlations=every(CORRELATIONS, product="natural"),
        checkpoints=every(STATE, product="natural"),
    output:
        figure(OF_MEASURE, "natural"),
    params:
        **given(measure=measure, statistic="pearson_log", unit=unit),


use rule draw_of_condition as draw_units with:
    input:
        units=f"{CONDITION}/units.parquet",
    output:
        figure(OF_CONDITION, "units"),


use rule draw_of_data as draw_connectivity with:
    input:
        checkpoint=every(*FILES, product="connectivity"),
    output:
        figure(OF_DATA, "connectivity"),


use rule draw_connectivity as draw_network with:
    output:
        figure(OF_DATA, "network"),
