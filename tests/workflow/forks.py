"""The jobs of an experiment as forks of one process that has imported everything: cheap to run, and to kill anywhere.

A job's command takes seconds to start and moments to work, so that a kill at a random moment hits an import. A fork
starts with the work, and can die at its n-th operation on a file or after a time.
"""

import importlib
import itertools
import json
import multiprocessing
import os
import re
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

# Functions whose beginnings and ends are counted as operations on files.
OPERATIONS = {"chmod", "close", "flock", "flush", "fsync", "ftruncate", "link", "mkdir", "open", "posix_fallocate"}
OPERATIONS |= {"remove", "rename", "replace", "rmdir", "save_file", "savefig", "serialize_file", "truncate", "unlink"}
OPERATIONS |= {"write", "write_table"}


@dataclass
class Job:
    """A job of the workflow: the rule's name, and the words after ``natural-sparsity``."""

    rule: str
    words: list[str]


@dataclass
class End:
    """How a job ended: its exit status, negative for a signal, what it said, and what it took unless it was killed."""

    status: int
    said: str
    seconds: float = 0.0
    operations: int = 0


def read_jobs(dry_run: str) -> list[Job]:
    """Read the jobs that ``snakemake --dry-run --verbose --printshellcmds`` prints, each after those that it needs."""
    found = []
    for rule, command in re.findall(r"^(?:local)?rule (\w+):$.*?^Shell command: (.*?)$", dry_run, re.M | re.S):
        if command == "None":  # a target
            continue
        name, *words = shlex.split(command)
        assert name == "natural-sparsity", command
        # What follows is where the log goes.
        found.append(Job(rule, list(itertools.takewhile(lambda word: not word.startswith("2>"), words))))
    return found


class Host:
    """A process that forks for each job; in it, the functions of ``os`` named in ``without`` do nothing."""

    def __init__(self, without: tuple[str, ...] = ()):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, without), daemon=True)
        self.process.start()
        other.close()

    def run(self, job: Job, folder: Path, at_operation: int = 0, after: float = 0.0) -> End:
        """Run a job in ``folder``; it dies at an operation, counted from one, or after so many seconds."""
        self.connection.send((job.words, folder, at_operation, after))
        return End(*self.connection.recv())

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()


def import_everything() -> None:
    """Import what any command would import, and what it would only when it needs it."""
    import spacy

    from natural_sparsity import registry
    from natural_sparsity.cli import COMMANDS, limit_threads
    from natural_sparsity.config.spacy_models import find_model, find_pipeline

    limit_threads()
    os.environ["NATURAL_SPARSITY_ROOT"] = str(Path(__file__).parents[2])
    modules = [module for module, _ in COMMANDS.values()]
    for entries in (registry.FIGURES, registry.TABLES, registry.FORMATS, registry.MEASURES):
        modules += [entry.split(":")[0] for entry in entries.values()]
    for module in modules:
        registry.load(module)
    for module in ("torch._dynamo", "fontTools.subset", "pyarrow.dataset", "pyarrow.pandas_compat", "plotly"):
        importlib.import_module(module)
    spacy.load(find_pipeline(find_model("en_core_web_sm")))


def serve(connection: Connection, without: tuple[str, ...]) -> None:
    """Fork for each request that comes."""
    import_everything()
    for name in without:
        setattr(os, name, lambda *arguments: None)
    while True:
        try:
            words, folder, at_operation, after = connection.recv()
        except EOFError:
            return
        said, account = Pipe(), Pipe()
        child = os.fork()
        if not child:
            os.chdir(folder)
            os.dup2(said.write, 2)
            become(words, account.write, at_operation, after)
        texts = said.read(), account.read()
        _, status = os.waitpid(child, 0)
        connection.send((os.waitstatus_to_exitcode(status), texts[0], *json.loads(texts[1] or "[]")))


class Pipe:
    """A pipe from a child, read to its end."""

    def __init__(self) -> None:
        self.end, self.write = os.pipe()

    def read(self) -> str:
        os.close(self.write)
        with os.fdopen(self.end, encoding="utf-8", errors="replace") as file:
            return file.read()


def become(words: list[str], account: int, at_operation: int, after: float) -> None:
    """Run a command in this process, as ``natural-sparsity`` would; does not return."""
    from natural_sparsity.cli import main

    operations, start = 0, time.perf_counter()

    def count(frame: FrameType, event: str, function: Any) -> None:
        nonlocal operations
        if (function.__name__ if event.startswith("c_") else frame.f_code.co_name) in OPERATIONS:
            operations += 1
            if operations == at_operation:
                os.kill(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process as SIGKILL does
    signal.setitimer(signal.ITIMER_REAL, after)
    sys.setprofile(count)
    status = find_status(main, words)
    sys.setprofile(None)
    sys.stderr.flush()
    os.write(account, json.dumps([time.perf_counter() - start, operations]).encode())
    os._exit(status)


def find_status(main: Callable[..., Any], *arguments: Any) -> int:
    """The exit status of a command's ``main``, which may say on stderr why it is not 0, as the interpreter would."""
    try:
        main(*arguments)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
