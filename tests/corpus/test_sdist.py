"""A source distribution comes from pip's index, is checked, and none of its code runs."""

import hashlib
import http.server
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from example_downloads import serving
from natural_sparsity.cli import main
from natural_sparsity.corpus import obtain

pytestmark = pytest.mark.integration  # seconds each: left to make test

JSON = "application/vnd.pypi.simple.v1+json"


class Index(http.server.ThreadingHTTPServer):
    """Serves ``pages``: the status, the type and the content of each path; ``asked`` lists what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def lists(self, *names: str, html: bool = False, index: str = "simple") -> None:
        """List files with these names, below /files; ``html`` in the older form."""
        if html:
            text = "".join(f'<a href="../../files/{name}#sha256=0">{name}</a>\n' for name in names)
            self.pages[f"/{index}/hostile-package/"] = (200, "text/html; charset=utf-8", text.encode())
        else:
            files = [{"filename": name, "url": f"{self.url}/files/{name}", "hashes": {}} for name in names]
            self.pages[f"/{index}/hostile-package/"] = (200, JSON, json.dumps({"files": files}).encode())


class Handler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:  # noqa: N802
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        status, kind, body = self.server.pages.get(self.path, (404, "text/html", b""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(obtain, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Index()
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    with serving(server):
        yield server


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    """A source distribution whose every file that a build runs leaves a marker."""
    marker = f"open({str(tmp_path / 'marker')!r}, 'w').close()\n"
    build = f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n# {marker}'
    members = {"setup.py": marker, "backend.py": marker, "pyproject.toml": build, "data.txt": "text"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"hostile-package-1.0/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    return buffer.getvalue()


@pytest.fixture
def fetch(tmp_path: Path, archive: bytes, index: Index) -> Callable[..., bytes]:
    """Run the command, and return the archive that it leaves."""
    index.pages["/files/hostile_package-1.0.tar.gz"] = (200, "application/gzip", archive)
    output = tmp_path / "out" / "a.tar.gz"

    def run(version: str = "1.0", checksum: str = f"sha256:{hashlib.sha256(archive).hexdigest()}") -> bytes:
        package = f"Hostile.Package=={version}"
        try:
            main(["sdist", "--package", package, "--checksum", checksum, "--output", str(output)])
            return output.read_bytes()
        finally:
            assert not (tmp_path / "marker").exists()
            assert list(output.parent.glob("*")) in ([], [output])
            assert output.exists() == (list(output.parent.glob("*")) == [output])

    return run


@pytest.mark.parametrize("html", [False, True], ids=["PEP 691", "PEP 503"])
def test_the_archive_is_kept_and_nothing_in_it_runs(
    fetch: Callable[..., bytes], index: Index, archive: bytes, html: bool
) -> None:
    index.lists("hostile_package-0.9.tar.gz", "hostile_package-1.0.tar.gz", html=html)
    assert fetch() == archive


def test_another_digest_is_refused_and_nothing_in_it_runs(fetch: Callable[..., bytes], index: Index) -> None:
    index.lists("hostile_package-1.0.tar.gz")
    with pytest.raises(
        SystemExit, match=r"^natural-sparsity sdist: Hostile\.Package==1\.0: .*: sha256 is .*, expected 0"
    ):
        fetch(checksum=f"sha256:{'0' * 64}")


def test_what_the_index_lacks_is_named(fetch: Callable[..., bytes], index: Index) -> None:
    with pytest.raises(SystemExit, match=r"/simple has no source distribution of Hostile\.Package; check the name$"):
        fetch()
    index.lists("hostile_package-0.8.tar.gz", "hostile_package-0.9.tar.gz")
    with pytest.raises(SystemExit, match=r"/simple has no version 1\.0; choose one, such as 0\.8, 0\.9$"):
        fetch()
    index.lists("hostile_package-0.9.tar.gz", "hostile_package-1.0-py3-none-any.whl")
    with pytest.raises(SystemExit, match=r"has wheels of it, but no source distribution .*; use url or path$"):
        fetch()


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ((503, "text/html", b""), "503 Server Error"),
        ((200, JSON, b"[1]"), "its answer does not list files"),
        ((200, JSON, b'{"files": [{"url'), "Unterminated string"),
        ((200, JSON, b"[" * 100_000), "recursion"),
    ],
    ids=["503", "no files", "cut off", "deep"],
)
def test_an_index_that_does_not_answer_is_named(
    fetch: Callable[..., bytes], index: Index, page: tuple[int, str, bytes], reason: str
) -> None:
    index.pages["/simple/hostile-package/"] = page
    with pytest.raises(
        SystemExit, match=rf"/simple: the query failed \(.*{reason}.*\); check the network and pip's index-url$"
    ):
        fetch()


def test_an_index_that_is_not_there_is_named(
    fetch: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, index: Index
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(
        SystemExit, match=r"127\.0\.0\.1:9/simple: the query failed .*refused.*; check the network and pip's index"
    ):
        fetch()
    monkeypatch.setenv("PIP_INDEX_URL", "file:///mirror")
    with pytest.raises(SystemExit, match="pip's index file:///mirror is not http or https; download the archive"):
        fetch()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SystemExit, match="no-index"):
        fetch()


def test_an_answer_that_never_ends_is_refused(
    fetch: Callable[..., bytes], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("natural_sparsity.corpus.sdist.MAX_ANSWER", 1 << 20)
    index.pages["/simple/hostile-package/"] = (200, "text/html", b" " * (1 << 22))
    with pytest.raises(SystemExit, match="its answer is longer than 1 MiB"):
        fetch()


def test_the_settings_of_pip_are_followed(
    fetch: Callable[..., bytes], index: Index, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = index.url.replace("://", "://user:secret@")
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {address}/simple\n[download]\nextra-index-url = {index.url}/second\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.delenv("PIP_INDEX_URL")
    with pytest.raises(SystemExit) as refusal:
        fetch()
    assert "secret" not in str(refusal.value)
    assert index.asked == [("/simple/hostile-package/", "Basic dXNlcjpzZWNyZXQ="), ("/second/hostile-package/", None)]
    index.lists("hostile_package-1.0.tar.gz", index="second")
    assert fetch() == archive
