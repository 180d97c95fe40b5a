"""What people do with the page: by mouse, by keyboard, on a phone, with files that are wrong."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from graftcam.demo.bundled import FOLDER
from graftcam.runtime import Explainer
from support.artifacts import write_artifact
from support.browser import (
    LISTEN,
    LOOKS,
    chromium,
    nth_explanation,
    open_page,
    screenshot,
    violations,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Download, Page, Playwright

DIGITS = FOLDER / "digits1.png"  # holds a zero, an eight and a seven


def show(page: Page) -> None:
    """Show an image and wait for its first explanation."""
    page.set_input_files("#image", DIGITS)
    nth_explanation(page, 1)


def caption(page: Page, side: int = 0) -> str:
    return page.locator(".caption").nth(side).inner_text()


def test_everything_can_be_reached_and_done_by_keyboard(page: Page) -> None:
    page.locator("#examples button").nth(1).press("Enter")
    nth_explanation(page, 1)
    page.locator("#class").focus()
    page.keyboard.type("eight")  # it replaces what was there
    page.keyboard.press("Enter")
    assert nth_explanation(page, 2)["label"] == "eight"
    page.keyboard.type("zero")  # and again
    page.keyboard.press("Enter")
    assert nth_explanation(page, 3)["label"] == "zero"
    page.locator("#ranking button", has_text="seven").press("Enter")
    assert nth_explanation(page, 4)["label"] == "seven"
    page.locator("#opacity").press("End")
    assert page.inner_text("#percent") == "100 %"
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('.heat')).opacity === '1'"
    )
    page.locator("#opacity").press("Home")
    assert page.inner_text("#percent") == "0 %"
    reached: list[str] = []
    page.locator("#theme").focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        what = "document.activeElement.id || document.activeElement.textContent.trim()"
        reached.append(page.evaluate(what))
        seen = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        inside = "!!document.activeElement.closest('label')"
        assert page.evaluate(f"{seen} || {inside}"), reached
        if reached[-1] == "About this model":
            break
    for name in ("New image", "compare", "class", "opacity", "Overlay", "JSON"):
        assert name in reached


def test_a_class_is_found_by_a_part_of_its_name(page: Page) -> None:
    show(page)
    field, options = page.locator("#class"), page.locator("#class-list li")
    shown = field.input_value()
    field.click()
    assert options.first.inner_text() == "The predicted class"
    assert field.get_attribute("aria-expanded") == "true"
    field.fill("ne")
    assert options.all_inner_texts() == ["one", "nine"]  # those that begin with it come first
    field.press("ArrowDown")
    active = page.locator(f"#{field.get_attribute('aria-activedescendant')}")
    assert active.inner_text() == "nine"
    assert active.get_attribute("aria-selected") == "true"
    field.press("ArrowDown")
    assert page.locator("[aria-selected=true]").inner_text() == "one"
    field.fill("unicorn")
    assert options.count() == 0
    assert page.inner_text("#class-note") == "No class matches “unicorn”."
    field.press("Enter")  # chooses nothing
    field.press("Escape")
    assert field.input_value() == shown
    assert not page.locator("#class-popup").is_visible()
    field.fill("9")  # a class by its number
    field.press("Enter")
    assert nth_explanation(page, 2)["class"] == 9


def test_two_explanations_are_compared(page: Page) -> None:
    show(page)
    first = caption(page)
    page.click("#compare")
    second = nth_explanation(page, 2)
    assert caption(page, 0) == first
    assert caption(page, 1) == f"Evidence for “{second['label']}”" != first
    page.locator("#ranking button").nth(2).click()  # the settings change B
    third = nth_explanation(page, 3)
    assert third["side"] == 1
    assert caption(page, 0) == first
    page.check("[name=side][value='0']")
    assert page.locator("#ranking [aria-pressed=true] .label").inner_text() in first
    page.locator(".frame").nth(1).click()
    assert page.locator("[name=side][value='1']").is_checked()
    page.check("[name=view][value=swipe]")
    page.locator("#swipe").press("Home")
    left, right = (page.locator(".frame").nth(side).bounding_box() for side in (0, 1))
    assert left == right  # one lies over the other
    clip = "getComputedStyle(document.querySelectorAll('.frame')[1]).clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 0%)"
    page.mouse.move(left["x"] + left["width"] * 0.75, left["y"] + 40)
    page.mouse.down()
    page.mouse.up()
    assert page.evaluate(clip) == "inset(0px 0px 0px 75%)"
    page.click("#compare")
    assert page.locator(".pane").count() == 1
    assert caption(page) == first


def downloaded(page: Page, kind: str) -> tuple[Download, bytes]:
    with page.expect_download() as waiting:
        page.click(f"[data-file={kind}]")
    return waiting.value, Path(waiting.value.path()).read_bytes()


def test_what_is_shown_can_be_downloaded(page: Page, static_page: Path) -> None:
    show(page)
    page.locator("#opacity").press("End")
    found = Explainer(static_page / "models" / "digits.onnx", "cpu").explain(DIGITS)
    label = found.labels[0]
    file, data = downloaded(page, "heatmap")
    assert file.suggested_filename == f"digits1-{label}-heatmap.png"
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_allclose(grey / 255, found.heatmaps[0], atol=0.6 / 255)
    file, data = downloaded(page, "overlay")
    assert file.suggested_filename == f"digits1-{label}.png"
    overlay = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert overlay.shape == found.image.shape
    dark = found.heatmaps[0] == 0
    np.testing.assert_array_equal(overlay[dark], found.image[dark])
    assert (overlay != found.image).any()
    file, data = downloaded(page, "json")
    assert file.suggested_filename == f"digits1-{label}.json"
    record = json.loads(data)
    assert (record["model"], record["label"], record["method"]) == ("digits", label, "gradcam")
    assert record["image"] == {"name": "digits1.png", "width": 96, "height": 96}
    np.testing.assert_allclose(record["map"]["values"], found.maps[0].ravel(), rtol=1e-3, atol=1e-6)


def test_the_address_leads_to_what_is_shown_and_never_to_the_image(
    page: Page, address: str
) -> None:
    show(page)
    page.locator("#ranking button", has_text="seven").click()
    nth_explanation(page, 2)
    assert "class=seven" in page.url
    assert "digits1" not in page.url
    open_page(page, page.url)
    show(page)
    assert caption(page) == "Evidence for “seven”"
    open_page(page, f"{address}?backend=wasm&class=unicorn&layer=nowhere")
    assert (
        page.inner_text("#notice-words")
        == "digits has no class “unicorn”; the predicted one is shown."
    )
    page.click("#dismiss")
    assert not page.locator("#notice").is_visible()
    show(page)
    assert "class=" not in page.url
    open_page(page, f"{address}?backend=wasm&model=lost")
    page.locator(
        "#notice-words", has_text="There is no model “lost” here; digits is shown."
    ).wait_for()


def test_light_and_dark_follow_the_system_until_the_reader_chooses(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.locator("#theme[aria-pressed=true]").wait_for()
    page.click("#theme")
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate(ground) == light
    assert page.get_attribute("#theme", "aria-pressed") == "false"


def test_an_image_can_be_pasted(page: Page) -> None:
    content = base64.b64encode(DIGITS.read_bytes()).decode()
    paste = """content => {
        const transfer = new DataTransfer();
        if (content) {
            const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt());
            transfer.items.add(new File([bytes], "image.png", { type: "image/png" }));
        }
        const about = { clipboardData: transfer, bubbles: true };
        document.body.dispatchEvent(new ClipboardEvent("paste", about));
    }"""
    page.evaluate(paste, "")
    page.locator("#notice-words", has_text="There is no image on the clipboard.").wait_for()
    page.evaluate(paste, content)
    assert nth_explanation(page, 1)["label"] in ("zero", "eight", "seven")
    assert not page.locator("#notice").is_visible()


@pytest.mark.parametrize("allowed", [True, False])
def test_the_camera_takes_a_photograph_or_says_why_not(
    driver: Playwright, address: str, allowed: bool
) -> None:
    switches = ["--use-fake-device-for-media-stream"]
    switches += ["--use-fake-ui-for-media-stream"] if allowed else ["--deny-permission-prompts"]
    with chromium(driver, *switches) as browser:
        page = browser.new_page()
        page.add_init_script(LISTEN)
        open_page(page, f"{address}?backend=wasm")
        page.click("#sources [data-source=camera]")
        if allowed:
            page.wait_for_function("() => preview.videoWidth > 0")
            page.keyboard.press("Escape")
            page.locator("#camera").wait_for(state="hidden")
            page.click("#sources [data-source=camera]")
            page.wait_for_function("() => preview.videoWidth > 0")
            page.click("#shoot")
            assert nth_explanation(page, 1)["label"]
            assert page.evaluate("preview.srcObject") is None  # the camera is off
        else:
            words = "The camera is not allowed here. Allow it beside this page's address"
            page.locator("#notice-words", has_text=words).wait_for()


def huge(path: Path) -> Path:
    """A PNG whose header names 12000 x 9000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 12000, 9000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    return path


