"""Turn MediaWiki markup into running prose."""

import re
from collections import Counter
from collections.abc import Iterator

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Template, Text, Wikilink

# The parser takes more than linear time where brackets are not closed. So a long page is cut, at headings if possible,
# and cut small if it has more open brackets than a few mistakes explain, or deeper ones than the parser follows.
CHARACTERS_PER_PIECE = 1 << 18
CHARACTERS_PER_BROKEN_PIECE = 1 << 11
MOST_OPEN = 40
BRACKETS = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||\|\}|\[(?=https?:|//)|\]|<(/?)([a-z]{1,12})\b([^<>]*)(>?)", re.I)
CLOSING = {"}}": "{{", "]]": "[[", "|}": "{|", "]": "["}
UNCLOSED_TAGS = {"br", "hr", "wbr", "li", "dd", "dt", "p", "td", "th", "tr"}
# Spans that would be dropped after parsing anyway. An unclosed <ref> ends before the next one.
DROPPED_SPANS = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<ref\b[^<>]*/>"
    r"|<(ref|math|gallery|timeline|score|syntaxhighlight|source|imagemap|hiero|chem|ce|pre|graph|mapframe|templatedata)"
    r"\b[^<>]*(?<!/)>[^<]*(?:<(?!/?\1\b)[^<]*)*</\1\s*>"
    r"|</?ref\b[^<>]*>",
    re.DOTALL | re.IGNORECASE,
)
# fmt: off
DROPPED_TAGS = {
    "ref", "references", "math", "gallery", "timeline", "score", "syntaxhighlight", "source", "imagemap", "hiero",
    "chem", "ce", "pre", "graph", "mapframe", "templatedata", "table", "tr", "td", "th", "caption", "style",
    "script", "noinclude", "includeonly",
}
# fmt: on
BLOCK_TAGS = {"div", "p", "blockquote", "center", "poem", "ul", "ol", "li", "dl", "dd", "dt", "br", "hr", "section"}
# Templates whose argument is part of the sentence: name → number of the argument. {{convert}} is handled apart.
INLINE_TEMPLATES = {
    **dict.fromkeys(("nowrap", "nobr", "small", "smaller", "big", "vanchor", "abbr", "tooltip", "angbr", "sc"), "1"),
    **dict.fromkeys(("keypress", "nihongo", "visible anchor", "em", "strong"), "1"),
    **dict.fromkeys(("lang", "transl", "transliteration"), "2"),
}
SPACES_AND_DASHES = {
    "'s": "'s", "'": "'", "nbsp": " ", "spaces": " ", "·": "·", "ndash": "–", "mdash": "—", "snd": " – ", "spnd": " – ",
    "spaced ndash": " – ", "en dash": "–", "em dash": "—", "–": "–", "—": "—",
}  # fmt: skip
RANGES = {"to", "and", "or", "by", "x", "×", "-", "–", "+/-"}
NOT_TEXT = re.compile(
    r"\s*(?:file|image|media|category|wikipedia:|special|template)\s*:"  # namespaces
    r"|\s*[a-z]{2,3}(?:-[a-z]{2,})*\s*:(?!\s)"  # another language
    r"|[^|]*\.(?:jpe?g|png|gif|svg|tiff?|og[gv]|webm|pdf)\s*$",  # a file, whatever the wiki calls its namespace
    re.IGNORECASE,
)
# Markup that the parser leaves as text where it is broken.
STRAY = re.compile(r"__[A-Z]{3,}__|</?(?:[a-z]{1,10}|h[1-6])\b[^<>]*>|'{2,}|\{\{+|\}\}+|\[\[|\]\]", re.I)
BROKEN_LINE = re.compile(r"\{\||\||!\s|!.*[|!]|(?:file|image|category):.*\|", re.I)  # of a table or a file
BREAK = "\n\n"
# Marks at the start of a line: a list item is not joined to the line before; preformatted text is not prose.
ITEM, PREFORMATTED = "\x01", "\x02"
MARKS = re.compile(f"[{ITEM}{PREFORMATTED}\r]")


def plain_text(wikitext: str) -> str:
    """Extract the running prose of a page in MediaWiki markup: one line per paragraph or list item, no empty lines.

    Any string is accepted; invalid markup comes out as text, without its brackets and bars.
    """
    text = DROPPED_SPANS.sub("", MARKS.sub("", wikitext))
    out = "".join(part for piece in _split_pieces(text) for part in _render(mwparserfromhell.parse(piece).nodes))
    return "\n".join(paragraph for paragraph in map(_tidy, _join_paragraphs(out)) if re.search(r"\w", paragraph))


def _split_pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces that the parser handles in reasonable time."""
    for piece in _cut(text, CHARACTERS_PER_PIECE):
        yield from _cut(piece, CHARACTERS_PER_BROKEN_PIECE) if _is_broken(piece) else [piece]


def _cut(text: str, most: int) -> Iterator[str]:
    """Cut a text into pieces of at most ``most`` characters, at a heading, blank line or line end where possible."""
    start = 0
    while len(text) - start > most:
        cuts = (text.rfind(mark, start + most // 2, start + most) for mark in ("\n==", "\n\n", "\n"))
        cut = next((cut for cut in cuts if cut > 0), start + most)
        yield text[start:cut]
        start = cut
    yield text[start:]


def _is_broken(text: str) -> bool:
    """Tell whether more than ``MOST_OPEN`` brackets and tags are open at any place of a text."""
    depth, total = Counter[str](), 0
    for bracket in BRACKETS.finditer(text):
        closes, tag, rest, end = bracket.groups()
        kind = CLOSING.get(bracket[0], (tag or bracket[0]).lower())
        if tag and not end:
            step = 1  # the tag lacks its ">"
        elif closes or bracket[0] in CLOSING:
            step = -1 if depth[kind] else 0
        else:
            step = 0 if tag and (rest.endswith("/") or kind in UNCLOSED_TAGS) else 1
        depth[kind] += step
        total += step
        if total > MOST_OPEN:
            return True
    return False


def _render(nodes: list) -> Iterator[str]:
    """Yield the text of parsed nodes."""
    for node in nodes:
        match node:
            case Text():
                yield STRAY.sub("", node.value.replace("\n ", f"\n{PREFORMATTED} "))
            case Wikilink():
                yield from _render_link(node)
            case Template():
                yield from _render_template(node)
            case HTMLEntity():
                yield _render_entity(node)
            case ExternalLink():
                if node.title is not None and node.brackets:
                    yield from _render(node.title.nodes)
            case Tag():
                yield from _render_tag(node)
            case Heading():
                yield BREAK
            # Comments and template arguments are not text.


def _render_link(link: Wikilink) -> Iterator[str]:
    title = str(link.title)
    if NOT_TEXT.match(title) and not title.lstrip().startswith(":"):
        return
    if link.text is not None:
        yield from _render(link.text.nodes)
    else:
        yield from (part.lstrip(":") if i == 0 else part for i, part in enumerate(_render(link.title.nodes)))


def _render_template(template: Template) -> Iterator[str]:
    name = str(template.name).strip().lower()
    if name in SPACES_AND_DASHES:
        yield SPACES_AND_DASHES[name]
    elif name in ("convert", "cvt") and template.has("1") and template.has("2"):
        # {{convert|10|km|mi}}, {{convert|10|to|20|km|mi}}, {{convert|10|and(-)|20|km|mi}}
        values = ["".join(_render(template.get(i).value.nodes)).strip() for i in range(1, 5) if template.has(str(i))]
        values[1] = re.sub(r"\(-?\)$", "", values[1])
        yield " ".join(values[: 4 if values[1] in RANGES else 2])
    elif name == "as of" and template.has("1"):
        yield ("as of " if template.has("lc") else "As of ") + str(template.get("1").value).strip()
    elif name in INLINE_TEMPLATES and template.has(INLINE_TEMPLATES[name]):
        yield from _render(template.get(INLINE_TEMPLATES[name]).value.nodes)


def _render_entity(entity: HTMLEntity) -> str:
    try:
        return entity.normalize()
    except (ValueError, OverflowError):
        return " "


def _render_tag(tag: Tag) -> Iterator[str]:
    name = str(tag.tag).strip().lower()
    if name in DROPPED_TAGS:
        yield BREAK if name == "table" else ""
        return
    if tag.wiki_markup in ("*", "#", ":", ";"):
        yield "\n" + ITEM
        return
    if name in BLOCK_TAGS:
        yield BREAK
    if tag.contents is not None:
        yield from _render(tag.contents.nodes)
    if name in BLOCK_TAGS:
        yield BREAK


def _join_paragraphs(text: str) -> Iterator[str]:
    """Join lines that MediaWiki shows as one paragraph, that is, up to an empty line or a list item."""
    paragraph: list[str] = []
    for line in text.split("\n"):
        bare = "" if line.startswith(PREFORMATTED) else line.strip()
        bare = "" if BROKEN_LINE.match(bare) else bare
        if (not bare or bare.startswith(ITEM)) and paragraph:
            yield " ".join(paragraph)
            paragraph = []
        if bare.strip(ITEM):
            paragraph.append(bare.replace(ITEM, " "))
    if paragraph:
        yield " ".join(paragraph)


TIDYING = [
    (re.compile(r"[^\S\n]+"), " "),
    (re.compile(r"([(\[])(?:\s*(?:[,;:/]|[–—-](?=[\s)])))+"), r"\1"),  # leftovers of templates: ( ; born 1950)
    (re.compile(r"([,;:])(?:\s*[,;])+"), r"\1"),
    (re.compile(r"(?<![,;:\s])(?:\s*[,;:])+\s*([)\]])"), r"\1"),
    (re.compile(r"(?<!\w)\(\s*\)|\[\s*\]"), ""),
    (re.compile(r"([(\[])\s+"), r"\1"),
    (re.compile(r"(?<![.\s])\s+(?!\. ?\.)([,.;:!?)\]])(?=\s|[)\]\",.;:]|$)"), r"\1"),
    (re.compile(r"(?<!\.)(?<!\. )\. \.(?! ?\.)"), "."),  # not in an ellipsis
    (re.compile(r"\[\[+"), ""),  # joined by the patterns above, as in [:[
    (re.compile(r"^\s*[:;,*#]+\s"), ""),
    (re.compile(r" {2,}"), " "),
]


def _tidy(paragraph: str) -> str:
    for pattern, replacement in TIDYING:
        paragraph = pattern.sub(replacement, paragraph)
    return paragraph.strip()
