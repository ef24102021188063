"""The types that TypeScript's checker (make lint) takes for granted are those of the page."""

import re
from html.parser import HTMLParser

from natural_sparsity.explorer import page

FOLDER = page.resources("natural_sparsity.explorer")
KINDS = {"ul": "HTMLUListElement", "fieldset": "HTMLFieldSetElement"}


def find_elements():
    """The tag of each element of the page that has an id."""
    tags = {}
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.update({dict(attributes).get("id"): tag})
    parser.feed((FOLDER / "page.html").read_text(encoding="utf-8"))
    return tags


def test_the_scripts_ask_for_elements_of_the_page_as_what_they_are():
    types = (FOLDER / "types.d.ts").read_text(encoding="utf-8")
    (declared,) = re.findall(r"interface PageElements \{\n(.*?)\n\}", types, flags=re.DOTALL)
    kinds = dict(re.findall(r'"?([a-z-]+)"?: (\w+);', declared))
    tags = find_elements()
    assert len(kinds) > 30
    for name, kind in kinds.items():
        exact = KINDS.get(tags[name], f"HTML{tags[name].capitalize()}Element")
        assert kind in (exact, "HTMLElement", "Plot"), name
    scripts = "".join((FOLDER / name).read_text(encoding="utf-8") for name in page.SCRIPTS)
    asked = set(re.findall(r'\$\("([^"]+)"\)', scripts))
    assert asked <= kinds.keys()


def test_every_script_is_checked():
    for name in page.SCRIPTS:
        assert (FOLDER / name).read_text(encoding="utf-8").startswith('// @ts-check\n"use strict";\n'), name