def test_unusable_files_are_reported_and_the_page_goes_on(page: Page, tmp_path: Path) -> None:
    optional = write_artifact(tmp_path / "optional.onnx")
    newer = write_artifact(tmp_path / "newer.onnx", metadata='{"version": 99}')
    plain = write_artifact(tmp_path / "plain.onnx", metadata="")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(optional.read_bytes()[:-100])
    foreign = tmp_path / "foreign.png"
    foreign.write_text("BM is no image here, though bitmaps begin so")
    wrong = (
        ("#image", foreign, "foreign.png is not an image that this browser can decode."),
        ("#image", huge(tmp_path / "huge.png"), "huge.png has 108 megapixels; at most 50 can"),
        ("#open", optional, "class_index; export it with: --profile web"),
        ("#open", newer, "follows graftcam spec 99; this page knows 3"),
        ("#open", plain, "has no graftcam metadata"),
        ("#open", cut, "truncated"),
    )
    for box, file, message in wrong:
        page.set_input_files(box, file)
        page.locator("#notice-words", has_text=message).wait_for()
    assert page.input_value("#model") == "digits"  # the model that works stays
    assert page.locator("#model option").all_inner_texts() == ["digits"]
    page.set_input_files("#image", DIGITS)
    assert nth_explanation(page, 1)["label"] in ("zero", "eight", "seven")
    assert not page.locator("#notice").is_visible()


