"""The page under haste: what was asked for last is shown, and what went before is given back."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from graftcam.demo.bundled import FOLDER
from support.artifacts import preprocess
from support.browser import LISTEN, chromium, drawn, nth_explanation, open_model, open_page
from support.exports import make
from support.nets import Tiny

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright, Route

DIGITS = FOLDER / "digits1.png"  # holds a zero, an eight and a seven
# Counts how often a session runs or is given back, and an image's pixels are read.
COUNT = """async () => {
    const { InferenceSession } = await import("/ort/ort.wasm.min.mjs");
    const canvas = OffscreenCanvasRenderingContext2D.prototype;
    const session = await InferenceSession.create("/page/resize_linear.onnx");
    window.counts = { run: 0, release: 0, getImageData: 0 };
    for (const [kind, name] of [[session.constructor.prototype, "run"],
                                [session.constructor.prototype, "release"],
                                [canvas, "getImageData"]]) {
        const own = kind[name];
        kind[name] = function (...given) { counts[name] += 1; return own.apply(this, given); };
    }
}"""
DROP = """files => {
    const transfer = new DataTransfer();
    for (const [name, content] of Object.entries(files)) {
        const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt());
        transfer.items.add(new File([bytes], name));
    }
    const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
    document.body.dispatchEvent(drop);
}"""


def plain(path: Path, size: tuple[int, int] = (40, 60)) -> Path:
    """A grey image."""
    cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))
    return path


def tiny(path: Path, **options: Any) -> Path:
    """A model of six classes that resizes images to 8 x 8."""
    record = preprocess(input="", size=[8, 8], resize=[8, 8], resize_mode="exact")
    make(Tiny(), path, preprocess=record, profile="web", **options)
    return path


def hold(page: Page, address: str) -> list[Route]:
    """Let requests of an address wait in the list."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(address, keep)
    return held


def test_the_image_that_was_asked_for_last_is_shown(page: Page, tmp_path: Path) -> None:
    held = hold(page, "**/images/*")
    page.locator("#examples button").first.click()
    page.wait_for_timeout(100)
    page.set_input_files("#image", plain(tmp_path / "grey.png"))
    nth_explanation(page, 1)
    for route in held:
        route.continue_()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    assert page.evaluate("explanations.length") == 1
    assert drawn(page, "photo").shape[:2] == (40, 60)


def test_the_model_that_was_chosen_last_is_shown(page: Page, tmp_path: Path) -> None:
    open_model(page, tiny(tmp_path / "tiny.onnx"))
    page.set_input_files("#image", DIGITS)
    nth_explanation(page, 1)
    held = hold(page, "**/models/digits.onnx")
    page.select_option("#model", "digits")
    page.wait_for_timeout(100)
    page.locator("#ranking button").nth(1).evaluate_all("all => all.forEach(one => one.click())")
    assert page.evaluate("explanations.length") == 1  # not by the model before
    page.select_option("#model", "tiny")
    assert nth_explanation(page, 2)["label"] in list("012345")
    for route in held:
        route.continue_()
    page.wait_for_timeout(1000)
    assert page.input_value("#model") == "tiny"
    assert page.get_attribute("body", "data-state") == "ready"
    assert page.evaluate("explanations.length") == 2


def test_a_new_image_is_explained_by_what_it_shows(page: Page, tmp_path: Path) -> None:
    page.set_input_files("#image", DIGITS)
    nth_explanation(page, 1)
    page.locator("#ranking button", has_text="seven").click()
    nth_explanation(page, 2)
    page.click("#compare")
    nth_explanation(page, 3)
    page.set_input_files("#image", plain(tmp_path / "grey.png"))
    first, second = nth_explanation(page, 4), nth_explanation(page, 5)
    assert (first["side"], second["side"]) == (0, 1)
    assert first["label"] == first["predictions"][0]["label"]
    assert second["label"] == first["predictions"][1]["label"]


def test_of_hasty_choices_the_last_alone_is_computed(page: Page) -> None:
    page.set_input_files("#image", DIGITS)
    nth_explanation(page, 1)
    page.evaluate(COUNT)
    wanted = page.locator("#ranking .label").last.inner_text()
    page.locator("#ranking button").evaluate_all("all => all.forEach(one => one.click())")
    assert nth_explanation(page, 2)["label"] == wanted
    assert page.evaluate("counts") == {"run": 1, "release": 0, "getImageData": 0}


def test_a_model_that_is_exchanged_gives_its_memory_back(page: Page, tmp_path: Path) -> None:
    page.evaluate(COUNT)
    open_model(page, tiny(tmp_path / "tiny.onnx"))
    assert page.evaluate("counts.release") == 1
    page.set_input_files("#image", DIGITS)
    nth_explanation(page, 1)
    bitmaps = "ImageBitmap.prototype.close = function () { counts.closed = this.width; }"
    page.evaluate(bitmaps)
    page.set_input_files("#image", plain(tmp_path / "grey.png"))
    nth_explanation(page, 2)
    assert page.evaluate("counts.closed") == 96


