import re
from pathlib import Path

import pytest

from natural_sparsity.corpus.markup import plain_text
from natural_sparsity.corpus.readers.read import read_documents


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("'''Bold''' and ''italic'' and '''''both'''''.", "Bold and italic and both."),
        ("A [[link]], a [[target|label]], [[:File:x.png|a file]] and [[dog]]s.", "A link, a label, a file and dogs."),
        ("A [[a|''b'' [[c]]]] d", "A b c d"),
        ("x{{template|a={{nested|b}}|[[c]]}} y", "x y"),
        ("Text{{citation needed}}.<ref>Note {{cite|x}}</ref><ref name=a/> More<ref name='b'>z</ref>.", "Text. More."),
        ("<!-- hidden --> one <!-- hidden\n\nstill --> two", "one two"),
        ("x <math>a < b</math> y <gallery>\nFile:a.png|b\n</gallery> z", "x y z"),
        ("== Head ==\nText.\n=== Sub ===\nMore.", "Text.\nMore."),
        ("{{anchor|x}}== Head == <!-- c --> {{x}}\nText.", "Text."),
        ("[[File:a.jpg|thumb|300px|A ''caption'' with [[link]].]]Text", "Text"),
        ("[[Fichier:a.JPG|thumb|une légende]]Text [[Category:X]][[fr:Mot]][[zh-min-nan:X]]", "Text"),
        ("{| class=wikitable\n! a !! b\n|-\n| c || d\n|}\nText", "Text"),
        ("{|\n| a\n{|\n| b\n|}\n|}\nText", "Text"),
        ("* one\n** ''two''\n# three\n: four\n; five : six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("; [[Star Trek: Picard]] : a series\n* one: two\n", "Star Trek: Picard\na series\none: two"),
        ("first line\nsame paragraph\n\nsecond\n* item\nthird", "first line same paragraph\nsecond\nitem third"),
        ("A [http://x.org/a?b label], [http://x.org] and http://x.org/y too", "A label, and too"),
        ("One\n[http://x.org *two]", "One *two"),
        ("[//x.org a [sic] b] and (http://x.org).", "a [sic b] and."),  # as in MediaWiki, ends at the first bracket
        ("Caf&eacute; &amp; &#8211; &#x2014; AT&T&nbsp;x", "Café & – — AT&T x"),
        ("Name ({{lang-el|x}}; born 1950) and ({{x}}) and ( ; ) and (b, {{x}}).", "Name (born 1950) and and and (b)."),
        ("__NOTOC__\nText __FOO", "Text __FOO"),
        ("<nowiki>[[x]]</nowiki> H<sub>2</sub>O <small>s</small> <code>f()</code>", "x H2O s f()"),
        ("<nowiki>''a'' {|\n* b\n c\n&lt; {{d}}</nowiki>", "''a'' {| * b c < d"),
        ("a<br/>b", "a\nb"),
        ("Text.\n preformatted = code\nMore.", "Text.\nMore."),
        ("One.\n<ref>x</ref> two\n{{x}} three\n<small> four</small>\n[[a| five]]", "One. two three four five"),
        ("Wait . . . what... and .NET and a : b", "Wait . . . what... and .NET and a: b"),
        ("broken [[link and {{template and ''italic", "broken link and template and italic"),
        ("a < b and c > d; x <10 ppm", "a < b and c > d; x <10 ppm"),
        ("{{only}}\n\n----\n[[Category:x]]\n...", ""),
        ("", ""),
    ],
)
def test_prose(wikitext: str, expected: str) -> None:
    assert plain_text(wikitext) == expected


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        # The rules of MediaWiki's doQuotes.
        ("The ''Iliad'''s hero and the ''Odyssey''.", "The Iliad's hero and the Odyssey."),
        ("''[[The Iliad|Iliad]]'''s", "Iliad's"),
        ("''James''' book", "James' book"),
        ("l'''homme''", "l'homme"),
        ("a '''b''' l'''homme'' mange", "a b l'homme mange"),
        ("'''bold''' x '''y '' z", "'bold x y z"),
        ("''''four'''' and ''''''six''''''", "'four' and 'six'"),
        ("'''''both'' bold''' and '''''both''' italic''", "both bold and both italic"),
        ("'''''five''''' and '''''two", "five and two"),
        ("'''one\ntwo''' three''s", "one two' threes"),  # each line by itself
        ("''a [[x|b'']] c'''s", "a b c's"),  # the text of a link by itself
        ("it's rock 'n' roll's", "it's rock 'n' roll's"),
        # Apostrophes that are text.
        ("''Iliad''{{'}}s and ''Odyssey''<nowiki/>'s and ''Aeneid''&#39;s", "Iliad's and Odyssey's and Aeneid's"),
        ("''Iliad''<ref>x</ref>'s", "Iliad's"),
        # Where MediaWiki shows bold, a reader sees a possessive.
        ("''Tom'''s car is bigger than ''Susan'''s.", "Tom's car is bigger than Susan's."),
        ("'''cat'''s and the ''letter'' '''s'''", "cats and the letter s"),
    ],
)
def test_apostrophes(wikitext: str, expected: str) -> None:
    assert plain_text(wikitext) == expected


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("A [[simple:Cat]][[be-x-old:Cat]][[roa-rup:Cat]][[FR:Chat]][[ zh-min-nan : X ]] B", "A B"),
        ("A [[fr:Chat|le chat]] B", "A B"),  # a label makes no difference to MediaWiki
        ("A [[:fr:Chat|le chat]], [[w:Cat|cat]], [[wikt:word|word]], [[commons:Cat.jpg|c]]", "A le chat, cat, word, c"),
        ("[[Re:Zero|the show]], [[Star Trek: Picard]], [[Al:Go]]", "the show, Star Trek: Picard, Al:Go"),
        ("[[2001: A Space Odyssey|film]], [[Ben-Hur: A Tale]]", "film, Ben-Hur: A Tale"),
        ("A [[category:X]][[CATEGORY : X|sort]][[Kategorie:X]][[Категория:X]] B", "A B"),
        ("In [[:Category:X|x]] and [[:Category:Y]]", "In x and Category:Y"),
        ("A [[FILE:x.ogg]][[image:x|thumb|y]][[Datei:x|y]][[ファイル:x|y]][[Obraz:x.svg|y]] B", "A B"),
        ("[[File:a.png|thumb|See [[b|c]] and [http://d.org e [f] or [[g [[h]]]].]]Text", "Text"),
        ("[[File:a.png|[http://b.org c]]]Text", "Text"),
        ("[[File:a.png|thumb|b {{c]]Text {{d|[[e}} f", "Text f"),
        ("[[Special:Search|search]] [[Media:a.ogg|listen]] [[#Top|up]]", "search listen up"),
        ("[[a|b|c]], [[a|= b =]], [[a|]]", "b|c, = b =, a"),
        ("[[Cat]]s' [[[[a]]]] {[[b]]} [[[c]]]", "Cats' a {b} [c]"),
    ],
)
def test_links(wikitext: str, expected: str) -> None:
    assert plain_text(wikitext) == expected


