# From data to figures of how sparsity emerges in a model while it trains (after Saphra & Lopez 2019, arXiv 1908.01817).
# See README.md.
from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/parameters.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/probing.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/explorer.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/gallery.smk"


# The longest path goes first: the text up to its tokens, then the epochs. Next are probes and, of what is made of them,
# what takes longest or has others waiting for it; last are tags and most figures.
FIRST = "obtain documents sentences index filter split vocabulary encode labelled initialise rewind sparsify".split()
FIRST += [job.name for job in experiment.jobs("train")]
NEXT = [job.name for kind in ("retrace", "probe") for job in experiment.jobs(kind)]
NEXT += "correlate acquire tabulate_claims tabulate_verdicts tabulate_comparison draw_claims draw_acquisition".split()
for name in FIRST + NEXT:
    workflow.get_rule(name).priority = 100 if name in FIRST else 50


rule all:
    """The whole experiment, which is made unless you name something else"""
    default_target: True
    input:
        SHOWN,
        rules.gallery.output,
        rules.describe.output,
        # Asked for by name, so that one that is missing is made again although the figures are there.
        experiment.paths(PROBE, experiment.probed, at="course"),
        # Of what is not probed.
        experiment.paths(EVALUATION, [run for run in experiment.runs if not run.probes]),


# From now on, `natural-sparsity experiments` knows that the runs below results/runs may be this experiment's.
onstart:
    Path(EXPERIMENT).mkdir(parents=True, exist_ok=True)
    # Snakemake starts at most 100 jobs per second, unless told otherwise. To keep to that, it weighs all waiting jobs again
    # a second after each time it has weighed them, and once more for every job that has ended: after some fifty jobs, that
    # takes most of a core. Without a limit, it weighs them when a job ends.
    limit = workflow.scheduler.job_rate_limiter
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


# What src/natural_sparsity/terminal has to know for its last lines; other loggers show the message.
logger.info(
    f"Results go to {EXPERIMENT}",
    extra={
        "natural_sparsity": {
            "results": EXPERIMENT,
            "targets": [*TARGETS, "explorer"],
            "names": [rule.name for rule in workflow.rules if not rule.has_wildcards()],
        }
    },
)
