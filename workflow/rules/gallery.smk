# The page to begin with: every figure of the experiment, the verdicts, and links to tables, explorer and provenance.


rule gallery:
    """One page with every figure, the verdicts, and links to the rest"""
    input:
        # The page only links to these: it does not change with them.
        figures=ancient([path for path in SHOWN if path.endswith(".png")]),
        tables=ancient([path for path in SHOWN if path.endswith(".html")]),
        verdicts=[path for path in SHOWN if Path(path).name == "verdicts.parquet"],
        provenance=ancient(rules.describe.output.page),
    output:
        f"{EXPERIMENT}/index.html",
    log:
        f"{EXPERIMENT}/logs/gallery.log",
    localrule: True
    conda:
        "../../envs/natural-sparsity.yaml"
    params:
        code=code("gallery"),
        inputs=inputs,
        title=f"Experiment {experiment.name}",
        titles=to_json({name: numbered(title(name)) for name in sorted({Path(path).stem for path in SHOWN})}),
    message:
        "gallery: every figure on one page, {output}"
    shell:
        "natural-sparsity gallery {params.inputs} --title {params.title:q} --titles {params.titles:q}"
        " --output {output} 2> {log}"
