"""The documentation site: it builds without a warning, needs no network, and shows every page once."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from natural_sparsity import registry
from natural_sparsity.cli import COMMANDS

ROOT = Path(__file__).parents[1]
# What a page loads, as opposed to what a reader may follow.
LOADED = re.compile(
    r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"|url\(([^)]+)\)|@import ([^;]+)"
)
WIDTHS = (1280, 390)

pytestmark = [pytest.mark.slow, pytest.mark.integration]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as ``make docs`` builds it."""
    [recipe] = re.findall(r"^docs:.*\n\t(.+)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    options = [word for word in recipe.split() if word.startswith("--")]
    assert "--fail-on-warning" in options
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", *options, "-d", f"{folder}/doctrees", "docs", f"{folder}/html"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    return folder / "html"


def test_every_page_is_in_the_order_of_the_site_once(site):
    order = yaml.safe_load((ROOT / "docs/_toc.yml").read_text(encoding="utf-8"))
    listed = [entry["file"] for part in order["subtrees"] for entry in part["entries"]]
    assert sorted([order["root"], *listed]) == sorted(path.stem for path in ROOT.glob("docs/*.[mr][ds]*"))
    assert [part["caption"] for part in order["subtrees"]][:4] == [
        "Tutorial",
        "How-to guides",
        "Reference",
        "Explanation",
    ]


def test_nothing_comes_from_the_network(site):
    files = [*site.glob("*.html"), *site.glob("_static/**/*.css")]
    assert len(files) > 30
    for path in files:
        for found in LOADED.findall(path.read_text(encoding="utf-8")):
            assert not re.match(r"[\"']?(https?:)?//", "".join(found)), (path.name, found)


def test_every_link_and_picture_leads_somewhere(site):
    for path in site.glob("*.html"):
        for link in re.findall(r"(?:href|src)=\"([^\"]+)\"", path.read_text(encoding="utf-8")):
            address = urlsplit(link)
            if address.scheme:
                continue
            target = path.parent / unquote(address.path) if address.path else path
            assert target.exists(), (path.name, link)
            if address.fragment and target.suffix == ".html":
                assert f'id="{unquote(address.fragment)}"' in target.read_text(encoding="utf-8"), (path.name, link)


def test_the_reference_has_every_command_figure_and_table(site):
    page = (site / "commands.html").read_text(encoding="utf-8")
    names = [
        *COMMANDS,
        *(f"draw-{name}" for name in registry.FIGURES),
        *(f"tabulate-{name}" for name in registry.TABLES),
    ]
    assert [name for name in names if f'id="natural-sparsity-{name}"' not in page] == []
    # The arguments of figures are imported on demand.
    assert 'id="natural-sparsity-draw-fig2---probes"' in page


def test_files_that_top_the_repository_are_whole_pages(site):
    for page, file in (("contributing", "CONTRIBUTING.md"), ("changelog", "CHANGELOG.md")):
        headings = re.findall(r"^## (.+)", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
        shown = (site / f"{page}.html").read_text(encoding="utf-8")
        assert headings
        assert [heading for heading in headings if f"<h2>{heading}" not in shown] == []


@pytest.mark.browser
def test_pages_fit_a_desktop_and_a_phone_and_ask_nobody_for_anything(site, new_page):
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in sorted(site.glob("*.html")):
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
