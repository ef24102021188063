"""The documentation says what the code does."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_configuration_page_is_that_of_the_schema():
    page = runpy.run_path(str(ROOT / "docs/make_configuration.py"))["page"]()
    assert (ROOT / "docs/configuration.md").read_text() == page, "run: python docs/make_configuration.py"
    for key in ("corpora.NAME.min_count", "models.NAME.training.learning_rate", "runs[].epochs", "figures.NAME.width"):
        assert f"`{key}`" in page


def test_links_of_the_readme_lead_somewhere():
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
