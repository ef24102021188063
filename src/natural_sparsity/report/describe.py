"""What the results were made with: configuration, versions, machine, and each run's training."""

import argparse
import os
import platform
import re
from collections.abc import Iterable
from html import escape
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import yaml

from natural_sparsity import files
from natural_sparsity.analysis.products import Origin, find_origin
from natural_sparsity.provenance import find_version
from natural_sparsity.settings import parse_json_object
from natural_sparsity.tables.html import render_page, render_table

PACKAGE = "natural-sparsity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--checkpoints", type=Path, nargs="+", required=True, help="state.json, every epoch of every run"
    )
    parser.add_argument(
        "--configuration", type=parse_json_object, required=True, help="JSON, as validated, with defaults"
    )
    parser.add_argument("--commit", required=True, help="the commit that is checked out")
    parser.add_argument("--json", type=Path, required=True, help="out: everything, as JSON")
    parser.add_argument("--page", type=Path, required=True, help="out: everything, as HTML")


def run(args: argparse.Namespace) -> None:
    """Write both files."""
    facts = {
        "commit": args.commit,
        "versions": list_versions(),
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "cores": str(os.cpu_count()),
        },
        "runs": summarise_runs(args.checkpoints),
        "configuration": args.configuration,
    }
    files.write_json(args.json, facts)
    with files.atomic(args.page) as path:
        path.write_text(render(facts), encoding="utf-8")


def list_versions() -> dict[str, str]:
    """The versions of the package and of its direct dependencies, as :func:`find_version` gives them.

    Without the package's own metadata, as on a machine that the code was only copied to, the dependencies are unknown.
    """
    try:
        needs = requires(PACKAGE) or []
    except PackageNotFoundError:
        needs = []
    direct = [re.split("[^\\w.-]", line)[0] for line in needs if "extra" not in line]
    return {name: find_version(name) for name in [PACKAGE, *sorted(direct)]}


def summarise_runs(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """A row per run, from its epochs' states: what it was trained on and with, how long, and how well.

    Values that differ between epochs, because these were trained at different times, are listed with commas. Times are
    in seconds; losses in nats, or the data's own unit.
    """
    keys = ["kind", "epoch", "device", "threads", "versions", "python", "wall_time_s", "train_loss", "dev_loss"]
    runs: dict[Origin, list[dict[str, Any]]] = {}
    for path in paths:
        state = files.read_json(path, [*Origin._fields, *keys])
        runs.setdefault(find_origin(state), []).append(state)
    return [
        {
            **origin._asdict(),
            "kind of data": states[0]["kind"],
            "epochs": len(states),
            "device": join_values(state["device"] for state in states),
            "threads": join_values(state["threads"] for state in states),
            "python": join_values(state["python"] for state in states),
            "torch": join_values(state["versions"]["torch"] for state in states),
            "seconds of training": sum(state["wall_time_s"] for state in states),
            "last train loss": max(states, key=lambda state: state["epoch"])["train_loss"],
            "last dev loss": max(states, key=lambda state: state["epoch"])["dev_loss"],
        }
        for origin, states in runs.items()
    ]


def join_values(values: Iterable[Any]) -> str:
    """The distinct values, as text."""
    return ", ".join(dict.fromkeys(str(value) for value in values))


def render(facts: dict[str, Any]) -> str:
    """The page."""
    rows = facts["runs"]
    configuration = yaml.safe_dump(facts["configuration"], sort_keys=False, allow_unicode=True)
    parts = [
        f"<p>Code, when this page was written: commit {escape(facts['commit'])}.</p>",
        "<h2>Runs</h2>",
        render_table(list(rows[0]), [list(row.values()) for row in rows]),
        "<h2>Versions, when this page was written</h2>",
        render_table(["package", "version"], list((facts["machine"] | facts["versions"]).items())),
        "<h2>Configuration, as validated, with every default</h2>",
        f"<pre>{escape(configuration)}</pre>",
    ]
    return render_page("What the results were made with", "\n".join(parts))