def test_the_focus_stays_among_the_choices(page: Page) -> None:
    page.locator("#examples button").first.press("Enter")
    nth_explanation(page, 1)
    assert page.evaluate("document.activeElement.id") == "stage"
    page.locator("#ranking button").nth(2).press("Enter")
    nth_explanation(page, 2)
    focused = page.locator("#ranking button:focus")
    assert focused.get_attribute("aria-pressed") == "true"


def test_a_message_about_a_model_stays_while_the_one_before_explains(
    page: Page, tmp_path: Path
) -> None:
    page.set_input_files("#image", DIGITS)
    nth_explanation(page, 1)
    broken = tmp_path / "broken.ONNX"
    broken.write_bytes(b"\x0a\x05graft")
    page.set_input_files("#open", broken)
    nth_explanation(page, 2)
    assert "has no graftcam metadata" in page.inner_text("#notice-words")
    assert page.locator("#notice").is_visible()


def test_a_caption_says_what_the_method_shows(page: Page) -> None:
    caption = """async ([method, signed, status]) => {
        const { captionOf } = await import("/page/words.js");
        return captionOf({ label: "cup", layer: "last", method, signed }, status);
    }"""
    assert page.evaluate(caption, ["gradcam", False, "ok"]) == "Evidence for “cup”"
    assert page.evaluate(caption, ["cam", True, "ok"]) == "Evidence for and against “cup”"
    assert page.evaluate(caption, ["counterfactual", False, "ok"]) == "Evidence against “cup”"
    assert page.evaluate(caption, ["counterfactual", False, "zero"]) == (
        "No evidence against “cup” in this image at this layer"
    )
    assert "whichever the class" in page.evaluate(caption, ["eigencam", False, "ok"])


def test_of_several_dropped_images_the_first_is_shown(page: Page, tmp_path: Path) -> None:
    images = [plain(tmp_path / "one.png"), plain(tmp_path / "two.png", (30, 30))]
    page.evaluate(DROP, {one.name: base64.b64encode(one.read_bytes()).decode() for one in images})
    nth_explanation(page, 1)
    assert drawn(page, "photo").shape[:2] == (40, 60)
    assert page.inner_text("#notice-words") == "2 images were dropped; one.png is shown."
    page.evaluate(DROP, {})
    page.locator("#notice-words", has_text="This is not a file.").wait_for()


def test_two_classes_of_one_name_are_told_apart(page: Page, tmp_path: Path) -> None:
    labels = ["crane", "owl", "crane", "ant", "bee", "fly"]
    open_model(page, tiny(tmp_path / "cranes.onnx", labels=labels))
    page.set_input_files("#image", DIGITS)
    nth_explanation(page, 1)
    page.fill("#class", "crane")
    assert page.locator("#class-list li").all_inner_texts() == ["crane (0)", "crane (2)"]
    page.locator("#class-list li").last.click()
    assert nth_explanation(page, 2)["class"] == 2
    assert "class=2" in page.url


def test_what_an_image_needs_is_loaded_again_when_the_connection_is_back(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    page = browser.new_page()
    page.add_init_script(LISTEN)
    open_page(page, f"{address}?backend=wasm")
    open_model(page, tiny(tmp_path / "tiny.onnx"))
    page.route("**/resize_linear.onnx", lambda route: route.abort())
    page.set_input_files("#image", plain(tmp_path / "grey.png"))
    page.locator("#notice-words", has_text="page/resize_linear.onnx cannot be loaded").wait_for()
    page.unroute("**/resize_linear.onnx")
    page.click("#retry")
    assert nth_explanation(page, 1)["label"]
    page.close()


@pytest.mark.parametrize("button", ["camera-close", "turn"])
def test_no_camera_stays_on(driver: Playwright, address: str, button: str) -> None:
    switches = "--use-fake-device-for-media-stream=device-count=2", "--use-fake-ui-for-media-stream"
    with chromium(driver, *switches) as browser:
        page = browser.new_page()
        page.add_init_script("""
            const devices = navigator.mediaDevices;
            const own = devices.getUserMedia.bind(devices);
            window.streams = [];
            devices.getUserMedia = async (...asked) => {
                if (streams.length) await new Promise((done) => setTimeout(done, 500));
                streams.push(await own(...asked));
                return streams.at(-1);
            };
        """)
        open_page(page, f"{address}?backend=wasm")
        twice = "one => { one.click(); one.click(); }"
        page.locator("#sources [data-source=camera]").evaluate(twice)
        page.wait_for_function("() => preview.videoWidth > 0")
        if button == "turn":
            page.click("#turn")
        page.click("#camera-close")
        page.wait_for_timeout(1000)
        assert page.evaluate("streams.length") == (2 if button == "turn" else 1)
        live = "streams.flatMap(one => one.getTracks()).filter(one => one.readyState === 'live')"
        assert page.evaluate(f"({live}).length") == 0
        assert page.evaluate("preview.srcObject") is None
