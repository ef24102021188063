import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import gensim
import pytest
import zstandard

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}


@pytest.fixture(scope="session")
def dump() -> Path:
    """206 pages of the English Wikipedia of 2016, which gensim ships for its own tests."""
    name = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
    return Path(gensim.__file__).parent / "test" / "test_data" / name


@pytest.fixture(params=COMPRESS)
def compressed(request: pytest.FixtureRequest) -> Callable[[Path, bytes], Path]:
    """Writes bytes, compressed, to ``path`` with the compression's suffix; returns that path."""

    def write(path: Path, data: bytes) -> Path:
        path = path.with_name(path.name + request.param)
        path.write_bytes(COMPRESS[request.param](data))
        return path

    return write
