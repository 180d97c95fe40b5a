"""Headless Chromium on a folder of static files."""

from __future__ import annotations

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

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

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
document.addEventListener("explained", ({ detail }) => explanations.push({
  ...detail, map: [...detail.map], probabilities: detail.probabilities && [...detail.probabilities],
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
