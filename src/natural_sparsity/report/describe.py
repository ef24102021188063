"""What the results were made with: configuration, versions, machine, and each run's training."""

import argparse
import json
import os
import platform
import re
from collections.abc import Iterable
from html import escape
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import yaml

from natural_sparsity import files
from natural_sparsity.report.html import page, table

PACKAGE = "natural-sparsity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help="JSON, every epoch of every run")
    parser.add_argument("--configuration", type=json.loads, required=True, help="JSON, as validated, with defaults")
    parser.add_argument("--commit", required=True, help="the commit that is checked out")
    parser.add_argument("--json", type=Path, required=True, help="out: all of it")
    parser.add_argument("--page", type=Path, required=True, help="out: HTML, for reading")


def run(args: argparse.Namespace) -> None:
    """Write both files."""
    about = {
        "commit": args.commit,
        "versions": versions(),
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "cores": str(os.cpu_count()),
        },
        "runs": runs(args.checkpoints),
        "configuration": args.configuration,
    }
    files.write_json(args.json, about)
    with files.atomic(args.page) as path:
        path.write_text(readable(about), encoding="utf-8")


def versions() -> dict[str, str]:
    """The installed versions of the package and of what it depends on directly."""
    direct = [re.split("[^\\w.-]", line)[0] for line in requires(PACKAGE) or [] if "extra" not in line]
    return {name: version(name) for name in [PACKAGE, *sorted(direct)]}


def runs(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """A row a run, from its epochs' states: what it was trained on and with, how long, and how well.

    What differs between epochs, because they were trained at different times, is listed with commas. Times are in
    seconds, losses in nats per token.
    """
    keys = ["epoch", "device", "threads", "versions", "python", "wall_time_s", "train_loss", "dev_loss"]
    states: dict[Path, list[dict[str, Any]]] = {}
    for path in paths:
        states.setdefault(path.parent.parent, []).append(files.read_json(path, keys))
    return [
        {
            "run": "/".join(folder.parts[-3:]),
            "epochs": len(of),
            "device": several(state["device"] for state in of),
            "threads": several(state["threads"] for state in of),
            "python": several(state["python"] for state in of),
            "torch": several(state["versions"]["torch"] for state in of),
            "seconds of training": sum(state["wall_time_s"] for state in of),
            "last train loss": max(of, key=lambda state: state["epoch"])["train_loss"],
            "last dev loss": max(of, key=lambda state: state["epoch"])["dev_loss"],
        }
        for folder, of in states.items()
    ]


def several(values: Iterable[Any]) -> str:
    """The different values, as text."""
    return ", ".join(dict.fromkeys(str(value) for value in values))


def readable(about: dict[str, Any]) -> str:
    """The page."""
    rows = about["runs"]
    configuration = yaml.safe_dump(about["configuration"], sort_keys=False, allow_unicode=True)
    parts = [
        f"<p>Code: commit {escape(about['commit'])}, the one checked out when this page was written.</p>",
        "<h2>Runs</h2>",
        table(list(rows[0]), [list(row.values()) for row in rows]),
        "<h2>Versions, when this page was written</h2>",
        table(["package", "version"], list((about["machine"] | about["versions"]).items())),
        "<h2>Configuration, as validated, with every default</h2>",
        f"<pre>{escape(configuration)}</pre>",
    ]
    return page("What the results were made with", "\n".join(parts))