@pytest.mark.parametrize(
    "table",
    [
        '{| class="wikitable"\n| cell\n|}',
        ':{| class="wikitable"\n| cell\n|}',
        ":::{|\n| cell\n:|not the end\n|}",
        "*{|\n|\ncell\n|}",
        "  {|\n| cell\n  |}",
        "{|\n|\n:{|\n| a\n|}\n|\n{|\n| b\n|}\n|}",
        "{{template|\n{|\n| cell\n|}\n}}",
        "{{template|{|\n| cell\n|}}}",
        "{{{!}} class=x\n{{!}} cell\n{{!}}}",
        "{|\n|align=right| '''{{bartable|0.5}}\n|-\n| ''x\n|}",  # quotes without an end
        "{{x}}{|\n|\ncell\n|}",
        "<table><tr><td>cell<table><td>x</table></table>",
        "{|\n<table>\n|}\n</table>\n|}",
    ],
)
def test_tables(table: str) -> None:
    assert plain_text(f"Before.\n{table}\nAfter.") == "Before.\nAfter."


def test_prose_outlives_a_table_without_an_end() -> None:
    assert plain_text("Before.\n:{| class=x\n| cell\n{|\n| x\n|}\n\nAfter.") == "Before.\nAfter."


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("A face &#xD83D;&#xDE00; here, &#55357;&#56832;.", "A face 😀 here, 😀."),
        ("a&#xD83D;b &#xDE00;&#xD83D;", "a�b ��"),
        # As a browser does.
        ("a&#0;b&#x110000;c&#99999999999999999999999;d", "a�b�c�d"),
        ("1914&#150;1918 &#x93;x&#148;", "1914–1918 “x”"),
        ("a&#10;b&#13;c&#xA0;d", "a b c d"),
        ("&notaname; &copy; &NotEqualTilde; &amp;nbsp;", "&notaname; © ≂̸ &nbsp;"),
        ("&lt;ref&gt; &#91;&#91;x&#93;&#93; &#123;&#123;", "<ref> x]] {{"),
    ],
)
def test_entities(wikitext: str, expected: str) -> None:
    assert plain_text(wikitext) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{convert|10|km|mi}}", "10 km"),
        ("{{Convert|5|to|9|km|mi|abbr=on}}", "5 to 9 km"),
        ("{{convert|5|and(-)|9|km|mi}}", "5 and 9 km"),
        ("{{cvt|2|x|3|x|4|m|ft}}", "2 x 3 x 4 m"),
        ("{{convert|5|ft|10|in|m}}", "5 ft 10 in"),
        ("{{convert|12|st|7|lb|kg|1}}", "12 st 7 lb"),
        ("{{convert|3|mi|2|furlong|5|yd|km}}", "3 mi 2 furlong 5 yd"),
        ("{{convert|10|ft|m|1}} {{convert|10|ft|m|in}}", "10 ft 10 ft"),
        ("{{convert|5+1/2|in|mm}}", "5 1/2 in"),
        ("{{convert|{{frac|1|2}}|in}}", "1/2 in"),
        ("{{height|ft=5|in=10}}", "5 ft 10 in"),
        ("{{height|m=1.80}}", "1.80 m"),
        ("{{frac|2}}", "1/2"),
        ("{{sfrac|2|3}}", "2/3"),
        ("1{{frac|1|4}} {{frac|3|1|2}}", "1 1/4 3 1/2"),
        ("{{val|1234567.8901|0.02|e=3|u=km}}", "1,234,567.8901±0.02×10^3 km"),
        ("{{val|1.00794|(7)}}", "1.00794(7)"),
        ("{{formatnum:1234.5}} {{formatnum: 300}} {{nts|12345}}", "1,234.5 300 12,345"),
        ("{{gaps|1|234|567}}", "1234567"),
        (
            "{{convert|87|e6acre}} {{convert|2.1|Moilbbl}} {{convert|5|koilbbl/d}}",
            "87 million acre 2.1 million barrels 5 thousand barrels per day",
        ),
        (
            "{{convert|2|Tcuft}} {{convert|5|C-change}} {{convert|1.2|PD/sqmi}}",
            "2 trillion cu ft 5 °C 1.2 people per square mile",
        ),
        ("one{{mdashb}}two order{{unknown}}readily", "one—two order readily"),
        ("{{ordinal|1}} {{ordinal|12}} {{ordinal|23}}", "1st 12th 23rd"),
        ("{{circa|1900}}, {{c.|1900|1910}}, {{circa}}", "c. 1900, c. 1900 – c. 1910, c."),
        ("{{floruit|1900|1910}}", "fl. 1900–1910"),
        ("{{US$|5 million}} {{USD|5}} {{GBP|2}} {{€|3}}", "US$5 million US$5 £2 €3"),
        ("{{as of|2013}} {{as of|2013|3|lc=y}} {{as of|2013|3|15}}", "As of 2013 as of March 2013 As of 15 March 2013"),
        ("{{as of|2013|alt=in 2013}} {{as of|2013|since=y}}", "in 2013 Since 2013"),
        ("{{chem|H|2|O}} {{chem|SO|4|2-}}", "H2O SO42-"),
        (
            "{{lang|fr|mot}}, {{transl|ar|DIN|salām}}, {{transl|ja|yari}}",
            "mot, salām, yari",
        ),
        ("{{nowrap|a [[b|c]]}}, {{Nobr|1=x = y}}, {{Template:no_wrap|z}}", "a c, x = y, z"),
        ("x{{sup|2}} H{{sub|2}}O {{mvar|n}}{{spaces|2}}{{ndash}} {{'s}}", "x2 H2O n – 's"),
        ("{{ill|A Title|de|Ein Titel}}, {{ill|de|Another|Ein Titel}}, {{ill|A|de|B|lt=C}}", "A Title, Another, C"),
        ("{{sic|beleived}} {{sic|hel|lo}}", "beleived hello"),
        ("{{USS|Enterprise|CV-6}}", "USS Enterprise"),
        ("{{nowrap|{{convert|{{val|1234}}|km}} {{lang|de|[[x|y]]}}}}", "1,234 km y"),
    ],
)
def test_templates_whose_text_is_part_of_the_sentence(template: str, expected: str) -> None:
    assert plain_text(f"He is {template} tall.") == f"He is {expected} tall."


