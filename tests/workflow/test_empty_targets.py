"""A target that nothing in the experiment belongs to says so."""

import pytest


@pytest.mark.parametrize("target", ["lottery", "structure", "moduli", "natural", "footprint", "stability"])
def test_a_target_with_nothing_to_make_is_one_line(fresh, target):
    process = fresh.snakemake("--dry-run", target)
    assert process.returncode == 1
    lines = process.stderr.splitlines()
    assert (
        f"{target}: no run in this experiment has it; add one that does (docs/configuration.md), or leave it out"
        in lines
    )
