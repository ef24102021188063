# From a Wikipedia dump to the figures of Saphra & Lopez 2019 (arXiv 1908.01817). See README.md.
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/classification.smk"
include: "workflow/rules/tagging.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/probing.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/explorer.smk"
include: "workflow/rules/sparsify.smk"
include: "workflow/rules/natural.smk"
include: "workflow/rules/structure.smk"
include: "workflow/rules/tasks.smk"


rule all:
    default_target: True
    input:
        rules.figures.input,
        rules.lottery.input,
        rules.compression.input if CHEAP_TO_COMPRESS else [],
        rules.structure.input,
        rules.tasks.input,
        rules.moduli.input,
        # Asked for by name, so that one that is missing is made again although the figures are there.
        everywhere(PROBE),
        rules.describe.output,
        everywhere(rules.tabulate_claims.output),
        rules.tabulate_comparison.output if PROBED else [],


onsuccess:
    folders = [
        "results/figures",
        "results/comparison",
        *everywhere(f"{MODEL}/figures"),
        *everywhere(f"{MODEL}/{{probe}}/figures"),
    ]
    print(*[f"Figures are in {folder}" for folder in folders], sep="\n", file=sys.stderr)
