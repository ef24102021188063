"""The workflow on a real SLURM, which cluster.sh brings up on this machine and takes down again."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLUSTER = Path(__file__).with_name("cluster.sh")
CONFIGFILES = [ROOT / "tests/workflow/tiny.yaml", Path(__file__).with_name("pairs.yaml")]
# What docs/cluster.md tells to edit, and: the declared GPU cannot compute, and statuses are asked for often.
EDITS = {
    "# slurm_account: my-project": "slurm_account: default",
    "# slurm_partition: cpu": "slurm_partition: cpu",
    "device: cuda}  # slurm_partition: gpu, gpu_model: a100": "device: cpu, slurm_partition: gpu, gpu_model: a100}",
    "  slot: 8": "  slot: 2",
    "executor: slurm": "executor: slurm\nslurm-init-seconds-before-status-checks: 2",
}
# What one machine, hour or set of threads makes other than the next.
VOLATILE = {"wall_time_s", "digest"}


def why_not() -> str | None:
    """What this machine lacks for these tests."""
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "Snakemake's plugin for SLURM is not installed here: make test-slurm"
    if os.geteuid():
        return "SLURM's daemons are started as root"
    if not shutil.which("slurmctld"):
        return "no SLURM here: tests/slurm/cluster.sh install"
    return None


class OnSlurm:
    """The tiny experiment in ``folder``, by the profile as edited for the test's cluster."""

    def __init__(self, folder: Path):
        self.folder, self.processes, self.status = folder, [], -1
        profile = folder / "profile"
        profile.mkdir(exist_ok=True)
        text = (ROOT / "profiles/slurm/config.yaml").read_text()
        for old, new in EDITS.items():
            assert old in text, old
            text = text.replace(old, new)
        (profile / "config.yaml").write_text(text)

    def start(self, *arguments: str, profile: str | None = "profile") -> subprocess.Popen:
        """Start snakemake; its output goes to ``log``."""
        command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(ROOT / "Snakefile")]
        command += ["--workflow-profile", profile] if profile else ["--cores", "2"]
        command += ["--configfile", *map(str, CONFIGFILES)]
        with (self.folder / "log").open("a") as log:
            self.processes.append(subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log))
        return self.processes[-1]

    def run(self, *arguments: str, profile: str | None = "profile") -> int:
        """Run snakemake to the end; returns its exit status."""
        return self.start(*arguments, profile=profile).wait()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def jobs(self) -> list[dict[str, str]]:
        """SLURM's account of the jobs that were submitted from here."""
        fields = "JobIDRaw,State,Partition,AllocTRES,ReqMem,TimelimitRaw,Elapsed,Comment,WorkDir"
        return [job for job in sacct(fields, "--allocations") if job["WorkDir"] == str(self.folder)]

    def stop_inside(self, epoch: int) -> int:
        """Wait until the training of ``epoch`` has saved inside it, and stop it; returns the process's id."""
        partial = self.folder / f"results/runs/tiny/small/seed1/epoch{epoch}/.partial.safetensors"
        end = time.monotonic() + 180
        while not partial.exists():
            assert time.monotonic() < end, f"epoch {epoch} has no save within three minutes\n{self.log[-3000:]}"
            time.sleep(0.01)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")
                if words[2:3] == ["train"] and (process / "cwd").resolve() == self.folder:
                    os.kill(int(process.name), signal.SIGSTOP)
                    return int(process.name)
            except OSError:
                continue  # it has ended
        pytest.fail(f"epoch {epoch} was over before it could be stopped")

    def end(self) -> None:
        """End what a test that failed may have left."""
        for process in self.processes:
            process.kill()
        for job in self.jobs():
            if job["State"] in ("PENDING", "RUNNING"):
                subprocess.run(["scancel", job["JobIDRaw"]], check=False)

    def products(self) -> dict[str, bytes]:
        """All results but logs, benchmarks and provenance, JSON without what differs from one run to the next."""
        found = {}
        for path in sorted((self.folder / "results").rglob("*")):
            own = {"logs", "benchmarks"} & set(path.relative_to(self.folder).parts) or path.stem == "provenance"
            if path.is_file() and not own:
                content = path.read_bytes()
                if path.suffix == ".json":
                    value = {key: entry for key, entry in json.loads(content).items() if key not in VOLATILE}
                    content = json.dumps(value).encode()
                found[str(path.relative_to(self.folder))] = content
        return found


def sacct(fields: str, *arguments: str) -> list[dict[str, str]]:
    """SLURM's account of all jobs: a row a job, or a step of one."""
    command = ["sacct", "--parsable2", "--units=M", f"--format={fields}", *arguments]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    names, *rows = [line.split("|") for line in lines]
    return [dict(zip(names, row, strict=True)) for row in rows]
