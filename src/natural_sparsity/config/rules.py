"""What the rules need besides the experiment: options of commands, Snakemake's profile."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from natural_sparsity.config.experiment import Experiment
from natural_sparsity.errors import UserError


def check_profile(arguments: Sequence[str], called_in: Iterable[str | Path], project: str | Path) -> None:
    """Check that a ``--workflow-profile`` among Snakemake's arguments is where Snakemake looks for it.

    Snakemake ignores a profile that does not exist, and would run everything on this machine.

    Raises:
        UserError: it is neither in a folder of ``called_in`` nor in the project's, nor in ``profiles`` there.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--workflow-profile", default="none")
    name = parser.parse_known_args(arguments)[0].workflow_profile
    folders = [Path(folder) for folder in called_in]
    folders += [folder / "profiles" for folder in (*folders, Path(project))]
    if name != "none" and not any((folder / name).exists() for folder in folders):
        there = ", ".join(f"profiles/{path.name}" for path in sorted(folders[-1].iterdir()))
        raise UserError(f"--workflow-profile: {name} does not exist, and Snakemake would ignore it; use one of {there}")


def name_files(paths: Iterable[Path], folder: str | Path) -> dict[str, Path]:
    """Map names to files: a file in ``folder`` is named by its relative path, another by its own."""
    return {str(path.relative_to(folder) if path.is_relative_to(folder) else path): path for path in paths}


@contextmanager
def end_in_a_line(explain: Callable[[str], str] = str) -> Iterator[None]:
    """Exit with one line if a block or function raises a UserError; ``explain`` turns the message into that line."""
    try:
        yield
    except UserError as error:
        sys.exit(explain(str(error)))


# For input functions.
refuse_in_a_line = end_in_a_line("configuration: {}".format)


def refuse(target: str) -> Callable[[object], None]:
    """Make an input function that exits with one line: no run in the experiment has ``target``."""

    def stop(wildcards: object) -> None:
        sys.exit(
            f"{target}: no run in this experiment has it; add one that does (docs/configuration.md), or leave it out"
        )

    return stop


def options(inputs: Mapping[str, str | Iterable[str]]) -> str:
    """Format a rule's inputs as options of its command, by name (``from_``: --from), without empty ones.

    A checkpoint's files are replaced by their folder.
    """
    words = []
    for name, given in inputs.items():
        paths = [given] if isinstance(given, str) else list(given)
        if paths:
            tensors = [path for path in paths if Path(path).name == "parameters.safetensors"]
            words += [f"--{name.rstrip('_').replace('_', '-')}", *(folders(tensors) or paths)]
    return shlex.join(words)


def expect(wildcards: Mapping[str, str]) -> str:
    """Format the run, epoch and condition that a rule's input files must be of, from its wildcards, as ``--expect``.

    The checkpoint ``init`` gets no epoch: that of a pruned model is a trained checkpoint.
    """
    checkpoint = wildcards.get("checkpoint", "").removeprefix("epoch")
    expected = {
        "data": wildcards["data"],
        "model": wildcards["model"],
        "seed": int(wildcards["seed"]),
        "epoch": int(checkpoint) if checkpoint.isdecimal() else None,
        "condition": wildcards.get("probe"),
        "folded": False,
    }
    return shlex.join(["--expect", json.dumps({key: value for key, value in expected.items() if value is not None})])


def expect_parents(experiment: Experiment, wildcards: Mapping[str, str], *roles: str) -> str:
    """Format the runs and epochs that the parents of the wildcards' model must be of, by role, as ``--parents``.

    Empty if it has no parents in these ``roles``.
    """
    parents = {role: experiment.parent(wildcards["data"], wildcards["model"], role) for role in roles}
    same = {"data": wildcards["data"], "seed": int(wildcards["seed"]), "folded": False}
    expected = {
        role: {**same, **{key: value for key, value in parent.items() if key != "checkpoint"}}
        for role, parent in parents.items()
        if parent
    }
    return shlex.join(["--parents", json.dumps(expected)]) if expected else ""


def give(settings: Mapping[str, Any]) -> str:
    """Format settings as options of a command: a bare option for True, none for False or null."""
    words = []
    for name, value in settings.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)


class Subject:
    """Say what a job is about: ``{subject:{wildcards},}`` in its rule's message is "epoch 3 of 8, sample/lstm, seed 1".

    A message is a format string, in which no function can be called. So the wildcards are handed over as the format
    specification: ``name=value,…,``, ended by a comma, since Snakemake has a use for a last ``q`` or ``u``.
    """

    def __init__(self, experiment: Experiment):
        self.experiment = experiment

    def __format__(self, specification: str) -> str:
        """Write the wildcards for readers; ``checkpoints`` has the names of several, in place of a wildcard."""
        about = dict(pair.split("=", 1) for pair in specification.split(",") if pair)
        run = [about[name] for name in ("data", "model") if name in about]
        lengths = [each.epochs for each in self.experiment.runs if [each.data.name, each.model.name] == run]
        checkpoints = [f"epoch{about['epoch']}"] if "epoch" in about else about.get("checkpoint", "").split()
        checkpoints = about.get("checkpoints", "").split() or checkpoints
        parts = [about.get("figure"), about.get("table"), name_checkpoints(checkpoints, max(lengths, default=0))]
        parts += ["/".join(run), *(f"{name} {about[name]}" for name in ("seed", "shard") if name in about)]
        return ", ".join(filter(None, [*parts, about.get("probe"), about.get("measure")]))


def name_checkpoints(names: Sequence[str], length: int) -> str:
    """Write the names of checkpoints for readers: ``["init", "epoch1", "epoch2"]`` are "untrained, epochs 1 to 2 of 8".

    ``length``: how many epochs the run has; a later epoch is named alone.
    """
    parts = ["untrained"] if "init" in names else []
    for kind in ("step", "epoch"):
        numbers = sorted(int(name.removeprefix(kind)) for name in names if name.startswith(kind))
        if numbers:
            whole = " of epoch 1" if kind == "step" else f" of {length}" if numbers[-1] <= length else ""
            span = f"s {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f" {numbers[0]}"
            parts.append(f"{kind}{span}{whole}")
    return ", ".join(parts)


def folders(paths: Iterable[str]) -> list[str]:
    """List the folders of files, each once."""
    return list(dict.fromkeys(str(Path(path).parent) for path in paths))
