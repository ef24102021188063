"""Turn MediaWiki markup into running prose.

MediaWiki has no grammar but rewrites its markup in passes, and so does this module, in the same order. Every pass takes
time linear in the length of the text, whatever is in it. What is dropped leaves a mark, one character for each kind of
thing, and the last pass counts and removes the marks. So what is dropped as a part of something else is not counted.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator
from html import unescape
from html.entities import html5

from natural_sparsity.corpus import links, templates

# Kinds of things that are dropped, as in "12 tables"; the mark of each is a control character.
KINDS = (
    "templates", "tables", "references", "formulas", "files and images", "galleries", "charts, maps and scores",
    "code blocks", "categories", "interlanguage links", "web addresses", "headings", "preformatted lines",
    "HTML blocks", "unclosed comments", "broken lines",
)  # fmt: skip
BROKEN_PAGES = "broken pages"
CONTROLS = "".join(map(chr, (*range(0x01, 0x09), *range(0x0E, 0x1C), 0x7F)))
MARKS = dict(zip(KINDS, CONTROLS, strict=False))
GONE = CONTROLS[-1]  # the mark of what is not counted; keeps what stood behind it from the start of its line
# A template between two letters, such as a dash that is not known, divides them.
BETWEEN_LETTERS = re.compile(rf"(?<=\w){MARKS['templates']}+(?=\w)")
ANY_MARK = re.compile(f"[{CONTROLS}\r]")
BREAK = f"\n\n{GONE}"

KIND_OF_TAG = {
    "ref": "references",
    **dict.fromkeys(("math", "chem", "ce"), "formulas"),
    "gallery": "galleries",
    **dict.fromkeys(("timeline", "score", "imagemap", "hiero", "graph", "mapframe"), "charts, maps and scores"),
    **dict.fromkeys(("syntaxhighlight", "source", "pre"), "code blocks"),
    **dict.fromkeys(("templatedata", "includeonly", "style", "script"), "HTML blocks"),
}
# Of an element without an end only the tag is dropped: a <ref> here, where it is counted, others as any TAG.
SPAN = re.compile(
    rf"<!--.*?(?:-->|(?P<unclosed>\Z))|<(?P<tag>nowiki|{'|'.join(KIND_OF_TAG)})\b[^<>]*+"
    r"(?:(?<=/)>|>(?P<body>[^<]*+(?:<(?!/?(?P=tag)\b)[^<]*+)*+)</(?P=tag)\s*>)"
    r"|<(?P<ref>ref)\b[^<>]*>",
    re.DOTALL | re.IGNORECASE,
)
# What <nowiki> protects; what would be markup in the text of a link.
MARKUP = re.compile(r"[\[\]{}|'<>=_]|^[*#:; ]", re.MULTILINE)
SEPARATOR = re.compile(r"[|=]|:(?!//)|^[*#; ]")
# Of three closing brackets in a row the last two close, as in [[File:a.png|[http://a.org b]]].
BRACKETS = re.compile(r"(\{\{|\}\}(?!\}(?!\}))|\[\[|\]\](?!\](?!\])))")
OPENING = {"}}": "{{", "]]": "[["}
MOST_OPEN = 40  # brackets or tables; where more are open, the outer ones are broken
# Group 1 opens a table, which may be the item of a list.
WIKI_TABLE = re.compile(rf"^(?:([ \t:*#;{CONTROLS}]*\{{\|.*)|[ \t]*\|\}}(?!\}}))", re.MULTILINE)
HTML_TABLE = re.compile(r"<(?:((?i:table)\b[^<>]*>)|/(?i:table)\s*>)")
TAG = re.compile(r"</?([a-z]{1,15}|h[1-6])\b[^<>]*>", re.IGNORECASE)
BLOCK_TAGS = {"div", "p", "blockquote", "center", "poem", "ul", "ol", "li", "dl", "dd", "dt", "br", "hr", "section"}
WEB_LINK = re.compile(r"\[(?:(?:[A-Za-z]{3,6}:)?//|mailto:)[^\s\[\]<>\"]*+[^\S\n]*+((?:[^\[\]\n]|\[(?!\w*:|//))*+)\]")
URL = re.compile(r"\b(?:https?|ftps?|irc|news|gopher)://[^\s\[\]<>\"{}|]*[^\s\[\]<>\"{}|.,:;!?')]", re.IGNORECASE)
STRAY = re.compile(r"__[A-Z]{3,}__|\{\{+|\}\}+|\[\[+|\]\]+")  # behaviour switches, brackets without a partner
BROKEN_LINE = re.compile(
    r"[*#:; ]*\{\||\||!\s|!.*[|!]|(?:file|image|category):.*\|", re.IGNORECASE
)  # of a table or a file
ITEM = re.compile(r"([*#:;]+)(.*)")
QUOTES = re.compile("('{2,})")
POSSESSIVE = re.compile(r"(?<!')''(?=\S)([^'\n]+)'''(?=s\b(?!'))")
ENTITY = re.compile(r"&(?:#(?:(?P<decimal>\d+)|x(?P<hexadecimal>[\da-f]+))|(?P<name>\w+));", re.IGNORECASE)
SURROGATE = re.compile("[\ud800-\udfff]")


def plain_text(wikitext: str, dropped: Counter[str] | None = None) -> str:
    """Extract the running prose of a page in MediaWiki markup: one line per paragraph or list item, no empty lines.

    Any string is accepted; invalid markup comes out as text, without its brackets and bars. To ``dropped`` is added
    what was dropped, by kind: one of ``KINDS``, or ``BROKEN_PAGES`` for a page that came out with much of its markup.
    """
    dropped = Counter() if dropped is None else dropped
    try:
        return _rewrite(wikitext, dropped)
    except Exception:  # One page of millions must not stop the others, whatever is wrong with it or with this module.
        dropped[BROKEN_PAGES] += 1
        return _tidy(_drop_marks(MARKUP.sub(" ", wikitext)))


def _rewrite(wikitext: str, dropped: Counter[str]) -> str:
    text = SPAN.sub(_show_span, _drop_marks(wikitext)).lstrip()
    text = _show_templates_and_links(text.replace("{{!}}", "|"))
    text = _cut_tables(_cut_tables(text, WIKI_TABLE), HTML_TABLE)
    text = TAG.sub(_show_tag, text)
    text = WEB_LINK.sub(_show_web_link, text)
    text = URL.sub(MARKS["web addresses"], text) if "://" in text else text
    text = STRAY.sub(GONE, text)
    text = BETWEEN_LETTERS.sub(r" \g<0>", "\n".join(_join_paragraphs(text)))
    marks = Counter(ANY_MARK.findall(text))
    dropped.update({kind: marks[mark] for kind, mark in MARKS.items() if mark in marks})
    return _tidy(ENTITY.sub(_show_entity, _drop_marks(text)))


def _drop_marks(text: str) -> str:
    return ANY_MARK.sub("", text)


def _show_span(span: re.Match[str]) -> str:
    tag = (span["tag"] or span["ref"] or "").lower()
    if tag == "nowiki":
        return GONE + MARKUP.sub(_escape, STRAY.sub("", span["body"] or "")) + GONE
    if tag:
        return MARKS[KIND_OF_TAG[tag]]
    return "" if span["unclosed"] is None else MARKS["unclosed comments"]


def _escape(character: re.Match[str]) -> str:
    return f"&#{ord(character[0])};"


def _show_templates_and_links(text: str) -> str:
    """Replace templates and links, from the inner to the outer, by what they show."""
    first, *rest = BRACKETS.split(text)
    parts = [first]
    opened: deque[tuple[str, int]] = deque(maxlen=MOST_OPEN)  # brackets and their places in parts
    for bracket, following in zip(rest[::2], rest[1::2], strict=True):
        opening = OPENING.get(bracket)
        if opening is None:
            opened.append((bracket, len(parts)))
            parts.append(bracket)
        elif any(opening == other for other, _ in reversed(opened)):
            while opened[-1][0] != opening:  # brackets without a partner, which stay
                opened.pop()
            _, start = opened.pop()
            content = "".join(parts[start + 1 :])
            del parts[start:]
            parts.append(_show_template(content, parts[-1]) if opening == "{{" else _show_link(content))
        else:
            parts.append(bracket)
        parts.append(following)
    return "".join(parts)


def _show_template(content: str, before: str) -> str:
    shown = templates.show(content)
    if shown is None:
        return MARKS["templates"]
    is_fraction = before[-1:].isdigit() and re.match(r"\d+/\d", shown)  # 1{{frac|1|2}} is not 11/2
    return f"{GONE}{' ' if is_fraction else ''}{shown}{GONE}"


def _show_link(content: str) -> str:
    target, _, label = content.partition("|")
    kind = links.drop_kind(target)
    if kind:
        return MARKS[kind]
    shown = label or target.lstrip(": ")
    if "''" in shown:
        shown = _drop_quotes(shown)
    return SEPARATOR.sub(_escape, shown)


def _cut_tables(text: str, bounds: re.Pattern[str]) -> str:
    """Cut out the tables that are closed, with those inside of them."""
    opened: deque[int] = deque(maxlen=MOST_OPEN)
    tables: list[tuple[int, int]] = []
    for bound in bounds.finditer(text):
        if bound[1]:
            opened.append(bound.start())
        elif opened:
            start = opened.pop()
            while tables and tables[-1][0] > start:
                tables.pop()
            tables.append((start, bound.end()))
    starts = [0, *(end for _, end in tables)]
    ends = [*(start for start, _ in tables), len(text)]
    between = (text[start:end] for start, end in zip(starts, ends, strict=True))
    return f"\n\n{MARKS['tables']}{BREAK}".join(between)


def _show_tag(tag: re.Match[str]) -> str:
    return BREAK if tag[1].lower() in BLOCK_TAGS else GONE


def _show_web_link(link: re.Match[str]) -> str:
    return GONE + link[1] if link[1] else MARKS["web addresses"]


def _join_paragraphs(text: str) -> Iterator[str]:
    """Join lines that MediaWiki shows as one paragraph, that is, up to an empty line or a list item."""
    paragraph: list[str] = []
    for line, bare in zip(text.split("\n"), _drop_marks(text).split("\n"), strict=True):
        bare = bare.strip()
        kind = _drop_kind(line, bare) if bare else None
        item = ITEM.match(line)
        if (item or kind or not bare) and paragraph:
            yield " ".join(paragraph)
            paragraph = []
        if kind or not bare:
            yield MARKS[kind] if kind else line
            continue
        if "''" in line:
            line = _drop_quotes(line)
        if item:
            line = line[item.end(1) :]
            if ";" in item[1] and ":" in line:
                term, _, line = line.partition(":")
                yield term
        paragraph.append(line.strip())
    if paragraph:
        yield " ".join(paragraph)


def _drop_kind(line: str, bare: str) -> str | None:
    """Return what a line is that is not prose, else None; ``bare`` is the line without marks."""
    if line[0] == " ":
        return "preformatted lines"
    if bare[0] == bare[-1] == "=":
        return "headings"
    return "broken lines" if BROKEN_LINE.match(bare) else None


def _drop_quotes(line: str) -> str:
    """Drop the apostrophes that make bold and italics, as MediaWiki's ``doQuotes`` does; the others stay.

    Of a run of four the first is text, and of a run of more than five all but the last five. If both bold and italics
    are odd in number, one run of three is an apostrophe with italics, as in ``l'''homme''``. MediaWiki does not know
    an English possessive without that, as with two titles in one line; here it is always one: ``''Iliad'''s``.
    """
    if "'''" not in line:
        return line.replace("''", "")
    parts = QUOTES.split(POSSESSIVE.sub(r"\1&#39;", line))
    texts, runs = parts[::2], [len(run) for run in parts[1::2]]
    for i, n in enumerate(runs):
        n_kept = 1 if n == 4 else max(0, n - 5)
        texts[i] += "'" * n_kept
        runs[i] -= n_kept
    if sum(n != 3 for n in runs) % 2 and sum(n != 2 for n in runs) % 2 and 3 in runs:
        # The first after a word of one letter; else the first after another word; else the first.
        preferences = [(2 if text.endswith(" ") else text[-2:-1] != " ") for text in texts]
        _, first = min((preferences[i], i) for i, n in enumerate(runs) if n == 3)
        texts[first] += "'"
    return "".join(texts)


def _show_entity(entity: re.Match[str]) -> str:
    """Return the character of an entity as a browser does; half of a surrogate pair as it is."""
    if entity["name"]:
        character = html5.get(entity["name"] + ";", entity[0])
    else:
        digits, base = (entity["decimal"], 10) if entity["decimal"] else (entity["hexadecimal"], 16)
        code = int(digits, base) if len(digits) < 20 else 0
        character = chr(code) if 0xD800 <= code < 0xE000 else unescape(f"&#{code};")
    return " " if character == "\n" else character


TIDYING = [
    (re.compile(r"([(\[])(?: ?(?:[,;:/]|[–—-](?=[ \n)]|\Z)))+"), r"\1"),  # leftovers of templates: ( ; born 1950)
    (re.compile(r"([,;:])(?: ?[,;])+"), r"\1"),
    (re.compile(r"[,;:](?<![,;:].)(?<![,;:] .)[ ,;:]*+(?=[)\]])"), ""),
    (re.compile(r"\((?<!\w\() ?\)|\[ ?\]"), ""),
    (re.compile(r"([(\[]) +"), r"\1"),
    (re.compile(r" (?<![.\s] ) *(?!\. ?\.)([,.;:!?)\]])(?=[\s)\]\",.;:]|\Z)"), r"\1"),
    (re.compile(r"\. \.(?<!\.\. \.)(?<!\. \. \.)(?! ?\.)"), "."),  # not in an ellipsis
    (re.compile(r"\[\[+"), ""),  # joined by the patterns above, as in [:[
    (re.compile(r"^ ?[:;,*#]+ ", re.MULTILINE), ""),
    (re.compile(r" {2,}"), " "),
]


def _tidy(text: str) -> str:
    """Mend spaces and punctuation around what was dropped, and drop lines without a letter or digit."""
    if SURROGATE.search(text):  # pairs are joined, others replaced
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    for pattern, replacement in TIDYING:
        text = pattern.sub(replacement, text)
    return "\n".join(line.strip() for line in text.split("\n") if re.search(r"\w", line))
