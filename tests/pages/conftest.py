"""The page in a browser: as static files, with the demo's model on WebAssembly."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.browser.build import ENGINE, build
from support.browser import chromium, need, playwright, served, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright


@pytest.fixture(scope="session")
def static_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(ENGINE.is_dir(), "onnxruntime-web (npm install --prefix examples/browser)")
    folder = tmp_path_factory.mktemp("static") / "page"
    build(folder)
    return folder


@pytest.fixture(scope="module")
def address(static_page: Path) -> Generator[str]:
    with served(static_page) as address:
        yield address


@pytest.fixture(scope="module")
def driver() -> Generator[Playwright]:
    with playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browser(driver: Playwright) -> Generator[Browser]:
    with chromium(driver) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Generator[Page]:
    """The page on WebAssembly."""
    with watched(browser, address, "?backend=wasm") as page:
        yield page
