"""The links of the documentation lead somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_links_of_the_readme_lead_somewhere():
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
