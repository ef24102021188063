"""Any string is accepted, in linear time; however markup is nested, its words come out and what is dropped is counted.

``NATURAL_SPARSITY_FUZZ_EXAMPLES`` sets the number of examples per test.
"""

import os
import re
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natural_sparsity.corpus.markup import BROKEN_PAGES, plain_text

fuzz = settings(max_examples=int(os.getenv("NATURAL_SPARSITY_FUZZ_EXAMPLES", "150")))
# fmt: off
PARTS = [
    "{{", "}}", "[[", "]]", "{|", "|}", "\n{|", "\n|}", "|", "''", "'''", "'''''", "==", "\n", "*", ":", ";", "#", " ",
    "a", "s", "1", "<", ">", "</", "/>", "<ref", "<ref>", "</ref>", "<!--", "-->", "<nowiki>", "</nowiki>", "<div>",
    "<table>", "</table>", "http://", "[http://x ", "[", "]", "{", "}", "=", "&#", "&#0;", "&#xD83D;", "&#xDE00;",
    "&amp;", "\ud83d", "\ude00", "\x01", "\x7f", "\0", "\r", "\u2028", "File:", "fr:", "convert|", "lang|fr|",
    "frac|1|2", "{{!}}", "__TOC__", "(", ")", ",", ".", "-", "!", "é",
]
# fmt: on


def assert_clean(text: str) -> None:
    lines = text.split("\n")
    assert all(line == line.strip() for line in lines)
    assert lines == [""] or all(re.search(r"\w", line) for line in lines)
    assert not re.search(r"[\x01-\x08\x0e-\x1b\x7f\r\ud800-\udfff]", text)
    text.encode()


@fuzz
@given(st.lists(st.sampled_from(PARTS), max_size=60))
def test_any_markup_is_accepted(parts: list[str]) -> None:
    dropped = Counter[str]()
    text = plain_text("".join(parts), dropped)
    assert_clean(text)
    assert "[[" not in text
    assert BROKEN_PAGES not in dropped and all(n > 0 for n in dropped.values())


@fuzz
@given(st.text(max_size=200))
def test_any_text_is_accepted(wikitext: str) -> None:
    dropped = Counter[str]()
    assert_clean(plain_text(wikitext, dropped))
    assert BROKEN_PAGES not in dropped


WORDS = st.text("abcdefgéß", min_size=2, max_size=8)


@fuzz
@given(st.lists(st.lists(WORDS, min_size=1, max_size=9), min_size=1, max_size=5))
def test_plain_prose_stays_as_it_is(paragraphs: list[list[str]]) -> None:
    lines = [" ".join(words) + "." for words in paragraphs]
    assert plain_text("\n\n".join(lines)) == "\n".join(lines)


# A piece of a line: its markup, what it shows, what it drops.
Piece = tuple[str, str, Counter[str]]


def join(pieces: list[Piece]) -> Piece:
    sources, texts, drops = zip(*pieces, strict=True)
    return " ".join(sources), " ".join(filter(None, texts)), sum(drops, Counter())


@st.composite
def wrap(draw: st.DrawFn, bounds: list[tuple[str, str, str]], inside: st.SearchStrategy[Piece]) -> Piece:
    """Markup around a piece, which shows it, or drops it with all that is in it."""
    source, text, drops = draw(inside)
    before, after, dropped = draw(st.sampled_from(bounds))
    return f"{before}{source}{after}", "" if dropped else text, Counter([dropped]) if dropped else drops


