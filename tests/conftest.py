"""One thread a process, and a real browser for the tests marked so."""

import os
import shutil

import pytest

# Before torch is imported. Several processes of several threads each on a few cores hold each other up.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# WebGL on a processor, for machines without a graphics card; root needs to go without the sandbox.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; none is downloaded."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium is installed; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
