"""What :func:`plain_text` drops is counted: once, by kind, and nothing that is shown."""

import re
from collections import Counter
from pathlib import Path

import pytest

from natural_sparsity.corpus import markup
from natural_sparsity.corpus.markup import BROKEN_PAGES, KINDS, plain_text
from natural_sparsity.corpus.readers.read import read_documents


def count(wikitext: str) -> dict[str, int]:
    dropped = Counter[str]()
    plain_text(wikitext, dropped)
    return dict(dropped)


EACH = [
    ("a {{x}} {{infobox\n|y=z\n}} {{#if:x|y}} {{{1|d}}}", {"templates": 4}),
    ("{|\n| a\n|}\n:{|\n|}\n<table><td>b</td></table>", {"tables": 3}),
    ('a<ref>b</ref><ref name="c"/><REF group=d>{{e}}\n</REF> f <ref>unclosed', {"references": 4}),
    ("<math>a</math> <chem>H2O</chem>", {"formulas": 2}),
    ("[[File:a.png|b [[c]]]] [[Image:d.jpg]] [[Datei:e|f]]", {"files and images": 3}),
    ("<gallery>\nFile:a.png|b [[c]]\nFile:d.png\n</gallery>", {"galleries": 1}),
    ("<timeline>a</timeline> <score>b</score> <imagemap>c</imagemap>", {"charts, maps and scores": 3}),
    ("<pre>a</pre> <source lang=b>c</source> <syntaxhighlight>d</syntaxhighlight>", {"code blocks": 3}),
    ("[[Category:A]] [[category:B|c]] [[:Category:D]]", {"categories": 2}),
    ("[[fr:A]] [[simple:B]] [[:de:C]]", {"interlanguage links": 2}),
    ("http://a.org [http://b.org] [http://c.org d] [//e.org f]", {"web addresses": 2}),
    ("= A =\nb\n=== C ===\nd", {"headings": 2}),
    ("a\n b {{c}}\n\n d", {"preformatted lines": 2}),
    ("a <includeonly>b</includeonly> <style>c</style>", {"HTML blocks": 2}),
    ("a <!-- b --> c <!-- d", {"unclosed comments": 1}),
    ("a\n| b\n! c || d\nImage:e.png|thumb|f", {"broken lines": 3}),
]


@pytest.mark.parametrize(("wikitext", "expected"), EACH)
def test_each_kind(wikitext: str, expected: dict[str, int]) -> None:
    assert count(wikitext) == expected


def test_every_kind_is_tested_and_has_a_mark() -> None:
    assert set(KINDS) == {kind for _, expected in EACH for kind in expected}
    assert len({markup.GONE, *markup.MARKS.values()}) == len(KINDS) + 1


@pytest.mark.parametrize(
    "wikitext",
    [
        "''Prose'' with [[a|links]], [[wikt:b|b]], <small>tags</small>, &amp; entities.<br> <!-- comment -->\n* Items",
        "{{lang|fr|mot}} {{convert|5|km}} {{nowrap|a {{val|5}}}} {{'}}",
        "<nowiki>{{a}} [[File:b.png]] <ref>c</ref></nowiki>",
        "<ref",
        "",
    ],
)
def test_what_is_shown_is_not_counted(wikitext: str) -> None:
    assert count(wikitext) == {}


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("{{a|{{b|{{c}}}}|[[File:d.png]]|<ref>e</ref>}}", {"templates": 1}),
        ("{|\n| {{a}} <ref>b</ref> [[File:c.png]]\n{|\n|}\n|}", {"tables": 1}),
        ("[[File:a.png|{{b}} [[File:c.png]] <math>d</math>]]", {"files and images": 1}),
        ("<ref>{{a}} <math>b</math></ref>", {"references": 1}),
        ("== A {{b}} ==\nc", {"headings": 1}),
        ("{{nowrap|a {{b}} <ref>c</ref>}} [[d|e {{f}}]]", {"templates": 2, "references": 1}),
    ],
)
def test_what_was_inside_of_something_dropped_is_not_counted_again(wikitext: str, expected: dict[str, int]) -> None:
    assert count(wikitext) == expected


def test_counts_of_several_pages_add_up() -> None:
    dropped = Counter(templates=1)
    for _ in range(2):
        plain_text("{{a}} [[Category:B]]", dropped)
    assert dropped == {"templates": 3, "categories": 2}


def test_a_page_that_fails_is_counted_and_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise RecursionError

    dropped = Counter[str]()
    monkeypatch.setattr(markup.templates, "show", fail)
    assert plain_text("One {{a|b}} ''[[c]]''.\n\n* two\n|}", dropped) == "One a b c.\ntwo"
    assert plain_text("Three.", dropped) == "Three."
    assert dropped == {BROKEN_PAGES: 1}


@pytest.mark.integration
def test_counts_of_the_excerpt(dump: Path) -> None:
    """Against what can be counted in the source without a parser, where nothing is nested."""
    dropped = Counter[str]()
    sources = []
    for page in read_documents(dump):
        plain_text(page.text, dropped)
        sources.append(re.sub(r"(?s)<!--.*?-->", "", page.text))
    source = "\n".join(sources)
    assert dropped["categories"] == len(re.findall(r"\[\[Category:", source))
    assert dropped["headings"] == len(re.findall(r"(?m)^==", source))
    assert dropped["galleries"] == len(re.findall(r"<gallery", source)) - 1  # in a table
    n_references = len(re.findall(r"</ref>|<ref\b[^<>]*/>", source))
    assert 0.9 * n_references < dropped["references"] <= n_references  # the others are in tables and templates
    assert dropped["tables"] > 80 and dropped["templates"] > 3_000 and dropped["files and images"] > 900
    assert dropped[BROKEN_PAGES] == 0
