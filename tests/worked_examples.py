"""The worked examples of docs/own-*.md, and copies of the project in which they are followed.

Any test can import this module: pytest puts the folder of ``tests/conftest.py`` on the path.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
REGISTRY = "src/natural_sparsity/registry.py"
SUFFIXES = {"python": ".py", "diff": ".py", "snakemake": ".smk", "rst": ".rst", "yaml": ".yaml"}
# A block of code; a link to a file; a file's path; the name of a dictionary of the registry.
PARTS = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^ *```$"
    r"|\]\(\.\./(?P<link>[\w./-]+)\)|`(?P<path>\w+/[\w./-]+)`|`(?P<name>[A-Z]+)`",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of code. ``path``: the file that it goes into; empty if none is named. ``name``: the registry's table."""

    language: str
    text: str
    path: str
    name: str


def read_example(title: str) -> list[Block]:
    """The blocks of code of a section, each with the last file that the text above it names."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("own-*.md")))
    sections = re.split("^##? ", pages, flags=re.MULTILINE)
    [section] = [text for text in sections if text.startswith(f"{title}\n")]
    blocks, path, name = [], "", ""
    for part in PARTS.finditer(section):
        path, name = part["link"] or part["path"] or path, part["name"] or name
        if language := part["language"]:
            text = re.sub(f"^{part['indent']}", "", part["text"], flags=re.MULTILINE)
            blocks.append(Block(language, text, path if path.endswith(SUFFIXES.get(language, " ")) else "", name))
    return blocks


def pick(blocks: Iterable[Block], language: str) -> list[str]:
    """The texts of the blocks in a language."""
    return [block.text for block in blocks if block.language == language]


def copy_project(folder: Path) -> Path:
    """Copy the project without its tests and results."""
    left_out = shutil.ignore_patterns(".*", "results", "tests", "__pycache__", "*.egg-info")
    return Path(shutil.copytree(ROOT, folder / "project", ignore=left_out))


def follow(blocks: Iterable[Block], project: Path) -> None:
    """Put each block of code that has a file into it: a new file, more at the end, an entry, or a change."""
    for language, text, name, table in blocks:
        path = project / name
        if not name:
            continue
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if language == "diff":
            after = change(before, text)
        elif name == REGISTRY:
            after = before.replace(f"\n{table} = {{\n", f"\n{table} = {{\n    {text}")
        else:
            after = f"{before}\n\n{text}" if before else text
        assert after != before, f"{name}: the example changes nothing"
        path.write_text(after, encoding="utf-8")


def change(source: str, diff: str) -> str:
    """Apply a diff without line numbers, whose parts ``@@`` divides."""
    for part in diff.split("@@\n"):
        lines = part.splitlines(keepends=True)
        old, new = ("".join(line[1:] or line for line in lines if line[0] != sign) for sign in "+-")
        assert source.count(old) == 1, f"no such place:\n{old}"
        source = source.replace(old, new)
    return source


def environment(project: Path) -> dict[str, str]:
    """The variables with which commands, Snakemake and modules of tests use the copy."""
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PYTHONPATH": os.pathsep.join([str(project / "src"), str(ROOT / "tests")]), "PATH": commands}


def run_python(script: str, *arguments: str, project: Path, folder: Path) -> str:
    """Run a script with the copy's package in a folder; returns what it prints."""
    process = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=os.environ | environment(project),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
