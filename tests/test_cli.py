"""The command line: one line for a mistake, and no waiting for what a command does not need."""

import subprocess
import sys

import pytest

from natural_sparsity.cli import COMMANDS


def command(*arguments):
    return subprocess.run([sys.executable, "-m", "natural_sparsity", *arguments], capture_output=True, text=True)


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


def test_text_passes_wait_neither_for_torch_nor_for_spacy():
    for module in ("index", "filter", "split", "vocabulary", "encode", "documents", "sentences"):
        code = f"import sys, natural_sparsity.corpus.{module}; print({{'torch', 'spacy'}} & set(sys.modules))"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n", module


def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    from natural_sparsity.errors import UserError
    from natural_sparsity.model.device import select_device

    assert select_device("auto", 1).type == "cpu"
    with pytest.raises(UserError, match="sees no CUDA device; use auto or cpu"):
        select_device("cuda", 1)
