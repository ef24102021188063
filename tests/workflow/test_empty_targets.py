"""A target that nothing in the experiment belongs to says so; names come from files."""

import pytest
from harness import TINY


@pytest.mark.parametrize("target", ["lottery", "structure", "moduli", "natural", "footprint"])
def test_a_target_with_nothing_to_make_is_one_line(fresh, target):
    process = fresh.snakemake("--dry-run", target)
    assert process.returncode == 1
    lines = process.stderr.splitlines()
    assert (
        f"{target}: no run of this experiment belongs to it; add one (docs/configuration.md), or leave it out" in lines
    )


def test_an_experiment_is_named_after_any_file(fresh):
    odd = fresh.folder / "my exp.v2.yaml"
    odd.write_text(TINY.read_text())
    process = fresh.snakemake("chi", configfile=odd)
    assert process.returncode == 0, process.stderr
    assert (fresh.folder / "results/experiments/my-exp-v2/figures/chi.png").exists()
