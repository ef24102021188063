"""The golden manifest: digests of what a commit computes, to compare with another commit on the same machine.

    python tests/golden/manifest.py record --project CHECKOUT --folder FOLDER --output MANIFEST.json
    python tests/golden/manifest.py compare BEFORE.json AFTER.json

``record`` runs the default experiment, the tests' tiny one and each ``experiments/*-small.yaml`` with the code and
the environment of a checkout, shortened (see :func:`shorten`), and digests every table, token stream, tensor and
number in the results, field by field. Wall times, versions, code digests and pictures are left out. What is in FOLDER
already is not run again. ``compare`` lists the fields that differ; ``differences.yaml`` says what moved or was
renamed on purpose, and why a field may differ.
"""

import argparse
import fnmatch
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
import zstandard
from safetensors.numpy import load_file

EPOCHS, SEEDS = 3, 2
# Fields that no two runs share, or that say how a product was made rather than what is in it.
VOLATILE = re.compile(
    r"(.*(seconds|speedup|milliseconds|faster|wall_time).*|digest|digests|versions|python|threads|device|code"
    r"|format|commit|machine|checkpoint|folded_from|configuration)"
)
# What a product says that it was made from.
DIGEST = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
EXPLANATIONS = Path(__file__).with_name("differences.yaml")


def shorten(config: dict[str, Any]) -> dict[str, Any]:
    """The experiment with at most ``EPOCHS`` epochs and ``SEEDS`` seeds; what methods do by the epoch comes earlier."""
    for run in config.get("runs", []):
        run.update(epochs=min(run["epochs"], EPOCHS), seeds=run["seeds"][:SEEDS])
    models = [*config.get("models", {}).values(), *config.get("task_models", {}).values()]
    for block in (model["sparsify"] for model in models if "sparsify" in model):
        latest = {"begin": 0, "rewind": 1, "ramp": 2, "end": 2}
        block.update({key: min(block[key], latest[key]) for key in latest if key in block})
    return config


