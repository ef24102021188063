# Tasks other than language modelling: their models, trained as language models are, an epoch from a checkpoint to the next.


rule initialise_task:
    output:
        parameters=f"{TASK_RUN}/init/parameters.safetensors",
        state=f"{TASK_RUN}/init/state.json",
    log:
        f"{TASK_RUN}/logs/initialise.log",
    wildcard_constraints:
        task_model=one_of(name for name, model in config["task_models"].items() if "start" not in model["parents"]),
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.tasks.initialise"),
        kind=kind_digest,
        task=block("tasks"),
        architecture=block("task_models", "architecture"),
    shell:
        "natural-sparsity initialise-task --task {params.task:q} --architecture {params.architecture:q}"
        " --seed {wildcards.seed} --parameters {output.parameters} --state {output.state} 2> {log}"


rule sparsify_task:
    input:
        parameters=parent("start", TASK_PARAMETERS),
        state=parent("start", TASK_STATE),
        masks_parameters=parent("masks", TASK_PARAMETERS),
        masks_state=parent("masks", TASK_STATE),
    output:
        parameters=f"{TASK_RUN}/init/parameters.safetensors",
        state=f"{TASK_RUN}/init/state.json",
    log:
        f"{TASK_RUN}/logs/sparsify.log",
    wildcard_constraints:
        task_model=one_of(name for name, model in config["task_models"].items() if "start" in model["parents"]),
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.sparsify.start"),
        method=method_digest,
        sparsify=block("task_models", "sparsify"),
        masks=masks_from,
    shell:
        "natural-sparsity sparsify --from-parameters {input.parameters} --from-state {input.state} {params.masks}"
        " --sparsify {params.sparsify:q} --parameters {output.parameters} --state {output.state} 2> {log}"


for rule_name, run, group in task_jobs():

    rule:
        name:
            rule_name
        input:
            parameters=checkpoint_before(TASK_PARAMETERS, group[0]),
            state=checkpoint_before(TASK_STATE, group[0]),
        output:
            parameters=[f"{run}/epoch{epoch}/parameters.safetensors" for epoch in group],
            state=[f"{run}/epoch{epoch}/state.json" for epoch in group],
        log:
            f"{TASK_RUN}/logs/train/epoch{group[-1]}.log",
        benchmark:
            f"{TASK_RUN}/benchmarks/train/epoch{group[-1]}.tsv"
        priority: 100
        conda:
            "../../envs/natural-sparsity.yaml"
        threads: 1
        resources:
            gpu=GPUS,
            device=device,
            save_interval_s=config["save_interval_s"],
            mem_mb=memory(2000),
            runtime=minutes(4 * 60),
        params:
            code=code_digest("natural_sparsity.tasks.train"),
            kind=kind_digest,
            method=method_digest,
            training=block("task_models", "training"),
            sparsify=block("task_models", "sparsify"),
        shell:
            "natural-sparsity train-task --from-parameters {input.parameters} --from-state {input.state}"
            " --training {params.training:q} --sparsify {params.sparsify:q} --device {resources.device}"
            " --threads {threads} --save-interval-s {resources.save_interval_s}"
            " --parameters {output.parameters} --state {output.state} 2> {log}"


rule evaluate_task:
    input:
        parameters=of_seeds(TASK_PARAMETERS),
        state=of_seeds(TASK_STATE),
    output:
        TASK_EVALUATION,
    log:
        f"{TASK_MODEL}/logs/evaluate/epoch{{epoch}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    threads: 1
    resources:
        gpu=GPUS,
        device=device,
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        code=code_digest("natural_sparsity.tasks.evaluate"),
        kind=kind_digest,
    shell:
        "natural-sparsity evaluate-task --parameters {input.parameters} --state {input.state}"
        " --device {resources.device} --threads {threads} --output {output} 2> {log}"


rule compare_moduli:
    input:
        evaluations=of_moduli(EVALUATION, TASK_EVALUATION),
    output:
        csv="results/{field}/moduli.csv",
        markdown="results/{field}/moduli.md",
    log:
        "results/{field}/logs/moduli.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.sparsify.geometry"),
        models=lambda wildcards: [run["model"] for run in moduli_runs(wildcards.field)],
    shell:
        "natural-sparsity moduli --evaluations {input.evaluations} --models {params.models}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule tabulate_moduli:
    input:
        csv=rules.compare_moduli.output.csv,
    output:
        page=report("results/{field}/moduli.html", **in_report("moduli", "results/{field}", form="table")),
    log:
        "results/{field}/logs/tabulate_moduli.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.report.tabulate"),
    shell:
        "natural-sparsity tabulate --csv {input.csv} --title 'Spaces and controls: {wildcards.field}'"
        " --output {output.page} 2> {log}"


rule draw_connectivity:
    input:
        parameters=of_moduli(PARAMETERS, TASK_PARAMETERS, others=False),
        states=of_moduli(STATE, TASK_STATE, others=False),
    output:
        figure("results/{field}/figures/connectivity"),
    log:
        "results/{field}/figures/logs/connectivity.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("connectivity"),
        runs=lambda wildcards, input: [Path(path).parts[2] for path in input.states],
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw connectivity --parameters {input.parameters} --states {input.states}"
        " --runs {params.runs} --style {params.style:q} --output {params.stem} 2> {log}"


rule draw_network:
    input:
        parameters=rules.draw_connectivity.input.parameters,
        states=rules.draw_connectivity.input.states,
    output:
        figure("results/{field}/figures/network"),
    log:
        "results/{field}/figures/logs/network.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code_digest("natural_sparsity.figures.draw"),
        style=style("network"),
        runs=lambda wildcards, input: [Path(path).parts[2] for path in input.states],
        stem=lambda wildcards, output: output[0].removesuffix(".pdf"),
    shell:
        "natural-sparsity draw network --parameters {input.parameters} --states {input.states}"
        " --runs {params.runs} --style {params.style:q} --output {params.stem} 2> {log}"


localrules:
    tasks,
    moduli,
    tabulate_moduli,


rule moduli:
    input:
        [
            expand(path, field=field)
            for field in MODULI_FIELDS
            for path in [
                *rules.compare_moduli.output,
                *rules.tabulate_moduli.output,
                *rules.draw_connectivity.output,
                *rules.draw_network.output,
            ]
        ],


rule tasks:
    input:
        on_tasks(TASK_EVALUATION),
        of_tasks(EVALUATION),
