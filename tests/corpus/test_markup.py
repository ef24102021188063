import re
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natural_sparsity.corpus.markup import CHARACTERS_PER_PIECE, plain_text
from natural_sparsity.corpus.readers import read_documents


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("'''Bold''' and ''italic'' and '''''both'''''.", "Bold and italic and both."),
        ("A [[link]], a [[target|label]], [[:File:x.png|a file]] and [[dog]]s.", "A link, a label, a file and dogs."),
        ("A [[a|''b'' [[c]]]] d", "A b c d"),
        ("x{{template|a={{nested|b}}|[[c]]}} y", "x y"),
        ("Text{{citation needed}}.<ref>Note {{cite|x}}</ref><ref name=a/> More<ref name='b'>z</ref>.", "Text. More."),
        ("one <!-- hidden\n\nstill --> two", "one two"),
        ("x <math>a < b</math> y <gallery>\nFile:a.png|b\n</gallery> z", "x y z"),
        ("== Head ==\nText.\n=== Sub ===\nMore.", "Text.\nMore."),
        ("[[File:a.jpg|thumb|300px|A ''caption'' with [[link]].]]Text", "Text"),
        ("[[Fichier:a.JPG|thumb|une légende]]Text [[Category:X]][[fr:Mot]][[zh-min-nan:X]]", "Text"),
        ("{| class=wikitable\n! a !! b\n|-\n| c || d\n|}\nText", "Text"),
        ("{|\n| a\n{|\n| b\n|}\n|}\nText", "Text"),
        ("* one\n** ''two''\n# three\n: four\n; five : six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("first line\nsame paragraph\n\nsecond\n* item\nthird", "first line same paragraph\nsecond\nitem third"),
        ("A [http://x.org/a?b label], [http://x.org] and http://x.org/y too", "A label, and too"),
        ("Caf&eacute; &amp; &#8211; &#x2014; AT&T&nbsp;x", "Café & – — AT&T x"),
        ("Name ({{lang-el|x}}; born 1950) and ({{x}}) and ( ; ) and (b, {{x}}).", "Name (born 1950) and and and (b)."),
        ("__NOTOC__\nText __FOO", "Text __FOO"),
        ("<nowiki>[[x]]</nowiki> H<sub>2</sub>O <small>s</small> <code>f()</code>", "x H2O s f()"),
        ("a<br/>b", "a\nb"),
        ("Text.\n preformatted = code\nMore.", "Text.\nMore."),
        (
            "{{lang|fr|mot}}, {{convert|10|km|mi}}, {{convert|5|to|9|km|mi}}, {{nowrap|a b}}",
            "mot, 10 km, 5 to 9 km, a b",
        ),
        ("{{as of|2013|3}}, it is.", "As of 2013, it is."),
        ("Wait . . . what... and .NET and a : b", "Wait . . . what... and .NET and a: b"),
        ("broken [[link and {{template and ''italic", "broken link and template and italic"),
        ("a < b and c > d; x <10 ppm", "a < b and c > d; x <10 ppm"),
        ("{{only}}\n\n----\n[[Category:x]]\n...", ""),
        ("", ""),
    ],
)
def test_prose(wikitext: str, expected: str) -> None:
    assert plain_text(wikitext) == expected


LEFTOVERS = {  # pattern: most matches allowed in the excerpt's 450,000 words
    r"\{\{|\}\}|\[\[|\]\]|''": 0,
    r"==|\bthumb\||\d+px|__[A-Z]": 0,
    r"https?:|<ref|</?(?:div|span|small|br|sub|sup|i|b)\b": 0,
    r"(?m)^\s*[*#:;|!]": 0,
    r"(?i)\b(?:file|image|category):": 0,
    r"\( *[,;)]|  ": 0,
    r"&(?:\w{2,8}|#\d+);": 0,
    r"\|": 3,
}


@pytest.mark.integration
def test_the_excerpt_reads_like_prose(dump: Path) -> None:
    pages = list(read_documents(dump))
    texts = {page.title: plain_text(page.text) for page in pages}
    whole = "\n".join(texts.values())
    counts = {pattern: len(re.findall(pattern, whole)) for pattern in LEFTOVERS}
    assert {pattern: n for pattern, n in counts.items() if n > LEFTOVERS[pattern]} == {}
    assert texts["Anarchism"].startswith(
        "Anarchism is a political philosophy that advocates self-governed societies based on voluntary institutions. "
        "These are often described as stateless societies, although several authors"
    )
    assert 400_000 < len(whole.split()) < 500_000
    assert "" not in whole.split("\n")


@given(st.text(st.sampled_from(list("[]{}|'=<>/!*#:;-& \n\x01\x02abRef.")), max_size=200))
def test_any_text_is_accepted(wikitext: str) -> None:
    lines = plain_text(wikitext).split("\n")
    assert all(line == line.strip() for line in lines)
    assert lines == [""] or all(re.search(r"\w", line) for line in lines)
    assert not any(mark in line for line in lines for mark in ("[[", "{{", "\x01", "\x02"))


@given(st.lists(st.lists(st.text("abcdefgéß", min_size=1, max_size=8), min_size=1, max_size=9), min_size=1, max_size=5))
def test_plain_prose_stays_as_it_is(paragraphs: list[list[str]]) -> None:
    lines = [" ".join(words) + "." for words in paragraphs]
    assert plain_text("\n\n".join(lines)) == "\n".join(lines)


@pytest.mark.integration
def test_a_long_page_is_cut_between_paragraphs() -> None:
    lines = [f"Paragraph {i} [[with|has]] some ''words''." for i in range(4 * CHARACTERS_PER_PIECE // 40)]
    assert plain_text("\n\n".join(lines)).split("\n") == [f"Paragraph {i} has some words." for i in range(len(lines))]


CLOSED = [("{{", "}}"), ("{|\n", "\n|}\n"), ("<b>", "</b>"), ("{{[[", "}}]]"), ("[[a|", "]]")]
NASTY = ["{{", "[[", "<ref>", "<!--", "{|\n|-\n", "'''''a", "<div>", "* ", "( ,", "! ", ": ", "[http://a ", "{{lang|a|"]
NASTY += ['<b a="', "<math ", "<nowiki>", "\n;:#*", *(f"{a}x{b}" for a, b in CLOSED), *(a * 39 + b for a, b in CLOSED)]


@pytest.mark.integration
@pytest.mark.parametrize("piece", NASTY)
def test_malicious_markup_ends(piece: str) -> None:
    """The parser alone would take minutes for some of these, and hours at ten times the length."""

    def late(*_: object) -> None:
        pytest.fail("still running after a minute")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    try:
        plain_text(piece * (100_000 // len(piece)) + "x")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_unclosed_templates_do_not_spoil_the_prose_around_them() -> None:
    """A page with a few mistakes is parsed whole, one with many in small pieces; either way the prose survives."""
    prose = "The cat [[sit]]s on the ''mat''. "
    for mistakes in (3, 300):
        text = "\n\n".join([prose] * 50 + ["{{infobox |a=1"] * mistakes + [prose] * 50)
        assert plain_text(text).count("The cat sits on the mat.") == 100
