"""kill -9 and a full disk, for real: run again, everything is as if nothing had happened."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import ROOT, TINY, Workflow

# Whatever has no time of day in it: all that a number can come from.
PRODUCTS = {".npy", ".zst", ".parquet", ".safetensors", ".csv", ".md"}


def contents(workflow):
    """SHA-256 of each product, by its path."""
    paths = [path for path in (workflow.folder / "results").rglob("*") if path.suffix in PRODUCTS]
    return {
        path.relative_to(workflow.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.name != "provenance.md" and not path.name.startswith(".")
    }


def assert_as_undisturbed(workflow, finished):
    found, expected = contents(workflow), contents(finished)
    assert len(expected) > 45 and any("safetensors" in path for path in expected)
    assert found.keys() == expected.keys()
    assert [path for path in expected if found[path] != expected[path]] == []
    assert workflow.planned() == {}


def start(workflow, commands=None):
    """Snakemake and its jobs, as a process group of their own; by the commands of a folder, or the real ones."""
    command = [
        (commands or Path(sys.executable).parent) / "snakemake",
        "--snakefile",
        ROOT / "Snakefile",
        "--cores",
        "2",
    ]
    command += ["--directory", workflow.folder, "--configfile", TINY]
    with (workflow.folder / "snakemake.log").open("a") as log:
        return subprocess.Popen([*map(str, command)], cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def jobs(folder):
    """The commands that run in ``folder`` now: {name: process}."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            if "natural-sparsity" in words[1:2][0][-16:] and (process / "cwd").resolve() == folder.resolve():
                found[words[2]] = int(process.name)
        except (OSError, IndexError):
            continue  # it has ended, or is another user's
    return found


def wait_for(job, snakemake, folder):
    """The process of the first job of that name to run."""
    deadline = time.monotonic() + 300
    while job not in (running := jobs(folder)):
        assert snakemake.poll() is None and time.monotonic() < deadline, (folder / "snakemake.log").read_text()[-3000:]
        time.sleep(0.02)
    return running[job]


# Over the whole graph, at several moments within a job's time: its start, its imports, its work, its writing. Killed
# are all processes; the job, as by a machine without memory left; or Snakemake, whose jobs go on writing, beside those
# that the next Snakemake starts for the same files.
KILLS = [
    ("sentences", 0.0, "all"),
    ("index", 0.3, "all"),
    ("encode", 0.0, "job"),
    ("tag", 1.0, "all"),
    ("train", 0.0, "job"),
    ("train", 1.5, "all"),
    ("train", 0.0, "snakemake"),
    ("probe", 1.2, "all"),
    ("probe", 0.0, "snakemake"),
    ("draw", 2.0, "all"),
]


@pytest.mark.slow
def test_snakemake_and_its_jobs_killed_again_and_again(fresh, finished):
    """After a killed job, Snakemake says which, and ends the others in order."""
    for name, after, killed in KILLS:
        snakemake = start(fresh)
        job = wait_for(name, snakemake, fresh.folder)
        time.sleep(after)
        if killed == "job":
            os.kill(job, signal.SIGKILL)
            assert snakemake.wait() == 1
            assert f"FAILED  {name}" in (fresh.folder / "snakemake.log").read_text()
            continue
        if killed == "all":
            os.killpg(snakemake.pid, signal.SIGKILL)
        else:
            snakemake.kill()
            assert Path(f"/proc/{job}").exists()
        snakemake.wait()
        if name == KILLS[0][0]:
            assert "--unlock" in fresh.snakemake().stderr
        assert fresh.snakemake("--unlock").returncode == 0
    fresh.run()
    while jobs(fresh.folder):
        time.sleep(0.1)
    fresh.run()  # What jobs left running write last makes later files look out of date.
    assert_as_undisturbed(fresh, finished)


@pytest.fixture
def disk(tmp_path):
    """A file system of its own; ``disk(n)`` makes it n KiB large."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")

    def resize(kib):
        subprocess.run(["mount", "-o", f"remount,size={kib}k", str(folder)], check=True)
        return folder

    yield resize
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk(disk, finished):
    """Wherever the space ends, in text, training or figures: a line with the file, nothing half-written; it goes on."""
    workflow, expected, said = Workflow(disk(1)), contents(finished), []
    for kib in (600, 1200, 3000):
        disk(kib)
        process = workflow.snakemake()
        assert process.returncode == 1
        # A log has its room or has not: what is in it names the file.
        said += re.findall(r"^ *natural-sparsity \w+: (.*)", process.stderr, re.MULTILINE)
        assert not list((workflow.folder / "results").rglob(".*.part"))
        found = contents(workflow)
        assert [path for path in found if found[path] != expected[path]] == []
    assert said and all(re.match(r"results/.*: cannot be written \(.*No space left", line) for line in said), said
    disk(50_000)
    workflow.run()
    assert_as_undisturbed(workflow, finished)


SHARDS = {
    "rows": "rows/{}.npy",
    "assignment": "assignment/{}.npy",
    "tokens": "index/{}.tokens.npy",
    "lengths": "index/{}.lengths.npy",
    "documents": "sentences/{}.documents.parquet",
}


@pytest.mark.parametrize("kib", [16, 40])
def test_a_full_disk_under_a_memory_map(disk, finished, kib):
    """The token streams are written through one, where a page without a place on the disk ends the process."""
    corpus, folder = finished.folder / "results/data/tiny", disk(kib)
    words = []
    for name, place in SHARDS.items():
        words += [f"--{name}", *(corpus / place.format(f"{i}-of-2") for i in range(2))]
    words += ["--counts", corpus / "types.parquet", "--vocabulary", corpus / "vocabulary.parquet"]
    accounts = ["documents", "sentences/0-of-2", "sentences/1-of-2", "filter"]
    words += ["--accounts", *(corpus / f"accounts/{name}.json" for name in accounts)]
    for name in ("train", "dev", "test"):
        words += [f"--{name}", folder / f"{name}.npy"]
    words += ["--summary", folder / "summary.json", "--document-tokens", folder / "documents.parquet"]
    command = [sys.executable, "-m", "natural_sparsity", "encode", *words]
    process = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert "cannot be written" in process.stderr and process.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []
