"""Every kind of job, killed at random moments of its work and on a disk that fills: nothing is lost or differs."""

import errno
import os
import random
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from forks import End, Host, Job, read_jobs
from harness import TINY, Workflow, differing, leftovers, products

from example_downloads import make_archive

pytestmark = pytest.mark.slow
TARGETS = ["all", "natural", "moduli", "explorer", "evaluations"]
SEED = int(os.getenv("NATURAL_SPARSITY_FAULT_SEED", "16"))
MIB = 1 << 20


SNIPPETS = "\n".join(f"{i}\t{(-1) ** i}\ttext {i} is {'bad' if i % 2 else 'good'}" for i in range(300))
INNER = make_archive({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": SNIPPETS.encode()})
LABELLED = make_archive({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": INNER})


class Undisturbed(NamedTuple):
    """All jobs in order, each with what it took; the folder that they ran in; its products."""

    jobs: list[tuple[Job, End]]
    folder: Path
    products: dict[str, bytes]


@pytest.fixture(scope="module")
def host():
    """What the jobs are forked from."""
    host = Host()
    yield host
    host.close()


@pytest.fixture(scope="module")
def undisturbed(host, tmp_path_factory) -> Undisturbed:
    """The experiment with all kinds of jobs, run job by job."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "snippets.tar.gz").write_bytes(LABELLED)
    config = {**yaml.safe_load(TINY.read_text()), **yaml.safe_load(TINY.with_name("faults.yaml").read_text())}
    for key in ("data", "models"):
        config[key] = {**yaml.safe_load(TINY.read_text())[key], **config[key]}
    (folder / "faults.yaml").write_text(yaml.safe_dump(config))
    process = Workflow(folder).snakemake(
        "--dry-run", "--verbose", "--printshellcmds", "--forceall", *TARGETS, configfile=folder / "faults.yaml"
    )
    assert process.returncode == 0, process.stderr
    jobs = read_jobs(process.stdout + process.stderr)
    # A figure is no other job's input, and all are saved alike: two will do.
    left_out = [job for job in jobs if job.rule.startswith("draw_")][2:]
    jobs = [job for job in jobs if job not in left_out]
    for job in jobs:
        if "--save-interval-s" in job.words:  # Their epochs are over before whole seconds are.
            job.words[job.words.index("--save-interval-s") + 1] = "0.02"
    ends = [host.run(job, folder) for job in jobs]
    assert [end.said for end in ends if end.status] == []
    assert leftovers(folder) == []
    return Undisturbed(list(zip(jobs, ends, strict=True)), folder, products(folder))


def test_jobs_killed_at_any_depth(host, undisturbed, tmp_path):
    """Before or after any operation on a file, or after any time; each kind of job twice, then once to the end."""
    generator, killed = random.Random(SEED), Counter()
    (tmp_path / "snippets.tar.gz").write_bytes(LABELLED)
    for job, undisturbed_end in undisturbed.jobs:
        for last in () if killed[job.rule] > 1 else (False, True):
            # A job may end before its time has come: each kind is killed at least once.
            if generator.random() < 0.7 or (last and not killed[job.rule]):
                end = host.run(job, tmp_path, at_operation=1 + generator.randrange(undisturbed_end.operations))
            else:
                end = host.run(job, tmp_path, after=generator.uniform(0.01, 1) * undisturbed_end.seconds)
            killed[job.rule] += end.status < 0
            assert end.status <= 0, end.said
            assert differing(tmp_path, undisturbed.products) == [], job
        end = host.run(job, tmp_path)
        assert end.status == 0, (job, end.said)
        assert differing(tmp_path, undisturbed.products) == [], job
    assert leftovers(tmp_path) == []
    assert products(tmp_path).keys() == undisturbed.products.keys()
    assert all(killed[job.rule] for job, _ in undisturbed.jobs), killed
    assert killed.total() >= 60
    print(f"{killed.total()} kills of {len(killed)} kinds of jobs: {dict(killed)}")


class Disk:
    """An ext4 file system, whose free space can be set. (On a tmpfs, test_faults.py fills the disk.)"""

    def __init__(self, folder: Path):
        self.folder, self.ballast = folder / "disk", folder / "disk/ballast"
        self.folder.mkdir()
        with (folder / "image").open("wb") as file:
            file.truncate(192 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", folder / "image"], check=True)
        mount = ["mount", "-o", "loop", folder / "image", self.folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("mounting a file is not permitted here")

    def leave(self, free: int) -> None:
        """Fill the disk up to ``free`` bytes."""
        self.ballast.unlink(missing_ok=True)
        os.sync()  # the blocks that wait for their place
        disk = os.statvfs(self.folder)
        with self.ballast.open("wb") as file:
            # ext4 keeps some blocks for itself.
            for kept in range(0, 16 * MIB, 65536):
                try:
                    os.posix_fallocate(file.fileno(), 0, max(1, disk.f_bavail * disk.f_frsize - free - kept))
                    return
                except OSError as error:
                    assert error.errno == errno.ENOSPC


@pytest.fixture
def disk(tmp_path):
    """A file system of its own."""
    if not shutil.which("mkfs.ext4"):
        pytest.skip("no mkfs.ext4 here")
    disk = Disk(tmp_path)
    yield disk
    subprocess.run(["umount", "--lazy", disk.folder], check=True)


def test_jobs_on_a_disk_that_fills(host, undisturbed, disk):
    """Every kind of job, with too little room: one line that says so, and what was there before is there still."""
    generator, refused = random.Random(SEED), Counter()
    shutil.copytree(undisturbed.folder, disk.folder, dirs_exist_ok=True)
    seen = set()
    for job, _ in undisturbed.jobs:
        if job.rule in seen:
            continue
        seen.add(job.rule)
        disk.leave(generator.choice([0, 4096, 8192, 16384, 65536, 262144]))
        end = host.run(job, disk.folder)
        refused[job.rule] += end.status
        if end.status:
            assert end.status == 1 and "Traceback" not in end.said, (job, end)
            last = end.said.splitlines()[-1]
            assert last.startswith(f"natural-sparsity {job.words[0]}: ") and re.search("space|room", last), end.said
        disk.ballast.unlink()
        assert differing(disk.folder, undisturbed.products) == [], job
        assert leftovers(disk.folder) == [], job
    assert products(disk.folder).keys() == undisturbed.products.keys()
    assert sum(refused.values()) >= len(seen) // 3, refused
    print(f"{sum(refused.values())} of {len(seen)} jobs refused")
