# The tables: the CSV, the same in Markdown, and a page for the report.

CORRELATIONS = rules.correlate.output.correlations
FIRST_EPOCH = rules.correlate_first_epoch.output.correlations


# What all tables share. Each gives its title, and its inputs, which are options of its command.
rule tabulate:
    log:
        f"{EXPERIMENT}/logs/{{table}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=lambda wildcards: digest(registry.TABLES[wildcards.table]),
        inputs=inputs,
        given="",
        stem=stem,
    message:
        said("table")
    shell:
        "natural-sparsity tabulate {wildcards.table} {params.inputs} {params.given} --title {params.title:q}"
        " --output {params.stem} 2> {log}"


use rule tabulate as tabulate_claims with:
    input:
        probes=every(PROBE, at="course"),
        control_probes=every(PROBE, product="control", at="course"),
        words=rules.words.output,
        checkpoints=every(STATE, at="epochs"),
    output:
        table(SEED, "claims"),
    log:
        f"{SEED}/logs/{{table}}.log",
    resources:
        runtime=minutes(2 * 60),
        mem_mb=memory(3000),
    params:
        **given(unit=unit, statistics=to_json(experiment.configuration.statistics)),
        inputs=inputs_of_run,
        title=titled("Claims"),


use rule tabulate as tabulate_verdicts with:
    input:
        claims=every(f"{SEED}/claims.parquet"),
    output:
        table(CONDITION, "verdicts"),
    log:
        f"{CONDITION}/logs/{{table}}.log",
    params:
        title=titled("Verdicts over seeds"),


use rule tabulate_verdicts as tabulate_acquisition with:
    input:
        acquisition=every(rules.acquire.output.acquisition),
        partials=every(rules.acquire.output.partials),
    output:
        table(CONDITION, "acquisition"),
    params:
        **given(unit=unit),
        title=titled("When words are learnt"),


use rule tabulate as tabulate_comparison with:
    input:
        correlations=every(CORRELATIONS, product="comparison"),
        claims=every(f"{SEED}/claims.parquet", product="comparison", along=CORRELATIONS),
        verdicts=every(f"{CONDITION}/verdicts.parquet", product="comparison"),
        checkpoints=every(STATE, product="comparison", along=CORRELATIONS),
        summaries=every(f"{DATA}/summary.json", product="comparison", along=CORRELATIONS),
    output:
        table(EXPERIMENT, "comparison"),
    params:
        title=titled("Runs side by side"),
        unit=unit,  # for the caption


use rule tabulate as tabulate_lottery with:
    input:
        evaluations=every(EVALUATION, product="lottery"),
        checkpoints=every(STATE, product="lottery", at="epochs"),
    output:
        table(MODEL, "lottery"),
    log:
        f"{MODEL}/logs/{{table}}.log",
    params:
        title=titled("Lottery tickets"),


use rule tabulate_lottery as tabulate_footprint with:
    input:
        footprints=every(FOOTPRINT, product="footprint"),
        checkpoints=every(STATE, product="footprint", at="epochs"),
    output:
        table(MODEL, "footprint"),
    params:
        **given(sources=lambda wildcards: experiment.sources(wildcards.data, wildcards.model)),
        title=titled("Footprint"),


use rule tabulate_lottery as tabulate_stability with:
    input:
        lines=every(LINE, product="twins"),
        checkpoints=every(STATE, product="stability", at="epochs"),
    output:
        table(MODEL, "stability"),
    params:
        **given(margins=lambda wildcards: experiment.margins(wildcards.data, wildcards.model)),
        title=titled("Stability of training"),


use rule tabulate as tabulate_structure with:
    input:
        structures=every(STRUCTURE, product="structure"),
        speedups=every(SPEEDUP, product="structure"),
        checkpoints=every(STATE, product="structure", at="epochs"),
    output:
        table(EXPERIMENT, "structure"),
    params:
        title=titled("Gates, neurons and weights left"),


use rule tabulate as tabulate_moduli with:
    input:
        evaluations=every(EVALUATION, product="moduli"),
        checkpoints=every(STATE, product="moduli", at="epochs"),
    output:
        table(f"{EXPERIMENT}/{{data}}", "moduli"),
    log:
        f"{EXPERIMENT}/{{data}}/logs/{{table}}.log",
    params:
        title=titled("Spaces and controls"),


use rule tabulate as tabulate_natural with:
    input:
        correlations=every(CORRELATIONS, product="natural"),
        checkpoints=every(STATE, product="natural", at="epochs"),
    output:
        table(CONDITION, "natural"),
    log:
        f"{CONDITION}/logs/{{table}}.log",
    params:
        title=titled("Natural sparsity"),
        unit=unit,  # for the caption


use rule tabulate_natural as tabulate_units with:
    input:
        units=every(UNITS, product="units"),
    output:
        table(CONDITION, "units"),
    params:
        title=titled("Units that keep their weights"),
