# Targets by name: `snakemake --cores 1 fig2`. Each is all tables and figures of that name. `snakemake
# --list-target-rules` and `make help` list them, each with what it shows.
TARGETS = {name: targets(name) for name in [*registry.FIGURES, *registry.TABLES]}

# Further products that a target makes.
TARGETS["natural"] += targets("units")
TARGETS["moduli"] += targets("connectivity", "network")

# The paper's figures, what goes with them, and how the runs compare.
TARGETS["figures"] = targets(
    *("architecture", "chi", "retention", "training", "fig2", "fig3a", "fig3b", "fig4", "fig5", "emergence"),
    *("acquisition", "claims", "verdicts", "comparison"),
)
TARGETS["exports"] = experiment.paths(EXPORT, experiment.runs)
TARGETS["exports_onnx"] = experiment.paths(EXPORT_ONNX, experiment.runs)
TARGETS["evaluations"] = experiment.paths(EVALUATION, experiment.runs)
# What is kept of each text, before anything trains on it.
PREPARED = [run for run in experiment.runs if not run.data.settings.generated]
TARGETS["text"] = targets("retention") + experiment.paths(f"{DATA}/summary.json", PREPARED)

OTHERS = {
    "figures": "The figures and tables of what is probed",
    "exports": "Each model after its last epoch as files to ship",
    "exports_onnx": "The same as ONNX, which needs envs/install.sh .venv/bin/python onnx",
    "evaluations": "Loss and score of each model on the test split",
    "text": "What is kept of each text, before anything trains on it",
}

# What a model costs is measured on one CPU thread: a small part of training, where that is on this machine's CPU too.
CHEAP_TO_MEASURE = not GPUS and not ON_OTHERS
# Every figure and table of the whole experiment.
SHOWN = TARGETS["figures"] + targets("lottery", "stability", "structure", "moduli", "connectivity", "network")
SHOWN += targets("footprint") if CHEAP_TO_MEASURE else []

for name, files in TARGETS.items():

    rule:
        name:
            name
        input:
            files or refuse(name),
        localrule: True

    workflow.get_rule(name).docstring = OTHERS.get(name) or numbered(title(name))
