"""The command line: one line for a mistake, and no waiting for what a command does not need."""

import ast
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from natural_sparsity import files
from natural_sparsity.cli import COMMANDS


def command(*arguments, **options):
    line = [sys.executable, "-m", "natural_sparsity", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, **options)


@pytest.mark.integration
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    process = command(name, "--help")
    assert process.returncode == 0, process.stderr
    assert COMMANDS[name][1] in process.stdout


def test_a_mistake_is_one_line(tmp_path):
    process = command("index", "--text", "nosuch.zst", "--types", "a", "--tokens", "b", "--lengths", "c")
    assert process.returncode == 1
    assert process.stderr.startswith("natural-sparsity index: nosuch.zst: ")
    assert process.stderr.count("\n") == 1


def one_line(process):
    """The line in which a command refused."""
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1, process.stderr
    return process.stderr


def test_an_output_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "a.txt").write_text("Some text.\n")
    (tmp_path / "file").touch()
    output = tmp_path / "file" / "0.zst"
    line = one_line(command("documents", "--input", tmp_path / "a.txt", "--output", output))
    assert line.startswith("natural-sparsity documents: ")
    assert str(tmp_path / "file") in line


def little_space():
    """As on a full disk: after some bytes a write fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_full_disk_is_one_line(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(os.urandom(50).hex() for _ in range(2000)))
    arguments = ["--input", tmp_path / "a.txt", "--format", "text", "--output", tmp_path / "out" / "0.zst"]
    line = one_line(command("documents", *arguments, preexec_fn=little_space))
    assert line.startswith("natural-sparsity documents: ") and "File too large" in line
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.integration
def test_a_disk_too_full_for_a_checkpoint_is_one_line(tmp_path):
    pytest.importorskip("torch")
    files.write_parquet(tmp_path / "words", pd.DataFrame({"id": range(100)}))
    names = ["--data", "text", "--kind", "text", "--model", "lstm", "--seed", "1"]
    blocks = ["--architecture", "{}", "--training", "{}", "--vocabulary", tmp_path / "words"]
    process = command("initialise", *names, *blocks, "--checkpoint", tmp_path / "out", preexec_fn=little_space)
    assert "parameters.safetensors: cannot be written" in one_line(process)
    assert list((tmp_path / "out").iterdir()) == []


def test_arguments_come_from_a_file_as_from_the_command_line(tmp_path):
    words = ["index", "--text", "no such\n'file'", "--types", "a", "--tokens", "@b", "--lengths", "é"]
    (tmp_path / "words").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    process = command("--arguments", tmp_path / "words")
    assert process.stderr == command(*words).stderr
    assert "no such\n'file': " in process.stderr
    (tmp_path / "cut").write_bytes(b"check\0config.yaml")
    line = one_line(command("--arguments", tmp_path / "cut"))
    assert line == f"natural-sparsity: --arguments {tmp_path}/cut: does not end in NUL; end each argument with one\n"
    line = one_line(command("--arguments", tmp_path / "nosuch"))
    assert line.startswith(f"natural-sparsity: --arguments {tmp_path}/nosuch: cannot be read (No such file")


@pytest.mark.parametrize(
    "words", [["a b", "", "'\"$HOME\\", "@é", "-x\n"], ["x" * 200_000], ["é y" * 10] * 100_000], ids=len
)
def test_a_job_is_given_arguments_of_any_length(tmp_path, words):
    """The beginning of every rule's shell command, with a command that shows what it was given."""
    rules = (Path(__file__).parents[1] / "workflow/rules/parameters.smk").read_text()
    prefix = ast.literal_eval(re.search(r"shell\.prefix(\(.+?^\))", rules, re.DOTALL | re.MULTILINE)[1]).format()
    show = "import os, sys; from natural_sparsity.cli import expand; words = chr(0).join(expand(sys.argv[1:]))"
    show += "; sys.stdout.buffer.write(os.fsencode(words))"
    (tmp_path / "natural-sparsity").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{show}' \"$@\"\n")
    (tmp_path / "natural-sparsity").chmod(0o755)
    (tmp_path / "job.sh").write_text(f"{prefix}natural-sparsity {shlex.join(words)}")
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    process = subprocess.run(["bash", tmp_path / "job.sh"], capture_output=True, env={**os.environ, "PATH": path})
    assert process.returncode == 0, process.stderr
    assert os.fsdecode(process.stdout).split("\0") == words


