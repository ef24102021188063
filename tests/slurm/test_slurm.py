"""What happens on a cluster: the whole experiment, and each way in which a job can come to grief."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from on_slurm import CLUSTER, OnSlurm, sacct, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]
SEED = "results/runs/tiny/small/seed1"
LAST = f"{SEED}/epoch4/state.json"


def checkpoints(run: OnSlurm) -> dict[str, bytes]:
    """What training makes."""
    return {path: content for path, content in run.products().items() if "/epoch" in path and "frozen" not in path}


def assert_trained_as(whole: OnSlurm, run: OnSlurm) -> None:
    """All checkpoints, byte for byte."""
    found, expected = checkpoints(run), checkpoints(whole)
    assert len(expected) == 8
    assert found == expected


def goes_on(run: OnSlurm, epoch: int) -> bool:
    """Whether the last job that trained ``epoch`` took up what one before it had saved."""
    log = run.folder / SEED / f"logs/train/epoch{epoch + epoch % 2}.log"
    return f"epoch {epoch}: goes on after step " in log.read_text()


def states(run: OnSlurm) -> list[tuple[str, str]]:
    """(epochs, state) of every job of training, in the order of submission."""
    return [
        (job["Comment"].split("_small_")[1].split("_wildcards")[0], job["State"].split()[0])
        for job in run.jobs()
        if job["Comment"].startswith("rule_train_tiny")
    ]


def test_the_whole_experiment_equals_the_one_without_slurm(whole, local):
    assert whole.status == 0, whole.log[-5000:]
    assert "Using workflow specific profile profile for setting default command line arguments." in whole.log
    assert "SLURM run ID: " in whole.log
    found, expected = whole.products(), local.products()
    assert found.keys() == expected.keys()
    assert [path for path in found if found[path] != expected[path]] == []
    kinds = Counter(path.rsplit(".")[-1] for path in found)
    assert all(kinds[kind] for kind in ("parquet", "csv", "safetensors", "npy", "json", "md", "pdf", "png")), kinds


def test_jobs_are_few_and_only_training_and_probing_are_on_a_gpu(whole):
    jobs = whole.jobs()
    assert {job["State"] for job in jobs} == {"COMPLETED"}
    for job in jobs:
        computes = job["Comment"].startswith(("rule_train", "rule_probe"))
        assert ("gres/gpu=1" in job["AllocTRES"]) == computes, job
        assert ("gres/gpu" in job["AllocTRES"]) == computes, job
        assert job["Partition"] == ("gpu" if computes else "cpu")
    names = Counter(job["Comment"].split("_wildcards")[0] for job in jobs)
    all_jobs = int(re.search(r"^total +(\d+)$", whole.log, re.MULTILINE)[1]) - 1  # the target is none
    assert sum(names.values()) <= 0.6 * all_jobs, names


def test_jobs_stay_within_the_memory_that_they_asked_for(whole):
    """Of its steps, a group has as many at once as it has processors; the batch step is Snakemake's own."""
    steps: dict[str, list[float]] = {}
    for row in sacct("JobIDRaw,MaxRSS"):
        if row["MaxRSS"]:
            steps.setdefault(row["JobIDRaw"].split(".")[0], []).append(float(row["MaxRSS"].removesuffix("M")))
    for job in whole.jobs():
        processors = int(re.search(r"cpu=(\d+)", job["AllocTRES"])[1])
        batch, *others = steps[job["JobIDRaw"]]
        used = batch + sum(sorted(others)[-processors:])
        assert 0 < used < int(job["ReqMem"].removesuffix("M")), (used, job)