def experiments(project: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Name, file and targets of each experiment; a small one names its targets in its head."""
    yield "default", project / "config.yaml", []
    yield "tiny", project / "tests/workflow/tiny.yaml", []
    for path in sorted((project / "experiments").glob("*-small.yaml")):
        command = re.search(r"snakemake --cores \d+ (.*?) ?--configfile", path.read_text(encoding="utf-8"))
        yield path.stem, path, command[1].split() if command else []


def run(project: Path, folder: Path, name: str, path: Path, targets: list[str], cores: int) -> None:
    """Run one experiment below ``folder``, with the project's own environment."""
    config = folder / f"{name}.yaml"
    config.write_text(yaml.safe_dump(shorten(yaml.safe_load(path.read_text(encoding="utf-8")))), encoding="utf-8")
    command = [project / ".venv/bin/snakemake", "--snakefile", project / "Snakefile", "--cores", cores, *targets]
    command += ["--directory", folder, "--configfile", config]
    process = subprocess.run([*map(str, command)], cwd=project, capture_output=True, text=True, check=False)
    if process.returncode:
        sys.exit(f"{name}: {process.stderr[-3000:]}")


def record(project: Path, folder: Path, cores: int, only: list[str]) -> dict[str, dict[str, str]]:
    """The manifest: {experiment/path: {field: digest}}."""
    manifest = {}
    for name, path, targets in experiments(project):
        if only and name not in only:
            continue
        print(f"{name}: {' '.join(targets) or 'all'}", file=sys.stderr)
        (folder / name).mkdir(parents=True, exist_ok=True)
        run(project, folder / name, name, path, targets, cores)
        manifest |= digest_results(folder / name / "results", name)
    return manifest


def digest_results(results: Path, name: str) -> dict[str, dict[str, str]]:
    """The digests of all products in a folder of results."""
    manifest = {}
    for path in sorted(results.rglob("*")):
        reader = next((read for suffix, read in READERS.items() if path.name.endswith(suffix)), None)
        if reader and not {"logs", "benchmarks"} & set(path.relative_to(results).parts):
            for part, fields in reader(path).items():
                kept = {key: value for key, value in fields.items() if not VOLATILE.fullmatch(key.rpartition(".")[2])}
                manifest[f"{name}/{path.relative_to(results)}{part}"] = {k: digest(v) for k, v in kept.items()}
    return manifest


def digest(value: Any) -> str:
    """A short digest of an array, a column, text, or what JSON holds."""
    if isinstance(value, np.ndarray):
        data = f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    elif isinstance(value, bytes):
        data = value
    else:
        data = json.dumps(stable(value), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()[:16]


def stable(value: Any) -> Any:
    """A JSON value without volatile fields at any depth; a whole number is the same as integer and as float."""
    if isinstance(value, dict):
        kept = {key: entry for key, entry in value.items() if not VOLATILE.fullmatch(key)}
        return {key: stable(entry) for key, entry in kept.items() if not DIGEST.fullmatch(str(entry))}
    if isinstance(value, list):
        return [stable(entry) for entry in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def columns(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns of a table as arrays or lists."""
    return {
        str(name): column.to_numpy() if column.dtype.kind in "iufb" else [str(value) for value in column]
        for name, column in frame.items()
    }


def read_json(path: Path) -> dict[str, dict[str, Any]]:
    """The fields of a JSON object, lists of objects field by field; of a list over seeds, one part per seed."""
    value = {key: entry for key, entry in json.loads(path.read_text(encoding="utf-8")).items() if key != "digest"}
    rows = next(iter(value.values())) if len(value) == 1 else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "seed" in row for row in rows):
        return {"": dict(flatten(value))}
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        parts.setdefault(f"#seed{row['seed']}", []).append(row)
    return {part: dict(flatten(of[0] if len(of) == 1 else {"rows": of})) for part, of in parts.items()}


def flatten(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of an object, and of objects in its lists, as KEY.NUMBER.FIELD."""
    for key, entry in value.items():
        if isinstance(entry, list) and entry and all(isinstance(row, dict) for row in entry):
            yield from ((f"{key}.{i}.{field}", x) for i, row in enumerate(entry) for field, x in row.items())
        else:
            yield key, entry


def whole(fields: Any) -> dict[str, Any]:
    """A product of one part."""
    return {"": fields}


READERS = {
    ".npy": lambda path: whole({"array": np.load(path)}),
    ".parquet": lambda path: whole(columns(pd.read_parquet(path))),
    ".csv": lambda path: whole(columns(pd.read_csv(path))),
    ".safetensors": lambda path: whole(load_file(path)),
    ".json": read_json,
    ".zst": lambda path: whole({"text": zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read()}),
}


def rename(manifest: dict[str, dict[str, str]], names: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The manifest of a commit before a change, under the names of the commit after it."""
    moved = {}
    for path, fields in manifest.items():
        for pattern, replacement in names.get("paths", {}).items():
            path = re.sub(pattern, replacement, path)
        groups = [group for pattern, group in names.get("fields", {}).items() if fnmatch.fnmatch(path, pattern)]
        moved[path] = {rename_field(field, groups): value for field, value in fields.items()}
    return moved


def rename_field(field: str, groups: list[dict[str, str]]) -> str:
    """The name of a field after a change."""
    for pattern, replacement in (pair for group in groups for pair in group.items()):
        if re.fullmatch(pattern, field):
            return re.sub(pattern, replacement, field)
    return field


def differences(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Path, field and what is the matter with it, for every field that is not the same in both."""
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old is None or new is None:
            yield path, "*", "missing" if new is None else "new"
            continue
        for field in sorted({*old, *new}):
            if old.get(field) != new.get(field):
                yield path, field, "missing" if field not in new else "new" if field not in old else "differs"


def compare(before: Path, after: Path) -> int:
    """Print what differs without an explanation; the number of such fields."""
    known = yaml.safe_load(EXPLANATIONS.read_text(encoding="utf-8")) or {}
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    old = rename(old, known.get("renamed", {}))
    explained: dict[str, int] = {}
    unexplained = 0
    for path, field, what in differences(old, new):
        reason = next(
            (
                entry["reason"]
                for entry in known.get("expected", [])
                if any(fnmatch.fnmatch(path, pattern) for pattern in entry["paths"])
                and fnmatch.fnmatch(field, entry.get("field", "*"))
                and what in entry.get("what", what)
            ),
            None,
        )
        if reason:
            explained[reason] = explained.get(reason, 0) + 1
        else:
            unexplained += 1
            print(f"{what}: {path}: {field}")
    same = sum(fields == new.get(path) for path, fields in old.items())
    for reason, count in explained.items():
        print(f"explained, {count} fields: {reason}")
    print(f"{same} of {len(old)} products are the same in every field; {unexplained} fields differ without a reason")
    return unexplained


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run a checkout's experiments and write their manifest")
    recording.add_argument("--project", type=Path, required=True, help="a checkout in which 'make install' has run")
    recording.add_argument("--folder", type=Path, required=True, help="where to run; what it has is used again")
    recording.add_argument("--output", type=Path, required=True, help="out: JSON")
    recording.add_argument("--cores", type=int, default=2)
    recording.add_argument("--only", nargs="*", default=[], help="names of experiments")
    comparing = commands.add_parser("compare", help="list what differs between two manifests")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    args = parser.parse_args()
    if args.command == "compare":
        sys.exit(bool(compare(args.before, args.after)))
    manifest = record(args.project.resolve(), args.folder.resolve(), args.cores, args.only)
    args.output.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