def test_a_command_computes_in_one_thread_whatever_the_environment_says():
    code = "import os; from natural_sparsity.cli import ADJUSTED, ONE_THREAD, limit_threads; limit_threads();"
    code += " import pyarrow; print(pyarrow.cpu_count(), {os.environ[name] for name in ONE_THREAD},"
    code += " {*ADJUSTED} & {*os.environ})"
    variables = {**os.environ, "OMP_NUM_THREADS": "7", "OMP_THREAD_LIMIT": "5", "MKL_NUM_THREADS": "3"}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables)
    assert process.stdout == "1 {'1'} set()\n", process.stderr


@pytest.mark.integration
def test_torch_uses_the_threads_it_is_given():
    pytest.importorskip("torch")
    code = "from natural_sparsity import cli; cli.limit_threads(); import torch; print(torch.get_num_threads());"
    code += " from natural_sparsity.model.device import select_device; select_device('cpu', 2);"
    code += " print(torch.get_num_threads(), torch.__config__.parallel_info().split('omp_get_max_threads() : ')[1][0])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout == "1\n2 2\n", process.stderr


def assert_light(module):
    """Its import, in a process of its own, brings neither torch nor spaCy."""
    code = f"import sys, {module}; print({{'torch', 'spacy'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n", module


@pytest.mark.integration
def test_text_passes_wait_neither_for_torch_nor_for_spacy():
    for module in ("index", "filter", "split", "vocabulary", "encode", "documents", "sentences"):
        assert_light(f"natural_sparsity.corpus.{module}")


def test_the_workflow_and_the_figures_wait_neither_for_torch_nor_for_spacy():
    """Nor have they its memory: on a cluster each job is a Snakemake of its own."""
    rules = "".join(path.read_text() for path in (Path(__file__).parents[1] / "workflow/rules").glob("*.smk"))
    imports = re.findall(r"^from (natural_sparsity\S*) import", rules, re.MULTILINE)
    assert "natural_sparsity.config.validation" in imports
    for module in {*imports, "natural_sparsity.figures.draw", "natural_sparsity.tables.structure"}:
        assert_light(module)


def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    from natural_sparsity.errors import UserError
    from natural_sparsity.model.device import select_device

    assert select_device("auto", 1).type == "cpu"
    with pytest.raises(UserError, match="sees no CUDA device; use auto or cpu"):
        select_device("cuda", 1)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:01", "cuda:x", "meta", "mps", "cpu:0"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    torch = pytest.importorskip("torch")
    from natural_sparsity.errors import UserError
    from natural_sparsity.model import device
    from natural_sparsity.model.device import select_device

    prepared = []
    monkeypatch.setattr(device, "prepare_cuda", prepared.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert select_device("cuda:1", 1) == torch.device("cuda", 1)
    assert select_device("cuda", 1) == torch.device("cuda", 0)
    assert prepared == [torch.device("cuda", 1), torch.device("cuda", 0)]
    with pytest.raises(UserError, match=f"^device: '?{name}"):
        select_device(name, 1)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--expect", '{"modle": "lstm"}', "'modle' is none of data, model, seed, epoch, steps, condition, folded"),
        ("--parents", '{"teacher": {"epohc": 3}}', "'epohc' is none of data, model, seed, epoch"),
        ("--parents", '{"teacher": 3}', "not a JSON object"),
    ],
)
def test_an_expectation_that_would_check_nothing_is_refused(tmp_path, option, value, said):
    process = command("train", "--from", tmp_path, "--training", "{}", "--checkpoint", tmp_path / "a", option, value)
    assert process.returncode == 2
    assert said in process.stderr.splitlines()[-1]
