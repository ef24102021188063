"""``snakemake`` and ``natural-sparsity`` that start at once: forks of one process that has imported everything.

Most of what a tiny job takes is the import of its libraries, and tests run thousands. A client stands for each command
on the ``PATH``: it hands its arguments, environment, folder and files to the server, which forks; the fork runs the
command's own ``main`` to the interpreter's end. ``NATURAL_SPARSITY_TEST_COMMANDS=real`` does without.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

COMMANDS = {"snakemake": "snakemake.cli", "natural-sparsity": "natural_sparsity.cli"}
# Needs no package: it starts in hundredths of a second. After the request, each byte is the number of a signal.
CLIENT = """#!{python} -IS
import json, os, signal, socket, struct, sys

if any(word.startswith("/dev/fd/") for word in sys.argv):  # what the shell opened for it alone
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
connection = socket.socket(socket.AF_UNIX)
connection.connect({socket!r})
request = json.dumps([{name!r}, sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(connection, [struct.pack("!q", len(request))], [0, 1, 2])
connection.sendall(request)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: connection.send(bytes([number])))
status = int(connection.recv(16) or -signal.SIGKILL)
if status < 0:
    if status != -signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@functools.cache
def start_server(*prefix: str) -> Path | None:
    """Start the server, once per test process, and return the folder of its clients; None where that cannot be.

    ``prefix``: a command that starts another server, whose commands have what it gives, such as one processor.
    """
    if not hasattr(os, "pidfd_open") or os.getenv("NATURAL_SPARSITY_TEST_COMMANDS") == "real":
        return None
    folder = Path(tempfile.mkdtemp(prefix="commands"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in COMMANDS:
        real = str(Path(sys.executable).with_name(name))
        given = {"python": sys.executable, "socket": str(folder / "socket"), "name": name, "real": real}
        write_script(folder / name, CLIENT.format(**given))
    write_script(folder / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    server = subprocess.Popen(
        [*prefix, sys.executable, __file__, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert server.stdout and server.stdout.readline() == b"ready\n"
    return folder


def write_script(path: Path, text: str) -> None:
    """Write an executable."""
    path.write_text(text)
    path.chmod(0o755)


def receive(connection: socket.socket) -> tuple[list[Any] | None, list[int]]:
    """A client's request, None if it was killed before it had made one; and its standard files."""
    head, files, _, _ = socket.recv_fds(connection, 8, 3)
    size, request = int.from_bytes(head), b""
    while len(request) < size and (part := connection.recv(size - len(request))):
        request += part
    return json.loads(request) if size and len(request) == size else None, files


def serve(folder: Path) -> tuple[str, list[str]]:
    """Fork for each client, and return in the fork: the command, its arguments. Ends when its standard input does."""
    selector, listener = selectors.DefaultSelector(), socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    for file in (listener, sys.stdin):
        selector.register(file, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                os._exit(0)
            elif key.fileobj is listener:
                connection, _ = listener.accept()
                request, standard = receive(connection)
                child = os.fork() if request else None
                if request and not child:
                    return become(*request, standard)
                for file in standard:
                    os.close(file)
                if child is None:
                    connection.close()
                    continue
                for watched in (connection, ended := os.pidfd_open(child)):
                    selector.register(watched, selectors.EVENT_READ, (child, connection, ended))
                continue
            child, connection, ended = key.data
            if connection.fileno() < 0:  # its command's end came in the same round
                continue
            if key.fileobj is connection:
                # A client that is gone, however it ended, takes its command along.
                for number in connection.recv(16) or [signal.SIGKILL]:
                    os.kill(child, number)
            else:
                _, status = os.waitpid(child, 0)
                with contextlib.suppress(OSError):
                    connection.send(str(os.waitstatus_to_exitcode(status)).encode())
                for watched in (connection, ended):
                    selector.unregister(watched)
                connection.close()
                os.close(ended)


def become(
    command: str, words: list[str], environment: dict[str, str], folder: str, standard: list[int]
) -> tuple[str, list[str]]:
    """Take over from the client: its files, environment and folder."""
    for number, file in enumerate(standard):
        os.dup2(file, number)
    os.closerange(3, 1024)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return command, words


def remember_what_each_snakemake_reads() -> None:
    """The package's code and Snakemake's plugins, half of the time of a dry run; both are cached by what they are."""
    from snakemake.cli import get_argument_parser

    from natural_sparsity import provenance

    get_argument_parser()
    for path in Path(provenance.__file__).parent.rglob("*.py"):
        provenance.parse_module(path.read_text(encoding="utf-8"))


def run(folder: Path) -> None:
    """Import everything, serve, and in each fork run its command."""
    from forks import find_status, import_everything

    import_everything()
    for module in COMMANDS.values():
        importlib.import_module(module)
    remember_what_each_snakemake_reads()
    gc.freeze()
    command, words = serve(folder)
    # Beside it, jobs look for the package's command.
    sys.executable, sys.argv = str(folder / "python"), [str(folder / command), *words]
    status = find_status(sys.modules[COMMANDS[command]].main)
    # All that the interpreter does at its end but to take down what was imported, which takes seconds.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
