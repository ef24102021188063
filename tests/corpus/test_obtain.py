import argparse
import gzip
import hashlib
import http.server
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from example_downloads import serving
from natural_sparsity.cli import main
from natural_sparsity.corpus import obtain
from natural_sparsity.errors import UserError

pytestmark = pytest.mark.integration  # seconds each: left to make test

DATA = random.Random(1).randbytes(1_000_000)
SHA256 = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves DATA as ``mode`` says; ``sent`` lists (Range header, bytes of body sent) of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mode = "ranges"
        self.cuts = 0
        self.cut_at: list[int] = []  # places in the file, one per request, until none are left
        self.sent: list[tuple[str | None, int]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/corpus.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802
        mode, asked = self.server.mode, self.headers.get("Range")
        if mode in ("404", "503"):
            return self.answer(int(mode), b"")
        if mode == "to file":
            return self.answer(302, b"", Location="file:///etc/passwd")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and mode != "no ranges" else 0
        if mode == "stalls":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA[:1000])
            self.wfile.flush()
            time.sleep(5)
            return None
        if mode == "too long":
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA) + 10))
            self.end_headers()
            self.wfile.write(DATA)
            return None
        if mode == "no length":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA[: len(DATA) // 2])
            return None
        if mode == "compressed":
            return self.answer(200, gzip.compress(DATA), **{"Content-Encoding": "gzip"})
        if mode == "round in circles":
            return self.answer(302, b"", Location=self.server.url)
        if start >= len(DATA):
            return self.answer(416, b"", **{"Content-Range": f"bytes */{len(DATA)}"})
        if start == 0:
            return self.answer(200, DATA)
        if mode == "wrong range":
            return self.answer(206, DATA, **{"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"})
        span = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        return self.answer(206, DATA[start:], **{"Content-Range": span})

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.cuts and body:
            self.server.cuts -= 1
            body = body[: len(body) // 2]
        if self.server.cut_at and body:
            body = body[: max(0, self.server.cut_at.pop(0) - (len(DATA) - len(body)))]
        self.server.sent.append((self.headers.get("Range"), len(body)))  # before the client can go on
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(obtain, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    with serving(server):
        yield server


def download(url: str, output: Path, checksum: str = SHA256) -> None:
    obtain.run(argparse.Namespace(url=url, checksum=checksum, output=output))


def test_downloads_through_the_command_line(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    output = tmp_path / "new folder" / "corpus.bin"
    main(
        [
            "obtain",
            "--url",
            server.url,
            "--checksum",
            SHA256.upper().replace("SHA256", "sha256"),
            "--output",
            f"{output}",
        ]
    )
    assert output.read_bytes() == DATA
    assert [path.name for path in output.parent.iterdir()] == ["corpus.bin"]
    assert "100% of 1.0 MB" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["", "/", "/a/..", "/?file=a.txt", "/{data}.txt?x={y}#part", "/caf%C3%A9 b.txt"])
def test_addresses_with_odd_names_or_none(server: Server, tmp_path: Path, end: str) -> None:
    download(f"http://127.0.0.1:{server.server_port}{end}", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize("algorithm", ["sha1", "md5"])
def test_other_digests(server: Server, tmp_path: Path, algorithm: str) -> None:
    download(server.url, tmp_path / "x", f"{algorithm}:{hashlib.new(algorithm, DATA).hexdigest()}")
    assert (tmp_path / "x").read_bytes() == DATA


def test_resumes_a_part_and_transfers_only_the_rest(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(DATA[:700_000])
    download(server.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert server.sent == [("bytes=700000-", 300_000)]


@pytest.mark.parametrize("mode", ["no ranges", "wrong range"])
def test_starts_over_if_the_range_is_not_honoured(server: Server, tmp_path: Path, mode: str) -> None:
    server.mode = mode
    (tmp_path / "x.part").write_bytes(DATA[:700_000])
    download(server.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_whole_part_is_not_transferred_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(DATA)
    download(server.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert sum(n_bytes for _, n_bytes in server.sent) == 0


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(DATA + b"more")
    download(server.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.cuts = 3
    download(server.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert [n_bytes for _, n_bytes in server.sent] == [500_000, 250_000, 125_000, 125_000]


@given(cuts=st.lists(st.integers(0, len(DATA)), max_size=5))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_connection_cut_anywhere_is_resumed_there(server: Server, tmp_path: Path, cuts: list[int]) -> None:
    """Each byte crosses the network once, wherever the connection breaks, within a call or between calls."""
    server.cut_at, server.sent = sorted(cuts), []
    (tmp_path / "x").unlink(missing_ok=True)
    for _ in range(len(cuts) + 1):
        try:
            download(server.url, tmp_path / "x")
            break
        except UserError:
            assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_bytes() == DATA
    assert sum(n_bytes for _, n_bytes in server.sent) == len(DATA)
    assert not (tmp_path / "x.part").exists()


def test_a_killed_download_is_resumed(server: Server, tmp_path: Path) -> None:
    """After kill -9, the part is kept, no file has the final name, and the next call fetches the rest."""
    server.mode = "stalls"
    words = ["obtain", "--url", server.url, "--checksum", SHA256, "--output", str(tmp_path / "x")]
    process = subprocess.Popen([sys.executable, "-m", "natural_sparsity", *words])
    while not (tmp_path / "x.part").exists() or not (tmp_path / "x.part").stat().st_size:
        assert process.poll() is None
        time.sleep(0.01)
    assert process.poll() is None  # the server has not sent the rest
    process.kill()
    process.wait()
    assert not (tmp_path / "x").exists()
    server.mode = "ranges"
    had = (tmp_path / "x.part").stat().st_size
    download(server.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert server.sent[-1] == (f"bytes={had}-", len(DATA) - had)


def test_a_stalling_server_is_given_up_and_the_part_stays(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.mode = "stalls"
    monkeypatch.setattr(obtain, "TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(obtain, "ATTEMPTS", 2)
    with pytest.raises(UserError, match=r"timed out.*gave up after 2 attempts, run again to resume"):
        download(server.url, tmp_path / "x")
    assert (tmp_path / "x.part").read_bytes() == DATA[:1000]
    server.mode = "ranges"
    download(server.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_wrong_content_length(server: Server, tmp_path: Path) -> None:
    """If the server announces too many bytes, they never come; the next call finds the part complete."""
    server.mode = "too long"
    with pytest.raises(UserError, match="gave up after 5"):
        download(server.url, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    server.mode = "ranges"
    download(server.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_cut_without_content_length(server: Server, tmp_path: Path) -> None:
    """Without Content-Length, the end of the connection looks like the end of the file; the digest decides."""
    server.mode = "no length"
    with pytest.raises(UserError, match="expected .*; check the checksum, or run again"):
        download(server.url, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_compresses_against_the_request(server: Server, tmp_path: Path) -> None:
    server.mode = "compressed"
    with pytest.raises(UserError, match="sha256 is .*, expected"):
        download(server.url, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_itself(server: Server, tmp_path: Path) -> None:
    server.mode = "round in circles"
    with pytest.raises(UserError, match="redirects"):
        download(server.url, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", [b"", DATA[:10], b"other"])
def test_a_wrong_digest_leaves_nothing(server: Server, tmp_path: Path, part: bytes) -> None:
    if part:
        (tmp_path / "x.part").write_bytes(part)
    expected = "0" * 64 if part != b"other" else SHA256[7:]
    actual = hashlib.sha256(DATA if part != b"other" else b"other" + DATA[5:]).hexdigest()
    with pytest.raises(UserError) as error:
        download(server.url, tmp_path / "x", f"sha256:{expected}")
    assert all(word in str(error.value) for word in (server.url, expected, actual))
    assert list(tmp_path.iterdir()) == []


def test_not_found_is_one_line(server: Server, tmp_path: Path) -> None:
    server.mode = "404"
    with pytest.raises(SystemExit, match=r"corpus\.bin: the server answers 404 Not Found") as exit_:
        main(["obtain", "--url", server.url, "--checksum", SHA256, "--output", str(tmp_path / "x")])
    assert "\n" not in str(exit_.value)
    assert len(server.sent) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_failing_server_is_asked_again_then_given_up(server: Server, tmp_path: Path) -> None:
    server.mode = "503"
    with pytest.raises(UserError, match="503.*gave up after 5"):
        download(server.url, tmp_path / "x")
    assert len(server.sent) == 5


def test_only_http_even_after_a_redirect(server: Server, tmp_path: Path) -> None:
    server.mode = "to file"
    with pytest.raises(UserError, match="not http or https"):
        download(server.url, tmp_path / "x")
    for url in ("file:///etc/passwd", "ftp://localhost/x", "corpus.bin"):
        with pytest.raises(UserError, match="only http and https"):
            download(url, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("checksum", ["", SHA256[7:], "crc32:00000000", "sha256:" + "g" * 64, "sha1:" + "0" * 64])
def test_a_malformed_checksum_is_refused_before_the_download(server: Server, tmp_path: Path, checksum: str) -> None:
    with pytest.raises(UserError, match="checksum"):
        download(server.url, tmp_path / "x", checksum)
    assert server.sent == []
