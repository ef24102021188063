"""Profiles: whether the one that was named is in use, and what the cluster's asks for. On a real SLURM: tests/slurm."""

import re

import pytest
import yaml
from harness import ROOT

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
GPU_RULES = {"train", "probe", "evaluate", "interpolate", "measure_units"}
IN_PAIRS = {
    "runs": [{"data": "tiny", "model": "small", "seeds": [1], "epochs": 4, "first_epoch_checkpoints": 3}],
    "epochs_per_job": {"train": 2, "probe": 2},
}
TWO_SEEDS = {"runs": [{"data": "tiny", "model": "small", "seeds": [1, 2], "epochs": 2}]}


@pytest.fixture
def without_slurm(tmp_path):
    """The profile, less what only the plugin understands."""
    folder = tmp_path / "profile"
    folder.mkdir()
    left = {key: value for key, value in PROFILE.items() if key != "executor" and not key.startswith("slurm")}
    (folder / "config.yaml").write_text(yaml.safe_dump(left, sort_keys=False))
    return folder


def resources_of(output):
    """{rule: its resources} of a dry run."""
    found = re.findall(r"^ *(?:local)?rule (\w+):\n(?:.*\n)+? +resources: (.*)", output, re.MULTILINE)
    return {rule: dict(item.split("=", 1) for item in line.split(", ")) for rule, line in found}


@pytest.mark.parametrize("name", ["profiles/slrum", "slrum", "profiles/slurm/", "/nowhere/slurm"])
def test_a_profile_that_is_not_there_is_refused(fresh, tmp_path, name):
    """Snakemake passes over it; called from elsewhere, over profiles/slurm too."""
    process = fresh.snakemake(
        "--dry-run", "--workflow-profile", name, called_in=tmp_path, environment={"PWD": str(tmp_path)}
    )
    assert process.returncode == 1
    assert "Using workflow specific profile" not in process.stderr
    [line] = [line for line in process.stderr.splitlines() if "profile" in line]
    assert line.startswith(f"--workflow-profile: {name} does not exist, and Snakemake would ignore it; use one of ")
    assert line.endswith(" profiles/default, profiles/slurm")


@pytest.mark.parametrize("name", ["default", "profiles/default", "none"])
def test_a_profile_that_is_there_is_used(fresh, name):
    process = fresh.snakemake("--dry-run", "results/experiments/tiny/figures/chi.csv", "--workflow-profile", name)
    assert process.returncode == 0, process.stderr
    assert ("Using workflow specific profile" in process.stderr) == (name != "none")


def test_only_what_trains_and_probes_asks_for_a_gpu(fresh, without_slurm):
    for changes in ({}, IN_PAIRS):
        process = fresh.snakemake("--dry-run", "--verbose", "--workflow-profile", str(without_slurm), changes=changes)
        assert process.returncode == 0, process.stderr
        resources = resources_of(process.stdout)
        assert len(resources) >= 18
        with_gpu = {rule for rule, asked in resources.items() if asked.get("gpu", "0") != "0"}
        kinds = {re.sub(r"_tiny_small_\w+_to_\w+$", "", rule) for rule in with_gpu}
        assert kinds == {"train", "probe"} | ({"retrace"} if changes else set())
        assert {resources[rule]["device"] for rule in with_gpu} == {"cuda"}
        for asked in resources.values():
            assert int(asked["runtime"]) > 0
            assert asked["mem_mb"] == "<TBD>" or int(asked["mem_mb"]) >= 1000


