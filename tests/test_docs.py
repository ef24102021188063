"""The documentation: its links lead somewhere, and what it names exists."""

import re
from pathlib import Path

import pytest

from natural_sparsity import registry
from natural_sparsity.analysis.claims import CLAIMS
from natural_sparsity.analysis.verdicts import write_rule

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!http)([^)#\s]*)(?:#([^)\s]+))?\)|<img src=\"([^\"]+)\"")


def list_anchors(page: Path) -> set[str]:
    """The anchors that a forge gives the headings of a page: lower case, hyphens for spaces, no punctuation."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_a_file_and_a_heading(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    for path, anchor, picture in links:
        target = (page.parent / (path or picture)) if path or picture else page
        assert target.exists(), f"{page.name}: {path or picture}"
        assert not anchor or anchor in list_anchors(target), f"{page.name}: {path}#{anchor}"


def test_every_claim_stands_beside_its_statement():
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| Statement \| Where \| Claim \|\n(.*?)\n\n", page, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`([^`]+)`", table)
    assert sorted(named) == sorted(claim.id for claim in CLAIMS)


def test_the_page_on_claims_has_their_rules():
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8").replace("\\|", "∣")
    rows = re.findall(r"^\| `(.+)` \| .+ \| (.+) \|$", page, flags=re.MULTILINE)
    assert rows == [(claim.id, write_rule(claim.rule).replace("|", "∣")) for claim in CLAIMS]


def test_the_readme_names_every_figure_and_table_that_is_not_of_sparsified_models():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| Target \| Shows \|\n(.*?)\n\n", page, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines())))
    made = {*registry.FIGURES, *registry.TABLES}
    sparsified = {
        "connectivity",
        "footprint",
        "lottery",
        "moduli",
        "natural",
        "network",
        "stability",
        "structure",
        "units",
    }
    assert named - {"evaluations", "explorer", "exports", "exports_onnx"} == made - sparsified
