"""No text, however hostile, takes more than time in proportion to its length."""

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from natural_sparsity.config.base import EXPONENT
from natural_sparsity.config.data.local import read_mode
from natural_sparsity.corpus import labelled
from natural_sparsity.corpus.markup import plain_text
from natural_sparsity.corpus.readers.base import find_first_line, name_wiki
from natural_sparsity.corpus.readers.mediawiki import is_redirect
from natural_sparsity.corpus.readers.read import read_documents
from natural_sparsity.corpus.sentences import normalise
from natural_sparsity.corpus.streams import BYTES_OF_HEAD
from natural_sparsity.corpus.tokenizer import cut
from natural_sparsity.errors import UserError

pytestmark = pytest.mark.slow

SHORT, LONG = 50_000, 200_000  # characters
FAST = 0.1  # seconds for LONG, below which a clock tells nothing
STEEPEST = 8  # times that LONG may take of what SHORT does: 4 in proportion, 16 as the square

# What each string begins with, what it repeats, and what it ends with.
STRINGS = [
    *[("", unit, end) for unit in (" ", "\n", " \n", "= ", "a", "a ", "'", "[[") for end in ("", "x")],
    *[("", unit, end) for unit in ("{{", "&#", "(", " ,", ":", "\\") for end in ("", "x")],
    *[("", unit, "") for unit in ("<!--", "<ref>", "<ref ", "{|\n", "[http://a ", "''a", "|", "é", "a\u0301")],
    *[("", unit, "") for unit in ("<unk>", "__a", "[[a|", "@-@")],
    *[("", unit, "x") for unit in ("1", "1.", "a'", "http://", "/", "{a,", "a.b/", "a-", "...", "😀")],
    *[('<doc id="1', unit, end) for unit in (' url="', ' title="', ' title="">', '"', " ") for end in ("", '">')],
    *[("#", unit, "x") for unit in ("a_", "redirect ", "a ", " ")],
    *[("#a [[b]]", unit, "") for unit in ("<!--", "__a", "[[")],
    *[("# redirect", " ", ""), ("#a [[", "]]", ""), ("[", "[", "")],
    *[("= ", unit, "") for unit in ("= ", "a = ", " ")],
    *[("a", "\u0301\u0327", ""), ("{", '"a":', ""), ('{"text": "', "\\ud800", '"}')],
]  # fmt: skip


def grow(string: tuple[str, str, str], length: int) -> str:
    """A hostile string of this length."""
    start, unit, end = string
    return start + unit * (length // len(unit)) + end


def read(format: str) -> Callable[[str, Path], object]:
    """What reads a text in a format."""

    def run(text: str, folder: Path) -> None:
        (folder / "text").write_text(text, encoding="utf-8")
        list(read_documents(folder / "text", format))

    return run


STEPS: dict[str, Callable[[str, Path], object]] = {
    **{format: read(format) for format in ("auto", "wikiextractor", "wikitext", "lines", "text", "json")},
    "markup": lambda text, _: plain_text(text),
    "redirect": lambda text, _: is_redirect(text),
    "Unicode": lambda text, _: normalise(text, "nfc"),
    "chunks": lambda text, _: [cut(chunk) for chunk in text.split()],  # which bounds what spaCy gets at a time
    "labelled": lambda text, _: labelled.WORD.findall(text),
    "address": lambda text, _: name_wiki(f"http://{text}"),
    "first line": lambda text, _: find_first_line(text.encode()[:BYTES_OF_HEAD]),
    "number": lambda text, _: EXPONENT.fullmatch(text),
    "path": lambda text, _: read_mode(text),
}


@pytest.mark.parametrize("step", STEPS)
def test_time_grows_with_length(step: str, tmp_path: Path) -> None:
    steep = {string: times for string in STRINGS if (times := measure(step, string, tmp_path))}
    assert not steep


def measure(name: str, string: tuple[str, str, str], folder: Path) -> tuple[float, ...]:
    """The seconds for SHORT and LONG if they grow too steeply, twice in a row; else nothing."""
    step = STEPS[name]
    for _ in range(2):
        long = take_time(step, grow(string, LONG), folder)
        if long < FAST or long < STEEPEST * (short := take_time(step, grow(string, SHORT), folder)):
            return ()
    return short, long


def take_time(step: Callable[[str, Path], object], text: str, folder: Path) -> float:
    """The processor's seconds for a text, which may be refused."""
    gc.disable()  # it walks over the objects of all tests before
    start = time.process_time()
    try:
        step(text, folder)
    except UserError as error:
        assert "\n" not in str(error)
    finally:
        gc.enable()
    return time.process_time() - start