SHOWN = [("[[x|", "]]", ""), ("[[:File:x|", "]]", ""), ("[[wikt:x|", "]]", ""), ("{{nowrap|", "}}", "")]
SHOWN += [("{{lang|fr|", "}}", ""), ("<small>", "</small>", ""), ("[[x|<span title='x'>", "</span>]]", "")]
DROPPED = [("{{cite|x=", "}}", "templates"), ("{{infobox\n|x=", "\n|y\n}}", "templates")]
DROPPED += [("[[File:x.png|thumb|", "]]", "files and images"), ("[[Category:X|", "]]", "categories")]
TABLES = [("\n\n:{|\n| ", "\n|}", "tables"), ("<table><td>", "</table>", "tables")]
TABLES += [("\n{|\n{|\n|", "\n|}\n|}", "tables")]
LEAVES = [
    ("{}", "{}", ""),
    ("''{}''", "{}", ""),
    ("''{}'''s", "{}'s", ""),
    ("[[{}]]", "{}", ""),
    ("<nowiki>{}</nowiki>", "{}", ""),
    ("{}<!-- }} [[ -->", "{}", ""),
    ("<ref>{}</ref>", "", "references"),
    ("<math>{} }}</math>", "", "formulas"),
    ("[[fr:{}|{}]]", "", "interlanguage links"),
]


@st.composite
def leaf(draw: st.DrawFn) -> Piece:
    source, text, dropped = draw(st.sampled_from(LEAVES))
    word = draw(WORDS)
    return source.replace("{}", word), text.replace("{}", word), Counter([dropped] if dropped else [])


PIECES = st.recursive(
    leaf(),
    lambda inside: st.lists(inside, min_size=1, max_size=4).map(join) | wrap(SHOWN + DROPPED, inside),
    max_leaves=15,
)


@fuzz
@given(st.lists(PIECES | wrap(TABLES, PIECES), max_size=5))
def test_nested_markup_shows_its_words_and_counts_what_it_drops(pieces: list[Piece]) -> None:
    word = ("word", "word", Counter[str]())
    source, text, drops = join([word, *pieces, word])
    dropped = Counter[str]()
    assert plain_text(source, dropped).split() == text.split()
    assert dropped == drops


LENGTH = 1_000_000
PAIRS = [("{{", "}}"), ("\n{|", "\n|}"), ("[[a|", "]]"), ("{{[[", "}}]]"), ("{{lang|a|", "}}"), ("<table>", "</table>")]
# fmt: off
UNITS = [
    "{{", "}}", "[[", "]]", "''", "'''", "'''''", "''a'''s ", "<ref", "<ref>", "<ref name=", "<!--", "<nowiki>",
    "<math><pre><gallery>", "<math ", "{|", "\n{|", "\n|}", "\n|", "<div>", "<table>", '<b a="', "* ", "\n;:#*", "\n ",
    "= ", "=\n", "( ,", ": ", ", ", "! ", "[http://a ", "[//", "http://.", "&#", "&#1", "&#xD800;", "__A", "file:a",
    "{{lang|a|", "[[a|b", "[[File:a|", "]]]", "{{{", "\n", " ", "[[{{",
    *(f"{a}x{b}" for a, b in PAIRS), *(a * 39 + b for a, b in PAIRS),
]
# fmt: on


@pytest.mark.integration
@pytest.mark.parametrize("unit", UNITS)
def test_a_million_characters_of_anything_take_little_time(unit: str) -> None:
    """About a quarter of a second; a pass that took quadratic time would need hours."""
    dropped = Counter[str]()
    start = time.process_time()
    assert_clean(plain_text(unit * (LENGTH // len(unit)) + "x", dropped))
    assert time.process_time() - start < 8
    assert BROKEN_PAGES not in dropped


@pytest.mark.integration
@pytest.mark.parametrize(("before", "after"), [*PAIRS, ("{{", "]]"), ("[[", "}}")])
def test_brackets_that_are_nested_without_end(before: str, after: str) -> None:
    n = LENGTH // 16
    start = time.process_time()
    assert plain_text(f"One.\n\n{f'{before}x' * n}{f'{after}x' * n}\n\nTwo.").startswith("One.")
    assert time.process_time() - start < 8


@pytest.mark.integration
def test_a_long_page_comes_out_whole() -> None:
    lines = [f"Paragraph {i} [[with|has]] some ''words''." for i in range(50_000)]
    assert plain_text("\n\n".join(lines)).split("\n") == [f"Paragraph {i} has some words." for i in range(len(lines))]
