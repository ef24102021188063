# A job a checkpoint, as soon as there is one.


rule probe:
    input:
        tokens=f"{CORPUS}/tokens/{config['probe']['split']}.npy",
        parameters=rules.train_epoch.output.parameters,
        state=rules.train_epoch.output.state,
    output:
        f"{RUN}/epoch{{epoch}}/probe.parquet",
    log:
        f"{RUN}/logs/probe/epoch{{epoch}}.log",
    benchmark:
        f"{RUN}/benchmarks/probe/epoch{{epoch}}.tsv"
    conda:
        "../../envs/natural-sparsity.yaml"
    threads: 1
    resources:
        gpu=GPUS,
        device=config["device"],
        runtime=4 * 60,
    params:
        code=code_digest("natural_sparsity.probing.probe"),
        probe=json.dumps({key: value for key, value in config["probe"].items() if key != "split"}),
    shell:
        "natural-sparsity probe --tokens {input.tokens} --parameters {input.parameters} --state {input.state}"
        " --probe {params.probe:q} --device {resources.device} --threads {threads} --output {output} 2> {log}"
