"""Download one corpus file, resuming where it broke off, and accept it only with the expected digest."""

import argparse
import hashlib
import re
import sys
import time
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from natural_sparsity import files
from natural_sparsity.errors import UserError

HEX_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}
ATTEMPTS = 5  # in a row without a byte of progress
FIRST_PAUSE = 1.0  # seconds; doubled at each attempt
TIMEOUT = (20.0, 60.0)  # seconds to connect, seconds between two bytes
BYTES_PER_READ = 1 << 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--url", required=True, help="address, http or https")
    parser.add_argument("--checksum", required=True, metavar="ALGO:HEX", help="sha256, sha1 or md5 of the whole file")
    parser.add_argument("--output", type=Path, required=True, help="out: the file")


def run(args: argparse.Namespace) -> None:
    """Download to ``OUTPUT.part``, check, rename; after an interruption the part stays, and the next run resumes it."""
    parse_checksum(args.checksum)
    if not re.match("https?://", args.url, re.IGNORECASE):
        raise UserError(f"{args.url}: only http and https addresses can be downloaded; give one")
    part = args.output.with_name(args.output.name + ".part")
    try:
        files.make_folder(part.parent)
        fetch(args.url, part)
        verify(part, args.checksum)
        files.rename_durably(part, args.output)
    except DigestError as error:
        part.unlink()
        raise UserError(f"{args.url}: {error}; check the checksum, or run again if the file may be damaged") from error
    except OSError as error:
        raise UserError(f"{args.output}: cannot be written ({error}); check the folder and the disk") from error


class DigestError(UserError):
    """The digest of a file is not the expected one."""


def parse_checksum(checksum: str) -> tuple[str, str]:
    """Split ``ALGO:HEX`` into the algorithm and the lowercase digest; raise :class:`UserError` if it is malformed."""
    algorithm, _, digest = checksum.strip().lower().partition(":")
    if algorithm not in HEX_DIGITS:
        raise UserError(f"checksum {checksum!r}: write ALGO:HEX with ALGO one of {', '.join(HEX_DIGITS)}")
    if not re.fullmatch(f"[0-9a-f]{{{HEX_DIGITS[algorithm]}}}", digest):
        raise UserError(f"checksum {checksum!r}: {algorithm} has {HEX_DIGITS[algorithm]} hexadecimal digits")
    return algorithm, digest


def verify(path: Path, checksum: str) -> None:
    """Raise :class:`DigestError` unless the file has the digest ``checksum`` (``ALGO:HEX``)."""
    algorithm, expected = parse_checksum(checksum)
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, algorithm).hexdigest()
    if actual != expected:
        raise DigestError(f"{algorithm} is {actual}, expected {expected}")


def fetch(url: str, part: Path) -> None:
    """Download ``url`` to ``part``, appending to what it already holds; try again when the connection breaks.

    Raises:
        UserError: the server refuses, or the connection keeps breaking.
    """
    failures = 0
    while True:
        before = measure_size(part)
        try:
            transfer(url, part)
            return
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise UserError(
                f"{url}: redirects to an address that is not http or https ({error}); check the address"
            ) from error
        except requests.exceptions.TooManyRedirects as error:
            raise UserError(f"{url}: {error}; check the address") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failures = 1 if measure_size(part) > before else failures + 1
            if failures == ATTEMPTS:
                raise UserError(f"{url}: {error}; gave up after {ATTEMPTS} attempts, run again to resume") from error
            pause = FIRST_PAUSE * 2 ** (failures - 1)
            print(f"obtain: {error}; trying again in {pause:g} s", file=sys.stderr)
            time.sleep(pause)


def measure_size(path: Path) -> int:
    """Return the size of a file in bytes; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def transfer(url: str, part: Path) -> None:
    """Make one request: append the rest to ``part``, or start it over if the server sends the whole file."""
    have = measure_size(part)
    # Ask for identity, and do not decode below: the digest is that of the file itself, not of an encoded transfer.
    headers = {"Accept-Encoding": "identity", "User-Agent": "natural-sparsity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status_code == 416 and content_range.replace(" ", "") == f"bytes*/{have}":
            return  # The part is already complete.
        resumed = response.status_code == 206 and content_range.startswith(f"bytes {have}-")
        if response.status_code in (206, 416) and not resumed:
            if not have:
                raise UserError(
                    f"{url}: the server answers {response.status_code} to a plain request; try another address"
                )
            part.unlink()  # It is not the beginning of the file that the server has now.
            transfer(url, part)
            return
        if response.status_code == 429 or response.status_code >= 500:
            raise requests.ConnectionError(f"the server answers {response.status_code} {response.reason}")
        if response.status_code not in (200, 206):
            raise UserError(f"{url}: the server answers {response.status_code} {response.reason}; check the address")
        have = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        # Flush every block, however small, since a server may stall before it has sent a full one.
        with part.open("ab" if resumed else "wb") as file, ByteProgress(part.stem, have, total) as progress:
            # urllib3 raises IncompleteRead if fewer bytes come than Content-Length says.
            while block := response.raw.read1(BYTES_PER_READ, decode_content=False):
                file.write(block)
                file.flush()
                progress.advance(len(block))


class ByteProgress:
    """Shows bytes as they come: a bar on a terminal; in a log a line per 5 %, or per 30 s if the total is unknown."""

    def __init__(self, label: str, done: int, total: int | None):
        self.label, self.done, self.total = label, done, total
        self.logged = self.step()
        bar = sys.stderr.isatty()
        self.bar = tqdm(total=total, initial=done, desc=label, unit="B", unit_scale=True) if bar else None

    def step(self) -> int:
        """Return a number that changes when another line is due."""
        return 20 * self.done // self.total if self.total else int(time.monotonic() // 30)

    def advance(self, n_bytes: int) -> None:
        """Count ``n_bytes`` as done, and show it if a line is due."""
        self.done += n_bytes
        if self.bar is not None:
            self.bar.update(n_bytes)
        elif self.step() != self.logged:
            self.logged = self.step()
            share = (
                f"{self.done / self.total:4.0%} of {self.total / 1e6:,.1f}" if self.total else f"{self.done / 1e6:,.1f}"
            )
            print(f"{self.label}: {share} MB", file=sys.stderr)

    def __enter__(self) -> "ByteProgress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
