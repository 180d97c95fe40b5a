"""The page in a browser: as static files, with the demo's model on WebAssembly."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.browser.build import ENGINE, build
from support.browser import LISTEN, chromium, need, open_page, playwright, served

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
    """The page on WASM, with its model open; nothing may go wrong on it."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    page.on("request", lambda request: request.url.startswith((address, "blob:", "data:"))
            or troubles.append(request.url))  # fmt: skip
    page.add_init_script(LISTEN)
    open_page(page, f"{address}?backend=wasm")
    yield page
    page.close()
    assert troubles == []
