"""Peak memory of each stage of the text on growing amounts of it: ``python benchmarks/memory.py FILE...``.

Each stage runs in a process of its own on the first 1, 2, 4, … of the files. What stays flat does not hold the corpus.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

from common import RESULTS, PeakMemory, machine

from natural_sparsity.cli import main as command

STAGES = {
    "documents": "--format auto --output {d}/d.jsonl.zst --input",
    "sentences": "--input {d}/d.jsonl.zst --text {d}/s.zst --cased {d}/c.zst --documents {d}/d.parquet",
    "index": "--text {d}/s.zst --types {d}/t.parquet --tokens {d}/k.npy --lengths {d}/l.npy",
    "filter": "--types {d}/t.parquet --tokens {d}/k.npy --lengths {d}/l.npy --min-count 20 --kept {d}/kept.npy "
    "--rows {d}/rows.npy --output {d}/types.parquet",
    "split": "--documents {d}/d.parquet --kept {d}/kept.npy --fractions 0.7 0.1 0.2 --seed 1 --assignment {d}/a.npy",
    "vocabulary": "--counts {d}/types.parquet --rows {d}/rows.npy --tokens {d}/k.npy --lengths {d}/l.npy "
    "--assignment {d}/a.npy --min-count 20 --output {d}/v.parquet",
    "encode": "--vocabulary {d}/v.parquet --counts {d}/types.parquet --rows {d}/rows.npy --tokens {d}/k.npy "
    "--lengths {d}/l.npy --documents {d}/d.parquet --assignment {d}/a.npy --train {d}/train.npy --dev {d}/dev.npy "
    "--test {d}/test.npy --summary {d}/s.json",
    "tag": "--cased {d}/c.zst --assignment {d}/a.npy --vocabulary {d}/v.parquet --model en_core_web_sm --case original "
    "--output {d}/tags.parquet",
}


def measure(arguments: list[str]) -> dict[str, float]:
    """Run one command in a fresh process; its seconds and its peaks of anonymous and of all resident memory, MiB."""
    process = subprocess.run([sys.executable, __file__, "--child", *arguments], capture_output=True, text=True)
    if process.returncode:
        sys.exit(process.stderr)
    return json.loads(process.stdout)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        start = time.perf_counter()
        with PeakMemory() as memory:
            command(sys.argv[2:])
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": time.perf_counter() - start, "mib": memory.peak, "resident": resident}))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="a corpus in any format")
    files = parser.parse_args().files
    sizes = [n for n in (1, 2, 4, 8, 16) if n < len(files)] + [len(files)]
    table: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
    print("files", *STAGES, sep="\t")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for stage, options in STAGES.items():
                inputs = files[:size] if stage == "documents" else []
                table[stage].append(measure([stage, *options.format(d=folder).split(), *inputs]))
        print(
            size,
            *(f"{r[-1]['mib']:.0f} ({r[-1]['resident']:.0f}) MiB {r[-1]['seconds']:.0f} s" for r in table.values()),
            sep="\t",
            flush=True,
        )
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = {"name": "memory", "files": sizes, "stages": table, "unit": "MiB", "machine": machine()}
    (RESULTS / "memory.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
