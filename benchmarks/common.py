"""What benchmarks share: options, timing in turn, peak memory, and results as JSON."""

import argparse
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from natural_sparsity.provenance import find_version

ROOT = Path(__file__).parents[1]
EXCERPT = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
RESULTS = ROOT / "results/benchmarks"
RUN = "results/runs/sample/lstm/seed1"  # of the default run
TINY = ROOT / "tests/workflow/tiny.yaml"
BIN = Path(sys.executable).parent
PACKAGES = ("natural-sparsity", "torch", "numpy", "spacy", "snakemake")
PRECISIONS = ("highest", "high", "medium")


def parse(parser: argparse.ArgumentParser, tiny: Mapping[str, Any], **defaults: Any) -> argparse.Namespace:
    """Parse a benchmark's options: its parser's own, those of ``defaults``, and what every benchmark has.

    ``--tiny`` puts the values of ``tiny`` in place of the defaults: a run of seconds that shows that the benchmark
    works, not how fast the code is. Its results go to a folder of their own.
    """
    parser.add_argument("--tiny", action="store_true", help="a size that takes seconds; the times mean nothing")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (default %(default)s)")
    for name, value in {"repeats": 5, "threads": os.cpu_count() or 1, **defaults}.items():
        choices = PRECISIONS if name == "precision" else None  # torch only warns of another
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(value), default=value, choices=choices, help=f"default {value}")
    if parser.parse_known_args()[0].tiny:
        parser.set_defaults(**{"repeats": 1, "threads": 1, "output": RESULTS / "tiny", **tiny})
    return parser.parse_args()


def arguments(description: str | None, tiny: Mapping[str, Any], **defaults: Any) -> argparse.Namespace:
    """:func:`parse` for a benchmark that has no options of another kind."""
    return parse(argparse.ArgumentParser(description=(description or "").splitlines()[0]), tiny, **defaults)


def excerpt() -> Path:
    """The excerpt of Wikipedia that gensim's package carries, as the default experiment has it."""
    spec = find_spec("gensim")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], EXCERPT)


def snakemake(folder: Path | str, *options: str) -> list[str]:
    """The command that runs the workflow in a folder."""
    return [f"{BIN}/snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), *options]


def in_turn(repeats: int, **functions: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each function, of those of :func:`time_in_turn`."""
    return {name: statistics.median(values) for name, values in time_in_turn(repeats, **functions).items()}


def time_in_turn(repeats: int, **functions: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of each function's calls: in turn, ``repeats`` times, after one call that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return seconds


class PeakMemory:
    """The highest anonymous resident memory within a block, and the memory before it, MiB.

    Mapped files do not count: the system can drop them.
    """

    def __enter__(self) -> "PeakMemory":
        self.before, self.peak, self.running = self.now(), 0.0, True
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while self.running:
            self.peak = max(self.peak, self.now())
            time.sleep(0.002)

    @staticmethod
    def now() -> float:
        """Anonymous resident memory, MiB."""
        return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1024

    def __exit__(self, *_: object) -> None:
        self.running = False
        self.thread.join()


def report(folder: Path, name: str, *, ours: float, reference: float, unit: str, **details: Any) -> None:
    """Print and store one comparison: two values in ``unit``; ``ratio`` is ours over the reference.

    More is better, unless the unit says otherwise.
    """
    write(folder, name, {"ours": ours, "reference": reference, "ratio": ours / reference, "unit": unit, **details})
    more = "".join(
        f"  {key} {value:.3g}" if isinstance(value, float) else f"  {key} {value}" for key, value in details.items()
    )
    values = f"ours {format_value(ours)}, reference {format_value(reference)} {unit}"
    print(f"{name}: {values}: {ours / reference:.2f} times{more}", flush=True)


def format_value(value: float) -> str:
    """Format a value with four digits, or with all digits before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def write(folder: Path, name: str, result: Mapping[str, Any]) -> None:
    """Store one result with the machine, the date and the versions."""
    versions = {package: find_version(package) for package in PACKAGES}
    about = {"machine": machine(), "date": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"name": name, **result, **about}, indent=2) + "\n")


def machine() -> str:
    """The processor, its cores, and the GPU if there is one."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cpu}, {os.cpu_count()} cores{gpu}"