@pytest.mark.parametrize("template", ["convert", "convert|x", "frac", "val", "USD|", "formatnum:x", "lang|fr", "as of"])
def test_templates_without_their_arguments(template: str) -> None:
    assert plain_text(f"It is {{{{{template}}}}} so.") == "It is so."


LEFTOVERS = {  # pattern: most matches allowed in the excerpt's 450,000 words
    r"\{\{|\}\}|\[\[|\]\]|''": 0,
    r"==|\bthumb\||\d+px|__[A-Z]": 0,
    r"https?:|<ref|</?(?:div|span|small|br|sub|sup|i|b)\b": 0,
    r"(?m)^\s*[*#:;|!]": 0,
    r"(?i)\b(?:file|image|category):": 0,
    r"\( *[,;)]|  ": 0,
    r"&(?:\w{2,8}|#\d+);": 0,
    r"\|": 3,
    r"[\x00-\x09\x0b-\x1f\x7f]": 0,
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
    assert "in the Iliad's description" in texts["Achilles"]
    # Behind a table with bold cells that lack an end.
    assert "Alaska's economy depends heavily on increasingly expensive diesel fuel" in texts["Alaska"]
    assert 400_000 < len(whole.split()) < 500_000
    assert "" not in whole.split("\n")


def test_unclosed_templates_do_not_spoil_the_prose_around_them() -> None:
    prose = "The cat [[sit]]s on the ''mat''. "
    for mistakes in (3, 300):
        text = "\n\n".join([prose] * 50 + ["{{infobox |a=1"] * mistakes + [prose] * 50)
        assert plain_text(text).count("The cat sits on the mat.") == 100