def test_a_job_that_fails_is_shown_and_a_rerun_goes_on(untrained, whole):
    dev = untrained.folder / "results/data/tiny/tokens/dev.npy"
    whole_file, times = dev.read_bytes(), dev.stat()
    dev.write_bytes(whole_file[:-10])
    os.utime(dev, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert untrained.run(LAST, "--retries", "0") == 1
    assert states(untrained) == [("1_to_2", "FAILED")]
    assert "SLURM status is: 'FAILED'" in untrained.log
    assert "natural-sparsity train: results/data/tiny/tokens/dev.npy: " in untrained.log
    [caught] = (untrained.folder / "results/logs/slurm").rglob("*.log")
    assert "natural-sparsity train" in caught.read_text()
    assert checkpoints(untrained) == {}

    # Without an account, as on a cluster that has none.
    dev.write_bytes(whole_file)
    os.utime(dev, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert untrained.run(LAST, "--slurm-no-account") == 0, untrained.log[-5000:]
    assert states(untrained)[1:] == [("1_to_2", "COMPLETED"), ("3_to_4", "COMPLETED")]
    assert_trained_as(whole, untrained)


def test_a_job_cancelled_while_it_trains_comes_again_and_goes_on_inside_the_epoch(untrained, whole):
    snakemake = untrained.start(LAST)
    stopped = untrained.stop_inside(epoch=4)
    # The GPU is the one that SLURM gave.
    assert "CUDA_VISIBLE_DEVICES=0" in Path(f"/proc/{stopped}/environ").read_text().split("\0")
    epoch2 = untrained.folder / SEED / "epoch2/state.json"
    written = epoch2.stat().st_mtime_ns
    [job] = [job["JobIDRaw"] for job in untrained.jobs() if job["State"] == "RUNNING"]
    subprocess.run(["scancel", job], check=True)
    assert snakemake.wait() == 0, untrained.log[-5000:]
    assert states(untrained) == [("1_to_2", "COMPLETED"), ("3_to_4", "CANCELLED"), ("3_to_4", "COMPLETED")]
    # The job before it is not run again; of its own epochs, the one that was whole is.
    assert epoch2.stat().st_mtime_ns == written
    assert goes_on(untrained, epoch=4), untrained.log[-5000:]
    assert_trained_as(whole, untrained)


def test_a_job_over_its_time_limit_comes_again_with_more_time_and_goes_on_inside_the_epoch(untrained, whole):
    # The command line's set-resources stand in place of the profile's.
    gpu = ["train:gpu=1", "train:device=cpu", "train:slurm_partition=gpu"]
    snakemake = untrained.start(LAST, "--set-resources", "train:runtime=attempt", *gpu)
    untrained.stop_inside(epoch=1)  # SLURM wakes it to end it.
    assert snakemake.wait() == 0, untrained.log[-5000:]
    assert states(untrained) == [("1_to_2", "TIMEOUT"), ("1_to_2", "COMPLETED"), ("3_to_4", "COMPLETED")]
    assert [job["TimelimitRaw"] for job in untrained.jobs()] == ["1", "2", "1"]
    assert goes_on(untrained, epoch=1), untrained.log[-5000:]
    assert_trained_as(whole, untrained)


def test_the_controller_restarts_and_snakemake_is_killed_and_a_rerun_goes_on(untrained, whole):
    snakemake = untrained.start(LAST)
    stopped = untrained.stop_inside(epoch=1)
    subprocess.run([CLUSTER, "restart"], check=True)
    time.sleep(3)
    os.kill(stopped, signal.SIGCONT)
    untrained.stop_inside(epoch=3)
    assert [job["State"] for job in untrained.jobs()] == ["COMPLETED", "RUNNING"]
    snakemake.kill()
    snakemake.wait()

    # As docs/cluster.md says: end what is left of it, unlock, run again.
    run_id = re.search(r"SLURM run ID: (\S+)", untrained.log)[1]
    subprocess.run(["scancel", "--name", run_id], check=True)
    assert untrained.run(LAST) == 1
    assert "--unlock" in untrained.log
    assert untrained.run("--unlock") == 0
    assert untrained.run(LAST) == 0, untrained.log[-5000:]
    assert states(untrained) == [("1_to_2", "COMPLETED"), ("3_to_4", "CANCELLED"), ("3_to_4", "COMPLETED")]
    assert goes_on(untrained, epoch=3), untrained.log[-5000:]
    assert_trained_as(whole, untrained)
