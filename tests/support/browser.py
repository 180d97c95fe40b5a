"""Headless Chromium on a folder of static files."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from support.paths import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

AXE = ROOT / "examples" / "browser" / "node_modules" / "axe-core" / "axe.min.js"

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 360, "height": 740},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    },
}
"""How pages are looked at: options of a new page."""
# No sandbox, since continuous integration is root; nothing that Chromium would look up by itself.
SWITCHES = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
# WebGPU without a graphics card: Vulkan computed by the processor.
SOFTWARE_GPU = [
    "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
]  # fmt: skip
# The page's events, with arrays that can be serialised.
LISTEN = """
window.explanations = [];
document.addEventListener("explained", ({ detail: { shown, ...answer } }) => explanations.push({
  ...answer, ...shown, map: [...shown?.map ?? []],
  probabilities: shown?.probabilities && [...shown.probabilities],
}));
"""


def need(found: object, what: str) -> None:
    """Skip the test where ``what`` is missing; continuous integration has it, or fails."""
    if found:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


@contextlib.contextmanager
def playwright() -> Generator[Playwright]:
    """What drives browsers; one at a time."""
    need(find_spec("playwright"), "playwright (pip install playwright)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver


@contextlib.contextmanager
def chromium(driver: Playwright, *switches: str) -> Generator[Browser]:
    """A running browser."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    need(program, "Chromium (Debian: apt-get install chromium)")
    browser = driver.chromium.launch(executable_path=program, args=[*SWITCHES, *switches])
    try:
        yield browser
    finally:
        browser.close()


@contextlib.contextmanager
def watched(browser: Browser, address: str, query: str = "") -> Generator[Page]:
    """The page with its model open; it loads nothing from elsewhere, and nothing goes wrong."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    page.on(
        "request",
        lambda request: (
            request.url.startswith((address, "blob:", "data:")) or troubles.append(request.url)
        ),
    )
    page.add_init_script(LISTEN)
    open_page(page, f"{address}{query}")
    yield page
    page.close()
    assert troubles == []


def open_page(page: Page, address: str) -> None:
    """Open the page and wait for its model."""
    page.goto(address)
    page.wait_for_selector("body[data-state=ready]", timeout=60_000)


def open_model(page: Page, path: Path) -> None:
    """Open a model from a file."""
    page.set_input_files("#open", path)
    page.wait_for_function(
        "name => document.body.dataset.state === 'ready' && model.value === name", arg=path.stem
    )


def nth_explanation(page: Page, count: int) -> dict[str, Any]:
    """Wait for the page's ``count``-th explanation and return it."""
    page.wait_for_function("count => explanations.length >= count", arg=count, timeout=60_000)
    return page.evaluate("count => explanations[count - 1]", count)


def drawn(page: Page, canvas: str) -> np.ndarray:
    """RGBA pixels of a canvas, as they were before the page scaled it."""
    url = page.evaluate(f"document.querySelector('.{canvas}').toDataURL()")
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong for readers with disabilities: rule, and the elements."""
    need(AXE.is_file(), "axe-core (npm install --prefix examples/browser)")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found]


def screenshot(page: Page, name: str) -> None:
    """Write a screenshot to the folder that GRAFTCAM_SCREENSHOTS names, if it names one."""
    folder = os.environ.get("GRAFTCAM_SCREENSHOTS")
    if folder:
        path = Path(folder) / f"{name}.jpg"
        page.screenshot(path=path, animations="disabled", type="jpeg", quality=88)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Generator[str]:
    """The address under which this machine, and no other, sees ``folder``."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
