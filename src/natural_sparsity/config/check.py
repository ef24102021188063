"""Check configuration files without Snakemake, which has no line for a mistake in YAML."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from natural_sparsity.config.experiment import Experiment
from natural_sparsity.config.validation import validate
from natural_sparsity.config.yaml_files import Places, read_file
from natural_sparsity.errors import UserError

# The default run, on top of which other files go.
BASE = "config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    help_text = "the files that follow snakemake --configfile, in the same order: each overrides those before it"
    parser.add_argument("file", type=Path, nargs="*", help=help_text)
    help_text = "the file that all of them override (default: config.yaml beside the Snakefile)"
    parser.add_argument("--base", type=Path, help=help_text)


def run(args: argparse.Namespace) -> None:
    """Print what the experiment trains.

    Raises:
        UserError: a file is no YAML, has a key twice, or the configuration cannot be run; the line names file and line.
    """
    files = [args.base or find_base(args.file), *args.file]
    config: dict[str, Any] = {}
    for path in files:
        values = read_file(str(path), path)[1]
        if not isinstance(values, dict):
            raise UserError(f"{path}: has no top-level keys; write data:, models: or runs:")
        config = merge(config, values)
    config["name"] = config.get("name") or files[-1].stem
    try:
        experiment = Experiment(validate(config))
    except UserError as error:
        raise UserError(Places({str(path): path for path in files}, {}).explain(str(error))) from error
    print(f"{experiment.name}: no mistake found; it trains {', '.join(map(describe, experiment.runs))}")


def find_base(files: Sequence[Path]) -> Path:
    """Find config.yaml beside the Snakefile: in this folder, in one that a file is in, or in the package's checkout.

    Raises:
        UserError: it is in none of these.
    """
    above = [folder for path in (*files, Path(__file__)) for folder in path.resolve().parents]
    for folder in (Path(), *above):
        if (folder / "Snakefile").is_file() and (folder / BASE).is_file():
            return folder / BASE
    raise UserError(f"{BASE}: not found here or above the files; name it with --base")


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Put one configuration on top of another, as Snakemake does: blocks are merged, all else is replaced."""
    both = {key for key, value in above.items() if isinstance(value, dict) and isinstance(below.get(key), dict)}
    return {**below, **{key: merge(below[key], value) if key in both else value for key, value in above.items()}}


def describe(run: Any) -> str:
    """Name a run as a user does."""
    return f"{run.model.name} on {run.data.name}"