def test_the_sizes_of_images_are_read_off_their_headers(page: Page, tmp_path: Path) -> None:
    for suffix in (".png", ".jpg", ".webp", ".bmp"):
        path = tmp_path / f"image{suffix}"
        cv2.imwrite(str(path), np.zeros((37, 310, 3), np.uint8))
        read = "async bytes => (await import('/page/image_size.js')).sizeOf(Uint8Array.from(bytes))"
        assert page.evaluate(read, list(path.read_bytes())) == [37, 310], suffix
        assert page.evaluate(read, list(path.read_bytes()[:15])) is None, suffix


def test_a_page_that_is_opened_from_a_disk_says_what_it_needs(
    browser: Browser, static_page: Path
) -> None:
    page = browser.new_page()
    page.goto((static_page / "index.html").as_uri())
    page.locator("#notice-words", has_text="Start one beside it: python -m http.server").wait_for()
    page.close()


def test_a_model_that_does_not_arrive_is_asked_for_again(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.add_init_script(LISTEN)
    page.route("**/models/*", lambda route: route.abort())
    page.goto(f"{address}?backend=wasm")
    page.locator("#notice-words", has_text="there is no connection to the server").wait_for()
    page.unroute("**/models/*")
    page.click("#retry")
    page.wait_for_selector("body[data-state=ready]")
    assert not page.locator("#notice").is_visible()
    show(page)
    page.close()


@pytest.mark.parametrize("look", LOOKS)
def test_no_state_has_a_barrier_or_scrolls_sideways(
    browser: Browser, address: str, look: str
) -> None:
    page = browser.new_page(**LOOKS[look])
    page.add_init_script(LISTEN)
    open_page(page, f"{address}?backend=wasm")

    def check(state: str) -> None:
        assert violations(page) == [], state
        width = LOOKS[look]["viewport"]["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, state
        screenshot(page, f"page-{state}-{look}")

    check("start")
    show(page)
    check("explained")
    page.click("#class")
    check("classes")
    page.keyboard.press("Escape")
    page.click("#compare")
    nth_explanation(page, 2)
    check("compare")
    page.check("[name=view][value=swipe]")
    check("swipe")
    page.click("summary")
    page.evaluate(
        "import('/page/notice.js').then(({ fail }) => fail(Error('nothing works'), () => {}))"
    )
    page.locator("#notice").wait_for()
    check("failed")
    page.close()
