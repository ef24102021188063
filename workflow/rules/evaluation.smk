# Measurements of a finished checkpoint: loss, structure, footprint, speed, units.

EVALUATION = f"{CHECKPOINT}/evaluation.json"
LINE = f"{CHECKPOINT}/line.json"
STRUCTURE = f"{CHECKPOINT}/structure.json"
SPEEDUP = f"{CHECKPOINT}/speedup.json"
EXPORT, EXPORT_ONNX = f"{CHECKPOINT}/export", f"{CHECKPOINT}/export-onnx"
UNITS = f"{CHECKPOINT}/units/{{probe}}.parquet"
# Depends on the bit widths of the experiment's QAT models, so experiments do not share it.
FOOTPRINT = f"{MODEL}/seed{{seed}}/{{checkpoint}}/footprint.json"


rule evaluate:
    input:
        checkpoint=FILES,
        test=prepared("tokens/test.npy"),
    output:
        EVALUATION,
    log:
        f"{RUN}/logs/evaluate/{{checkpoint}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        gpu=GPUS,
        device=device,
        mem_mb=memory(3000, 4),
        runtime=minutes(4 * 60),
    params:
        code=code("evaluate", kind, method),
        batch=block("training", "evaluation_batch"),
        inputs=inputs_of_run,
    message:
        said("evaluate")
    shell:
        "natural-sparsity evaluate {params.inputs} --batch {params.batch} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


# The dev loss between the weights of a twin and of the model that it is a twin of.
rule interpolate:
    input:
        checkpoint=FILES,
        original=parent("original"),
        dev=prepared("tokens/dev.npy"),
    output:
        LINE,
    log:
        f"{RUN}/logs/interpolate/{{checkpoint}}.log",
    wildcard_constraints:
        model=one_of(name for name, model in experiment.models.items() if "original" in model.parents),
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        gpu=GPUS,
        device=device,
        mem_mb=memory(3000, 4),
        runtime=minutes(4 * 60),
    params:
        code=code("interpolate", kind, method),
        batch=block("training", "evaluation_batch"),
        inputs=inputs_of_run,
        parents=lambda wildcards: expect_parents(experiment, wildcards, "original"),
    message:
        said("interpolate: the loss between a model and its twin")
    shell:
        "natural-sparsity interpolate {params.inputs} {params.parents} --batch {params.batch} --device {resources.device}"
        " --threads {threads} --output {output} 2> {log}"


# Times are for one CPU thread. Each rule derived from this one sets its own command.
rule measure_structure:
    input:
        checkpoint=FILES,
        test=prepared("tokens/test.npy"),
    output:
        STRUCTURE,
    log:
        f"{RUN}/logs/structure/{{checkpoint}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        mem_mb=memory(3000, 4),
        runtime=minutes(4 * 60),
    params:
        command="structure",
        code=code("structure", kind, method),
        batch=block("training", "evaluation_batch"),
        inputs=inputs_of_run,
        forms="",
    message:
        said("{params.command}")
    shell:
        "natural-sparsity {params.command} {params.inputs} --batch {params.batch} {params.forms} --output {output} 2> {log}"


use rule measure_structure as measure_footprint with:
    output:
        FOOTPRINT,
    log:
        f"{MODEL}/seed{{seed}}/logs/footprint/{{checkpoint}}.log",
    params:
        command="footprint",
        code=code("footprint", kind, method),
        forms=lambda wildcards: shlex.join(["--rounded", *experiment.roundings(wildcards.model), *folded(wildcards)]),


# A smaller LSTM with the same outputs.
rule fold:
    input:
        from_=FILES,
    output:
        f"{CHECKPOINT}/folded/parameters.safetensors",
        f"{CHECKPOINT}/folded/state.json",
    log:
        f"{RUN}/logs/fold/{{checkpoint}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        mem_mb=memory(2000, 6),
    params:
        code=code("fold", method),
        inputs=inputs_of_run,
        checkpoint=checkpoint,
    message:
        said("fold: cut out removed units")
    shell:
        "natural-sparsity fold {params.inputs} --checkpoint {params.checkpoint} 2> {log}"


use rule measure_structure as measure_speedup with:
    input:
        checkpoint=FILES,
        folded=rules.fold.output,
        test=prepared("tokens/test.npy"),
    output:
        SPEEDUP,
    log:
        f"{RUN}/logs/speedup/{{checkpoint}}.log",
    params:
        command="speedup",
        code=code("speedup", kind, method),


# The model as files to ship: packed, with its words.
rule export:
    input:
        checkpoint=FILES,
        vocabulary=prepared("vocabulary.parquet"),
    output:
        directory(EXPORT),
    log:
        f"{RUN}/logs/export/{{checkpoint}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        mem_mb=memory(2000, 6),
    params:
        code=code("export", method),
        inputs=inputs_of_run,
        forms=lambda wildcards: "--fold" if folded(wildcards) else "",
    message:
        said("export")
    shell:
        "natural-sparsity export {params.inputs} {params.forms} --output {output} 2> {log}"


use rule export as export_onnx with:
    output:
        directory(EXPORT_ONNX),
    log:
        f"{RUN}/logs/export_onnx/{{checkpoint}}.log",
    params:
        code=code("export", method),
        inputs=inputs_of_run,
        forms=lambda wildcards: "--onnx --fold" if folded(wildcards) else "--onnx",


rule measure_units:
    input:
        tokens=tokens,
        checkpoint=FILES,
    output:
        UNITS,
    log:
        f"{RUN}/logs/units/{{probe}}/{{checkpoint}}.log",
    conda:
        "../../envs/natural-sparsity.yaml"
    resources:
        gpu=GPUS,
        device=device,
        mem_mb=memory(3000, 4),
        runtime=minutes(8 * 60),
    params:
        code=code("units", kind, method),
        probe=lambda wildcards: to_json(experiment.probes[wildcards.probe]),
        inputs=inputs_of_run,
    message:
        said("units")
    shell:
        "natural-sparsity units {params.inputs} --condition {wildcards.probe} --probe {params.probe:q}"
        " --device {resources.device} --threads {threads} --output {output} 2> {log}"
