"""The power goes: what an ext4 file system has on its disk at that moment is whole, and a rerun goes on from it.

The disk is a file. What is in it at one moment, while the file system is mounted, is what a power cut would leave.
"""

import filecmp
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from forks import Host, read_jobs
from harness import Workflow, leftovers, products
from preloaded import start_server
from test_faults import assert_as_undisturbed, start

pytestmark = pytest.mark.slow
CUTS, AFTERWARDS, CONTINUED, ATTEMPTS = 20, 6, 3, 5
SEED = int(os.getenv("NATURAL_SPARSITY_FAULT_SEED", "16"))
# Longer than it takes to flush a folder after a rename in it, on a machine that does other work.
SETTLED_S = 3


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount the file system in a file; its journal is replayed if it was cut off."""
    folder.mkdir(exist_ok=True)
    mount = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"mounting a file is not permitted here: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def disk(tmp_path) -> Iterator[tuple[Path, Path]]:
    """A mounted ext4 file system as (its file, its folder), with the mount options that are ext4's defaults."""
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("needs root and mkfs.ext4")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(128 << 20)
    # Nothing is to be written in the background.
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
    with mounted(image, tmp_path / "disk") as folder:
        yield image, folder


def cut(image: Path, copy: Path) -> None:
    """Copy the disk as it is at one moment: again, until nothing was written meanwhile."""
    for _ in range(100):
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        if filecmp.cmp(image, copy, shallow=False):
            return
    pytest.fail("something writes to the disk all the time")


def settled(folder: Path) -> set[str]:
    """Products that are finished for some seconds."""
    before = time.time() - SETTLED_S
    return {path for path in products(folder) if (folder / path).stat().st_mtime < before}


def test_the_power_goes_again_and_again(disk, finished, tmp_path):
    """Every second or two while Snakemake runs, and after it; from three of the cuts it goes on to the end."""
    image, folder = disk
    generator, expected, copies = random.Random(SEED), products(finished.folder), []
    snakemake = start(Workflow(folder), start_server())
    ended = 0
    while ended < AFTERWARDS:
        time.sleep(generator.uniform(0.1, 2.5))
        ended += snakemake.poll() is not None
        there = settled(folder)
        copies.append((tmp_path / f"cut{len(copies)}", there))
        cut(image, copies[-1][0])
    assert snakemake.wait() == 0 and len(copies) >= CUTS
    continued = {round((i + 1) * (len(copies) - 1) / CONTINUED) for i in range(CONTINUED)}
    for i, (copy, there) in enumerate(copies):
        with mounted(copy, tmp_path / "copy") as found:
            kept = products(found)
            assert [path for path in kept if kept[path] != expected[path]] == [], i
            assert there <= kept.keys(), i
            if i in continued:
                workflow = Workflow(found)
                workflow.snakemake("--unlock")
                workflow.run()
                assert_as_undisturbed(workflow, finished)
                assert leftovers(found) == []
        copy.unlink()
    print(f"{len(copies)} power cuts, {len(continued)} gone on from")


def test_without_flushing_a_cut_is_seen(disk, finished, tmp_path):
    """What the test above would find: the same jobs, whose fsync does nothing."""
    image, folder = disk
    process = Workflow(folder).snakemake(
        "--dry-run", "--verbose", "--printshellcmds", "--forceall", "results/data/tiny/vocabulary.parquet"
    )
    jobs, expected, damaged = read_jobs(process.stdout + process.stderr), products(finished.folder), []
    host = Host(without=("fsync", "fdatasync"))
    try:
        # A machine that does other work may flush by itself what the jobs wrote: then they write it again.
        for attempt in range(ATTEMPTS):
            shutil.rmtree(folder / "results", ignore_errors=True)
            ends = [host.run(job, folder) for job in jobs]
            assert [end.said for end in ends if end.status] == []
            for i in range(4):
                time.sleep(2)  # Names are written every five seconds, what is in the files after thirty.
                cut(image, copy := tmp_path / f"cut{attempt}-{i}")
                with mounted(copy, tmp_path / "copy") as found:
                    damaged += [path for path, content in products(found).items() if content != expected[path]]
                copy.unlink()
            if damaged:
                break
    finally:
        host.close()
    assert damaged
