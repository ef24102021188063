"""The code in the documentation: blocks parse, options exist, and configurations are valid.

The worked examples of docs/own-*.md are also followed, by the tests that use ``worked_examples``.
"""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from jsonschema import Draft202012Validator
from snakemake.cli import get_argument_parser

from natural_sparsity import registry
from natural_sparsity.cli import COMMANDS, make_parser
from natural_sparsity.config import reference
from natural_sparsity.config.check import merge
from natural_sparsity.config.validation import validate

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
# Followed by tests of the worked examples; what a program prints, or a citation, is text.
FOLLOWED, TEXT = {"diff", "snakemake", "rst"}, {"", "text", "bibtex"}
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
# A part of a configuration lacks what other files have.
PART = {key: value for key, value in json.loads(reference.make_schema()).items() if key != "required"}
MADE = {path for page in PAGES for path in re.findall(r"`(experiments/[\w.-]+)`", page.read_text(encoding="utf-8"))}
TARGETS = {*registry.FIGURES, *registry.TABLES, "all", "figures", "evaluations", "explorer", "text"}
RULES = {
    name
    for path in (ROOT / "workflow/rules").glob("*.smk")
    for name in re.findall(r"^(?:rule|use rule \w+ as) (\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
}
MAKE = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
# Commands of the system, which no test here looks into.
OTHERS = {
    "cd",
    "conda",
    "cp",
    "export",
    "git",
    "ls",
    "mkdir",
    "mv",
    "nvidia-cuda-mps-control",
    "pip",
    "pre-commit",
    "sacct",
    "scancel",
    "source",
}
OTHERS |= {"split", "squeue", "tail", "uv", "xdg-open"}


class Block(NamedTuple):
    """A block of code, and those above it on its page."""

    page: Path
    line: int
    language: str
    text: str
    above: list["Block"]


def read_blocks() -> Iterator[Block]:
    """Every block of every page, without its indent."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        above: list[Block] = []
        for found in FENCE.finditer(text):
            content = re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
            block = Block(page, text[: found.start()].count("\n") + 1, found["language"], content, list(above))
            above.append(block)
            yield block


BLOCKS = list(read_blocks())


def in_language(language, followed=True):
    """One test for each block in a language; perhaps without those that a test of a worked example uses."""
    blocks = [block for block in BLOCKS if block.language == language]
    blocks = [block for block in blocks if followed or not block.page.name.startswith("own-")]
    assert blocks
    return pytest.mark.parametrize("block", blocks, ids=lambda block: f"{block.page.name}:{block.line}")


def split_commands(text: str) -> Iterator[list[str]]:
    """The words of each simple command of a script, without what it sets variables to."""
    for line in re.sub(r"\$\([^)]*\)(\S*)", "VALUE", text.replace("\\\n", " ")).splitlines():
        words: list[str] = []
        for word in lex(line):
            if set(word) <= set(";|&"):
                if words:
                    yield words
                words = []
            elif words or not re.match(r"\w+=", word):
                words.append(word)


def lex(line: str) -> list[str]:
    """The words of a line, and a separator at its end."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    return [*lexer, ";"]


def test_each_block_is_in_a_language_that_a_test_reads():
    read = {"bash", "yaml", "python", *FOLLOWED, *TEXT}
    assert [(block.page.name, block.line, block.language) for block in BLOCKS if block.language not in read] == []
    assert {block.page.name.split("-")[0] for block in BLOCKS if block.language in FOLLOWED} == {"own"}


@in_language("bash")
def test_commands_exist_and_have_their_options(block):
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for words in split_commands(block.text):
        check_command(*words)


def check_command(name: str, *arguments: str) -> None:
    name = name.removeprefix(".venv/bin/")
    if name == "python" and arguments[:1] == ("-c",):
        ast.parse(arguments[1])
        return
    if name == "python" and arguments[:1] == ("-m",):
        name, *arguments = "natural-sparsity" if arguments[1] == "natural_sparsity" else arguments[1], *arguments[2:]
        assert name in {"natural-sparsity", "natural_sparsity.config.reference", "venv", "pytest"}, name
    if name == "natural-sparsity":
        check_own_command(*arguments)
    elif name == "snakemake":
        check_snakemake(*arguments)
    elif name == "make":
        targets = [word for word in arguments if "=" not in word]
        assert MAKE.issuperset(targets), targets
    elif "/" in name or name == "python":
        script = ROOT / (name if name != "python" else arguments[0])
        assert script.is_file(), script
    else:
        assert name in OTHERS, name


def check_own_command(*arguments: str) -> None:
    """Parse a command's arguments; asking for help ends with status 0."""
    assert arguments[0] in COMMANDS or arguments[0].startswith("--"), arguments
    try:
        make_parser(arguments[:1]).parse_args(arguments)
    except SystemExit as end:
        assert end.code == 0, arguments


def check_snakemake(*arguments: str) -> None:
    """Parse the options, and look whether targets, configurations and profiles are there."""
    options = get_argument_parser().parse_args(arguments)
    for path in options.configfile or []:
        assert (ROOT / path).is_file() or str(path) in MADE, path
    for target in options.targets:
        assert target in TARGETS | RULES or target.startswith("results/"), target
    assert RULES.issuperset(options.until), options.until
    assert not options.workflow_profile or (ROOT / options.workflow_profile / "config.yaml").is_file()


@in_language("yaml", followed=False)
def test_configurations_are_valid(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in re.findall(r"\bpath: ([\w./-]+)", "".join(each.text for each in [*block.above, block])):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("A text. ", encoding="utf-8")
    value = yaml.safe_load(block.text)
    if value is None:  # comments alone
        return
    Draft202012Validator(PART).validate(value)
    if "runs" in value:
        config = DEFAULT
        for other in [each for each in block.above if each.language == "yaml"]:
            known = yaml.safe_load(other.text) or {}
            config = merge(config, {key: known[key] for key in ("data", "models") if key in known})
        validate(merge(config, value))


@in_language("python")
def test_python_compiles(block):
    entry = re.fullmatch(r'"\w+": .+,\n', block.text)  # of a dictionary in the registry
    ast.parse(f"{{{block.text}}}" if entry else block.text)


@pytest.mark.slow
@pytest.mark.integration
def test_the_targets_of_the_default_run_can_be_made(tmp_path):
    """Every snakemake command on the default configuration is planned, for its targets."""
    commands = {
        tuple(words[1:])
        for block in BLOCKS
        if block.language == "bash"
        for words in split_commands(block.text)
        if words[0] == "snakemake" and not {"--configfile", "--workflow-profile", "--report", "--unlock"} & {*words}
    }
    assert len(commands) > 5
    for arguments in sorted(commands):
        command = [Path(sys.executable).with_name("snakemake"), "--snakefile", ROOT / "Snakefile", "--dry-run"]
        process = subprocess.run(
            [*command, *arguments, "--directory", tmp_path], capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, (arguments, process.stderr)
