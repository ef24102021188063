"""Download one corpus file: resumed where it broke off, and trusted only if it has the digest that was asked for."""

import argparse
import hashlib
import re
import sys
import time
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from natural_sparsity.errors import UserError

HEX_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}
ATTEMPTS = 5  # in a row without a byte of progress
FIRST_PAUSE = 1.0  # seconds; doubled at each attempt
TIMEOUT = (20.0, 60.0)  # seconds to connect, seconds between two bytes
BYTES_A_READ = 1 << 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--url", required=True, help="http or https")
    parser.add_argument("--checksum", required=True, metavar="ALGO:HEX", help="sha256, sha1 or md5 of the whole file")
    parser.add_argument("--output", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    """Download to ``OUTPUT.part``, check, rename. The part stays after an interruption; the next run resumes it."""
    parse_checksum(args.checksum)
    if not re.match("https?://", args.url, re.IGNORECASE):
        raise UserError(f"{args.url}: only http and https can be downloaded")
    part = args.output.with_name(args.output.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        fetch(args.url, part)
        verify(part, args.checksum)
        part.replace(args.output)
    except DigestError as error:
        part.unlink()
        raise UserError(f"{args.url}: {error}; check the checksum, or run again if the file may be damaged") from error
    except OSError as error:
        raise UserError(f"{args.output}: cannot be written ({error})") from error


class DigestError(UserError):
    """A file's digest is not the expected one."""


def parse_checksum(checksum: str) -> tuple[str, str]:
    """Split ``ALGO:HEX`` into the algorithm and the lowercase digest; raises :class:`UserError` if it is no such."""
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
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise DigestError(f"{algorithm} is {found}, expected {expected}")


def fetch(url: str, part: Path) -> None:
    """Make ``part`` the whole of ``url``, appending to what it already holds; try again when the connection breaks.

    Raises:
        UserError: the server refuses, or the connection keeps breaking.
    """
    failures = 0
    while True:
        before = _size(part)
        try:
            _transfer(url, part)
            return
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise UserError(f"{url}: leads to an address that is not http or https ({error})") from error
        except requests.exceptions.TooManyRedirects as error:
            raise UserError(f"{url}: {error}") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures == ATTEMPTS:
                raise UserError(f"{url}: {error}; gave up after {ATTEMPTS} attempts, run again to resume") from error
            pause = FIRST_PAUSE * 2 ** (failures - 1)
            print(f"obtain: {error}; trying again in {pause:g} s", file=sys.stderr)
            time.sleep(pause)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path) -> None:
    """One request: append the rest to ``part``, or write it from the start if the server sends the whole file."""
    have = _size(part)
    # Identity, and no decoding below: the digest is that of the file, not of what a transfer encoding makes of it.
    headers = {"Accept-Encoding": "identity", "User-Agent": "natural-sparsity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status_code == 416 and content_range.replace(" ", "") == f"bytes*/{have}":
            return  # The part is whole.
        resumed = response.status_code == 206 and content_range.startswith(f"bytes {have}-")
        if response.status_code in (206, 416) and not resumed:
            if not have:
                raise UserError(f"{url}: the server answers {response.status_code} to a request for the whole file")
            part.unlink()  # It is no beginning of what the server has now.
            _transfer(url, part)
            return
        if response.status_code == 429 or response.status_code >= 500:
            raise requests.ConnectionError(f"the server answers {response.status_code} {response.reason}")
        if response.status_code not in (200, 206):
            raise UserError(f"{url}: the server answers {response.status_code} {response.reason}; check the address")
        have = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        # What has come is on the disk at once, however little it is: a server may stall before there is a full block.
        with part.open("ab" if resumed else "wb") as file, _Progress(part.stem, have, total) as progress:
            # urllib3 raises IncompleteRead if fewer bytes come than Content-Length says.
            while block := response.raw.read1(BYTES_A_READ, decode_content=False):
                file.write(block)
                file.flush()
                progress.advance(len(block))


class _Progress:
    """Bytes: a bar on a terminal; in a log a line every 5 %, or every 30 s if the total is not known."""

    def __init__(self, label: str, done: int, total: int | None):
        self.label, self.done, self.total = label, done, total
        self.logged, self.last = self._step(), time.monotonic()
        bar = sys.stderr.isatty()
        self.bar = tqdm(total=total, initial=done, desc=label, unit="B", unit_scale=True) if bar else None

    def _step(self) -> int:
        return 20 * self.done // self.total if self.total else int(time.monotonic() // 30)

    def advance(self, n_bytes: int) -> None:
        self.done += n_bytes
        if self.bar is not None:
            self.bar.update(n_bytes)
        elif self._step() != self.logged:
            self.logged = self._step()
            share = (
                f"{self.done / self.total:4.0%} of {self.total / 1e6:,.1f}" if self.total else f"{self.done / 1e6:,.1f}"
            )
            print(f"{self.label}: {share} MB", file=sys.stderr)

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
