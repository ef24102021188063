"""Snakemake, run for real on a tiny configuration in a folder of its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from preloaded import start_server

from natural_sparsity import registry

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.yaml")
# The rules that only name what is to be made.
TARGETS = {*registry.FIGURES, *registry.TABLES, "all", "figures", "evaluations", "exports", "exports_onnx", "text"}

# Names of products that hold seconds; the table of structures has those of folding.
TIMED = {"provenance", "footprint", "speedup", (Path("results/experiments/tiny"), "structure")}


class Workflow:
    """The workflow in ``folder``, with ``tiny.yaml`` and whatever goes on top of it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def snakemake(
        self,
        *arguments: str,
        changes: dict | None = None,
        configfile: Path = TINY,
        root: Path = ROOT,
        environment: dict[str, str] | None = None,
        called_in: Path | None = None,
        prefix: Sequence[str] = (),
        name: str | None = "tiny",
        cores: int = 2,
    ):
        """Run snakemake; ``changes`` go over the configuration. Returns the finished process, output as text.

        ``name`` is the experiment's, whatever file comes last; None leaves it to that file.
        """
        configfiles = [str(configfile)]
        if changes:
            (self.folder / "changes.yaml").write_text(yaml.safe_dump(changes))
            configfiles.append(str(self.folder / "changes.yaml"))
        # Another checkout has to import its own; what also has an environment of its own runs once.
        own = environment and (prefix or "PYTHONPATH" in environment)
        commands = None if own else start_server(*prefix)
        snakemake = (commands or Path(sys.executable).parent) / "snakemake"
        command = [*prefix, str(snakemake), "--snakefile", str(root / "Snakefile")]
        command += [*arguments, "--directory", str(self.folder), "--cores", str(cores), "--configfile", *configfiles]
        command += ["--config", f"name={name}"] if name else []
        variables = {**os.environ, **(environment or {})}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=called_in or root, check=False, env=variables
        )

    def run(self, *targets: str, changes: dict | None = None):
        """Run to the end; fails with snakemake's output if a job does."""
        process = self.snakemake(*targets, changes=changes)
        assert process.returncode == 0, process.stderr[-5000:]
        return process

    def planned(self, *targets: str, **options) -> dict[str, int]:
        """The jobs that snakemake would run: {rule: number}, without the target rules. Options as :meth:`snakemake`."""
        process = self.snakemake("--dry-run", *targets, **options)
        assert process.returncode == 0, process.stdout + process.stderr
        output = process.stdout + process.stderr
        if "Nothing to be done" in output:
            return {}
        table = re.search(r"^job +count\n-[- ]+\n((?:.+\n)+?)total", output, re.MULTILINE)
        assert table, output
        jobs = {name: int(count) for name, count in (line.split() for line in table[1].splitlines())}
        # "describe" writes down the configuration and the commit: it follows any change, and nothing follows from it.
        return {name: count for name, count in jobs.items() if name not in {*TARGETS, "describe"}}


def products(folder: Path) -> dict[str, bytes]:
    """All results by their paths but logs, what holds times that were measured, and provenance.

    Of JSON, the content without times and without the digest of the whole.
    """
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        place = path.relative_to(folder)
        timed = {"logs", "benchmarks"} & set(place.parts) or path.stem in TIMED or (place.parent, path.stem) in TIMED
        if path.is_file() and not path.name.startswith(".") and not timed:
            content = path.read_bytes()
            if path.suffix == ".json" and content:
                value = json.loads(content)
                content = json.dumps(
                    {key: value[key] for key in value if key not in {"wall_time_s", "digest"}}
                ).encode()
            found[place.as_posix()] = content
    return found


def differing(folder: Path, expected: dict[str, bytes]) -> list[str]:
    """Products that are there and are not what they should be."""
    return [path for path, content in products(folder).items() if expected.get(path) != content]


def leftovers(folder: Path) -> list[Path]:
    """What was being written when something ended it."""
    return [path for path in (folder / "results").rglob(".*") if path.name != ".snakemake_timestamp"]


def results_in(report: Path) -> dict[str, dict]:
    """What a report holds: {path: {caption, labels, data_uri, …}}."""
    (found,) = re.findall(r"^\s*var results = ({.*})\s*;?$", report.read_text(), re.MULTILINE)
    return json.loads(found)
