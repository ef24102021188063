"""Check the local files that data come from before any job starts, so that no job fails to read one."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from natural_sparsity.errors import UserError

# Where the workflow writes, in the folder that Snakemake runs in.
RESULTS = Path("results")
# Paths that name a different file, or none, in each job.
STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/", "/proc/thread-self/")

# Snakemake looks for {wildcards} and <path variables> in the paths of inputs, and there is no way to escape them.
PLACEHOLDER = re.compile(r"\{\s*[.\w]+\s*(,.*)?\}|<[a-z][a-z0-9_]*>")


def check_file(path: str) -> None:
    """Check that a path is a file that every job can read.

    Raises:
        UserError: it is not.
    """
    mode = read_mode(path)
    if stat.S_ISDIR(mode):
        raise UserError(f"{path} is a folder, not a file; name a file")
    if not stat.S_ISREG(mode) or path.startswith(STREAMS):
        raise UserError(f"{path} is a pipe or a device, but a run reads its source more than once; save it to a file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} cannot be read; make it readable: chmod u+r")


def check_text(path: str) -> None:
    """Check that a path is a file that every job can read, or a folder of such files.

    Raises:
        UserError: it is not, or the folder has no files, or has the results in it.
    """
    if not stat.S_ISDIR(read_mode(path)):
        check_file(path)
        return
    if RESULTS.resolve().is_relative_to(Path(path).resolve()):
        raise UserError(f"{path} contains the results of the workflow; move the text into a folder of its own")
    files = list_files(path)
    for file in files:
        check_file(file)
    if not files:
        raise UserError(f"{path} is a folder without files; name the folder that holds the text")


def read_mode(path: str) -> int:
    """Return the mode of what is at a path, which tells a file from a folder.

    Raises:
        UserError: there is nothing, or its name cannot be printed.
    """
    if not path.isprintable():
        raise UserError(f"{path!r}: the name is not UTF-8 or has characters that cannot be printed; rename it")
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError as error:
        raise UserError(explain_missing(path)) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a link that leads back to itself; remove it") from error
        raise UserError(f"{path} cannot be reached ({error.strerror}); check the path") from error
    if found := PLACEHOLDER.search(path):
        raise UserError(f"{path} has {found[0]} in its name, which Snakemake takes for a placeholder; rename it")
    return mode


def explain_missing(path: str) -> str:
    """Say why there is nothing at a path."""
    if Path(path).is_symlink():
        return f"{path} is a broken link; fix or remove it"
    if path.startswith(("http:/", "https:/")):
        return f"{path} is an address, not a path; write it as url, with its checksum"
    if path.startswith(("~", "$")):
        return f"{path} does not exist, since {path[0]} is not expanded here; write the path in full"
    return f"{path} does not exist; check the path"


def list_files(path: str) -> list[str]:
    """List the files of a text: the path itself, or all but the hidden files in a folder and its subfolders, sorted.

    Raises:
        UserError: a folder cannot be read, or a link leads to a folder that it is in.
    """
    if not Path(path).is_dir():
        return [path]
    return sorted(walk(path, {os.path.realpath(path)}), key=Path)


def walk(folder: str, above: set[str]) -> Iterator[str]:
    """Yield the files in a folder and its subfolders, broken links among them; follow links to folders."""
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); make it readable: chmod u+rx") from error
    for entry in entries:
        if not is_folder(entry):
            yield entry.path
            continue
        target = os.path.realpath(entry.path)
        if target in above:
            raise UserError(f"{entry.path} is a link to a folder that contains it; remove it")
        yield from walk(entry.path, above | {target})


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Tell whether an entry is a folder or a link to one; a link that leads nowhere is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False
