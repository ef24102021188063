"""Peak memory of each stage of the corpus on growing amounts of text: ``python benchmarks/memory.py FILE...``.

Each stage runs in its own process on the first 1, 2, 4, … files. A stage whose peak stays flat does not hold the
corpus.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

from common import PeakMemory, excerpt, parse, write

from natural_sparsity.cli import main as command

STAGES = {
    "documents": "--format auto --max-documents {m} --output {d}/d.jsonl.zst --account {d}/d.json --input",
    "sentences": "--input {d}/d.jsonl.zst --text {d}/s.zst --cased {d}/c.zst --documents {d}/d.parquet "
    "--account {d}/sentences.json",
    "index": "--text {d}/s.zst --types {d}/t.parquet --tokens {d}/k.npy --lengths {d}/l.npy",
    "filter": "--types {d}/t.parquet --documents {d}/d.parquet --tokens {d}/k.npy --lengths {d}/l.npy --min-count {n} "
    "--kept {d}/kept.npy --rows {d}/rows.npy --output {d}/types.parquet --thresholds {d}/thresholds.parquet "
    "--account {d}/filter.json",
    "split": "--documents {d}/d.parquet --kept {d}/kept.npy --fractions 0.7 0.1 0.2 --seed 1 "
    "--accounts {d}/d.json {d}/filter.json --assignment {d}/a.npy",
    "vocabulary": "--counts {d}/types.parquet --rows {d}/rows.npy --tokens {d}/k.npy --lengths {d}/l.npy "
    "--assignment {d}/a.npy --min-count {n} --output {d}/v.parquet",
    "encode": "--vocabulary {d}/v.parquet --counts {d}/types.parquet --rows {d}/rows.npy --tokens {d}/k.npy "
    "--lengths {d}/l.npy --documents {d}/d.parquet --assignment {d}/a.npy "
    "--accounts {d}/d.json {d}/sentences.json {d}/filter.json --train {d}/train.npy --dev {d}/dev.npy "
    "--test {d}/test.npy --document-tokens {d}/dt.parquet --summary {d}/s.json",
    "tag": "--cased {d}/c.zst --assignment {d}/a.npy --vocabulary {d}/v.parquet --model en_core_web_sm --case original "
    "--output {d}/tags.parquet",
}


def measure(arguments: list[str]) -> dict[str, float]:
    """Seconds of one command in a fresh process, and its peaks of anonymous and of all resident memory, MiB."""
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
    parser.add_argument("files", nargs="*", help="a corpus in any format; --tiny has one of its own")
    args = parse(parser, {"min_count": 3, "max_documents": 24}, min_count=20, max_documents=1_000_000_000)
    files = args.files or [str(excerpt())] * args.tiny
    if not files:
        parser.error("give the files of a corpus")
    sizes = [n for n in (1, 2, 4, 8, 16) if n < len(files)] + [len(files)]
    table: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
    print("files", *STAGES, sep="\t")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for stage, options in STAGES.items():
                inputs = files[:size] if stage == "documents" else []
                filled = options.format(d=folder, n=args.min_count, m=args.max_documents)
                table[stage].append(measure([stage, *filled.split(), *inputs]))
        print(
            size,
            *(f"{r[-1]['mib']:.0f} ({r[-1]['resident']:.0f}) MiB {r[-1]['seconds']:.0f} s" for r in table.values()),
            sep="\t",
            flush=True,
        )
    write(args.output, "memory", {"files": sizes, "stages": table, "unit": "MiB"})


if __name__ == "__main__":
    main()
