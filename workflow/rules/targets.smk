# Targets by name: `snakemake --cores 1 fig2`. Each is all tables and figures of that name.

# Further products that a target makes.
TOGETHER = {"natural": ["units"], "moduli": ["connectivity", "network"]}

for name in dict.fromkeys([*registry.FIGURES, *registry.TABLES]):

    rule:
        name:
            name
        input:
            targets(name, *TOGETHER.get(name, [])) or refuse(name),
        localrule: True


# The paper's figures, what goes with them, and how the runs compare.
rule figures:
    input:
        targets(
            "architecture", "chi", "kept", "training", "fig2", "fig3a", "fig3b", "fig4", "fig5", "claims", "comparison"
        ),
    localrule: True


rule evaluations:
    input:
        experiment.paths(EVALUATION, experiment.runs),
    localrule: True