@pytest.mark.parametrize("changes", [{}, IN_PAIRS])
def test_what_most_waits_for_goes_first(fresh, changes):
    """The text up to its tokens, then the epochs, then probes and what is made from all of them."""
    process = fresh.snakemake("--dry-run", "--verbose", changes=changes)
    assert process.returncode == 0, process.stderr
    priorities = {}
    for job in re.split(r"^(?=(?:local)?rule )", process.stdout, flags=re.MULTILINE)[1:]:
        name = re.sub(r"_tiny_small_\w+_to_\w+$", "", job.split()[1].rstrip(":"))
        priorities[name] = int((re.search(r"^ +priority: (\d+)$", job, re.MULTILINE) or [0, 0])[1])
    path = {"documents", "sentences", "index", "filter", "split", "vocabulary", "encode", "initialise", "train"}
    behind = {"probe", "correlate", "acquire", "tabulate_claims", "tabulate_verdicts", "tabulate_comparison"}
    behind |= {"draw_claims", "draw_acquisition"} | ({"retrace"} if changes else set())
    assert {name for name, priority in priorities.items() if priority == 100} == path
    assert {name for name, priority in priorities.items() if priority == 50} == behind
    assert {priorities[name] for name in ("tag", "words", "draw_chi", "draw_fig2", "gallery")} == {0}


def test_what_is_set_for_training_is_set_for_jobs_of_several_epochs(fresh):
    settings = ["--set-resources", "train:mem_mb=1234", "train:slurm_partition=gpu"]
    settings += ["--set-threads", "train=2"]
    process = fresh.snakemake("--dry-run", "--verbose", *settings, changes=IN_PAIRS)
    assert process.returncode == 0, process.stderr
    resources = resources_of(process.stdout)
    training = [asked for rule, asked in resources.items() if rule.startswith(("train_tiny", "retrace_tiny"))]
    assert [(asked["mem_mb"], asked["slurm_partition"]) for asked in training] == [("1234", "gpu")] * 3
    assert len(re.findall(r"^rule (?:train|retrace)_tiny(?:.*\n)+?    threads: 2$", process.stdout, re.MULTILINE)) == 3


@pytest.mark.parametrize(("changes", "wide"), [({}, ["epoch2"]), (IN_PAIRS, ["epoch3 epoch4"]), (TWO_SEEDS, [])])
def test_only_the_last_probe_of_a_lone_run_takes_several_cores(fresh, changes, wide):
    """Beside other runs, it would wait until several cores are free at once."""
    process = fresh.snakemake("--dry-run", "--printshellcmds", changes=changes, cores=3)
    assert process.returncode == 0, process.stderr
    probes = re.findall(r"natural-sparsity probe .*--named (.*?) --training .*--threads (\d)", process.stdout)
    assert len(probes) == len(re.findall(r"natural-sparsity probe ", process.stdout)) >= 3
    assert [names for names, threads in probes if threads == "3"] == wide
    assert {threads for _, threads in probes} <= {"1", "3"}


def test_another_attempt_asks_for_more(fresh, without_slurm):
    asked = []
    for attempt in ("1", "2"):
        process = fresh.snakemake(
            "--dry-run", "--verbose", "--workflow-profile", str(without_slurm), "--attempt", attempt
        )
        asked.append(resources_of(process.stdout))
    first, second = asked
    for rule in set(first) - {"all"}:
        for resource in ("mem_mb", "runtime"):
            if first[rule][resource] != "<TBD>":
                assert int(second[rule][resource]) == 2 * int(first[rule][resource]), rule


def test_groups_are_of_rules_that_there_are_and_of_none_that_is_long(fresh):
    """A group that fails loses the outputs of all its jobs: never an epoch of training."""
    process = fresh.snakemake("--list-rules")
    there = set(re.findall(r"^(\w+)(?: \(.*\))?$", process.stdout, re.MULTILINE))
    assert {"train", "filter"} <= there
    assert set(PROFILE["groups"]) | set(PROFILE["set-resources"]) <= there
    assert set(PROFILE["set-resources"]) == GPU_RULES
    assert not GPU_RULES & set(PROFILE["groups"])
    assert set(PROFILE["group-components"]) <= set(PROFILE["groups"].values())
    # A figure or table that is added later shall not become a submission of its own.
    made = {rule for rule in there if re.match("(draw|tabulate)_(?!of_)", rule)} - {"draw_chi"}
    assert made <= set(PROFILE["groups"]), "add it to the groups of profiles/slurm/config.yaml"
