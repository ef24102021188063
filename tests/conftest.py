"""One thread per process, the marker of unit tests, and a browser for tests of HTML pages."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported. With a test process per core, more threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine takes any time for an example.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# Whole runs of Snakemake.
INTEGRATION = Path(__file__).with_name("workflow")
OTHER_TIERS = {"integration", "slow", "browser", "gpu", "slurm"}
# Chromium refuses its sandbox to root; SwiftShader draws WebGL without a graphics card.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark everything in tests/workflow ``integration``, and what belongs to no other tier ``unit``.

    The longest come first, so that no process has one left when the others are done.
    """
    items.sort(key=lambda item: INTEGRATION not in item.path.parents)
    for item in items:
        if INTEGRATION in item.path.parents:
            item.add_marker(pytest.mark.integration)
        if OTHER_TIERS.isdisjoint(marker.name for marker in item.iter_markers()):
            item.add_marker(pytest.mark.unit)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium from the system; nothing is downloaded."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium is installed; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def spare_pages():
    """Pages that no test uses now. Where one was open, scripts and shaders are compiled, most of what it takes."""
    return []


@pytest.fixture
def new_page(browser, spare_pages):
    """Open an empty page, for the length of the test."""
    used = []

    def opened(viewport=(1300, 900), color_scheme="light"):
        page = spare_pages.pop() if spare_pages else browser.new_page()
        used.append(page)
        page.set_default_timeout(120_000)  # milliseconds; pages take one or two seconds where nothing else runs
        page.set_viewport_size(dict(zip(("width", "height"), viewport, strict=True)))
        page.emulate_media(color_scheme=color_scheme)
        return page

    yield opened
    for page in used:
        page.mouse.move(0, 0)
        page.goto("about:blank")
    spare_pages.extend(reversed(used))
