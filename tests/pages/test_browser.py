"""The page of examples/browser in a real browser: what it shows is what the runtime computes."""

from __future__ import annotations

import base64
import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from examples.browser.build import ENGINE, build
from graftcam.demo.bundled import FOLDER
from graftcam.runtime import Explainer, Explanation
from graftcam.runtime.inputs.preprocess import place
from graftcam.runtime.output.render import palette, project
from support.artifacts import preprocess, write_artifact
from support.browser import LISTEN, SOFTWARE_GPU, chromium, need, playwright, served
from support.exports import export_segmenter, make
from support.nets import Tiny
from support.small_detector import export_detector, write_scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

DIGITS = FOLDER / "digits1.png"  # holds a zero, an eight and a seven
# Another machine code adds in another order; the map's values are of the order of its maximum.
CLOSE = 1e-5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(ENGINE.is_dir(), "onnxruntime-web (npm ci --prefix examples/browser)")
    folder = tmp_path_factory.mktemp("site")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Generator[str]:
    with served(site) as address:
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
    """The page on WASM, with the first bundled image explained; nothing may go wrong on it."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    page.on("request", lambda request: request.url.startswith((address, "blob:", "data:"))
            or troubles.append(request.url))  # fmt: skip
    page.add_init_script(LISTEN)
    page.goto(f"{address}?backend=wasm")
    nth_explanation(page, 1)
    yield page
    page.close()
    assert troubles == []


def nth_explanation(page: Page, count: int) -> dict[str, Any]:
    """Wait for the page's ``count``-th explanation and return it."""
    page.wait_for_function("count => explanations.length >= count", arg=count, timeout=180_000)
    return page.evaluate("count => explanations[count - 1]", count)


def assert_same(got: dict[str, Any], found: Explanation) -> None:
    """The page's explanation is the runtime's."""
    assert (got["id"], got["label"]) == (found.classes[0], found.labels[0])
    assert got["score"] == pytest.approx(found.scores[0], rel=CLOSE)
    raw = found.maps[0]
    assert tuple(got["grid"]) == raw.shape
    np.testing.assert_allclose(np.reshape(got["map"], raw.shape), raw, atol=CLOSE * raw.max())
    if found.probabilities is not None and found.probabilities.ndim == 1:
        np.testing.assert_allclose(got["probabilities"], found.probabilities, atol=CLOSE)


def drawn(page: Page, canvas: str) -> np.ndarray:
    """RGBA pixels of a canvas, as they were before the page scaled it."""
    url = page.evaluate(f"document.getElementById('{canvas}').toDataURL()")
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)


def test_an_image_is_predicted_and_explained_as_by_the_runtime(
    page: Page, site: Path, tmp_path: Path
) -> None:
    page.set_input_files("#image", DIGITS)
    got = nth_explanation(page, 2)
    found = Explainer(site / "model.onnx", "cpu").explain(DIGITS)
    assert_same(got, found)
    assert page.inner_text("#caption") == f"Evidence for “{found.labels[0]}”"
    first = page.locator("#ranking button").first
    assert first.locator(".label").inner_text() == found.labels[0]
    assert first.get_attribute("aria-pressed") == "true"
    assert "ms on WASM" in page.inner_text("#status")
    np.testing.assert_array_equal(drawn(page, "photo")[..., :3], found.image)
    heat = drawn(page, "heat")
    # Eight bits of opacity: half a step off each way.
    np.testing.assert_allclose(heat[..., 3] / 255, np.sqrt(found.heatmaps[0]), atol=0.6 / 255)
    # A canvas keeps colours multiplied by their opacity: few bits are left where that is small.
    strong = heat[..., 3] > 200
    expected = palette().paint(found.heatmaps[0])
    np.testing.assert_allclose(heat[strong, :3], expected[strong].astype(int), atol=4)
    shot = Path(os.environ.get("GRAFTCAM_SCREENSHOT", tmp_path / "browser.png"))
    page.screenshot(path=shot, full_page=True)
    assert shot.stat().st_size > 10_000


def test_any_class_can_be_picked_and_the_opacity_moved_by_keyboard(page: Page, site: Path) -> None:
    explainer = Explainer(site / "model.onnx", "cpu")
    page.locator("#examples button").nth(1).press("Enter")
    nth_explanation(page, 2)
    page.select_option("#class", label="eight")
    assert_same(nth_explanation(page, 3), explainer.explain(DIGITS, "eight"))
    page.locator("#ranking button", has_text="seven").press("Enter")
    assert_same(nth_explanation(page, 4), explainer.explain(DIGITS, "seven"))
    assert page.locator("#class option:checked").inner_text() == "seven"
    page.locator("#opacity").press("End")
    assert page.inner_text("#percent") == "100 %"
    assert page.evaluate("getComputedStyle(heat).opacity") == "1"
    page.locator("#opacity").press("Home")
    assert page.evaluate("getComputedStyle(heat).opacity") == "0"


def test_another_model_and_a_dropped_image_of_another_size(page: Page, tmp_path: Path) -> None:
    """Resized with antialiasing, cropped, and summed over all positions of a segmentation."""
    artifact = export_segmenter(tmp_path / "patches.onnx", profile="web")
    photo = tmp_path / "photo.png"
    noise = np.random.default_rng(5).integers(0, 256, (33, 50, 3), np.uint8)
    cv2.imwrite(str(photo), cv2.resize(noise, (310, 205), interpolation=cv2.INTER_CUBIC))
    page.set_input_files("#model", artifact)
    nth_explanation(page, 2)
    content = base64.b64encode(photo.read_bytes()).decode()
    page.evaluate(
        """content => {
            const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt());
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "photo.png"));
            const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
            document.body.dispatchEvent(drop);
        }""",
        content,
    )  # fmt: skip
    explainer = Explainer(artifact, "cpu")
    assert_same(nth_explanation(page, 3), explainer.explain(photo))
    page.select_option("#class", label="empty")
    assert_same(nth_explanation(page, 4), explainer.explain(photo, "empty"))
    assert page.inner_text("#caption").startswith("No evidence for “empty” in this image")
    assert drawn(page, "heat")[..., 3].max() == 0


def test_a_model_that_holds_its_preprocessing_is_fed_the_image_as_it_is(
    page: Page, tmp_path: Path
) -> None:
    artifact, photo = tmp_path / "raw.onnx", tmp_path / "photo.png"
    options = {"preprocess": preprocess(input="", resize=[30], size=[24, 24]), "profile": "web"}
    make(Tiny(), artifact, (24, 24), extras="embed_preprocess", **options)
    cv2.imwrite(str(photo), np.random.default_rng(3).integers(0, 256, (41, 63, 3), np.uint8))
    page.set_input_files("#model", artifact)
    nth_explanation(page, 2)
    page.set_input_files("#image", photo)
    explainer = Explainer(artifact, "cpu")
    assert explainer.spec.preprocess.embedded
    assert_same(nth_explanation(page, 3), explainer.explain(photo))


def test_the_order_of_channels_and_the_padding_are_the_runtimes(page: Page, tmp_path: Path) -> None:
    artifact, photo = tmp_path / "bgr.onnx", tmp_path / "photo.png"
    record = preprocess(
        input="",
        size=[24, 24],
        resize=[24, 24],
        resize_mode="fit",
        channels="bgr",
        fill=[9, 90, 200],
    )
    make(Tiny(), artifact, (24, 24), preprocess=record, profile="web")
    cv2.imwrite(str(photo), np.random.default_rng(3).integers(0, 256, (41, 63, 3), np.uint8))
    page.set_input_files("#model", artifact)
    nth_explanation(page, 2)
    page.set_input_files("#image", photo)
    assert_same(nth_explanation(page, 3), Explainer(artifact, "cpu").explain(photo))


def test_a_detectors_boxes_are_drawn_and_a_click_explains_one(page: Page, tmp_path: Path) -> None:
    artifact = export_detector(tmp_path / "squares.onnx", profile="web")
    squares = ("red", 16, 16, 16), ("blue", 40, 40, 8)
    photo, empty = (
        write_scene(tmp_path / name, *shown)
        for name, shown in (("photo.png", squares), ("empty.png", ()))
    )
    explainer = Explainer(artifact, "cpu")
    page.set_input_files("#model", artifact)
    nth_explanation(page, 2)
    page.set_input_files("#image", photo)
    got = nth_explanation(page, 3)
    found = explainer.explain_boxes(photo, boxes=[1, 2])
    assert [box["index"] for box in got["boxes"]] == found.detections.indices.tolist()
    np.testing.assert_allclose(
        np.reshape(got["map"], found.maps[0].shape), found.maps[0], atol=CLOSE * found.maps[0].max()
    )
    above = """boxes => boxes.every(({ children: [, frame, number] }) =>
        +number.getAttribute("y") <= frame.y.baseVal.value)"""
    assert page.locator("#boxes .box").evaluate_all(above)  # numbers hide no map
    page.locator("#boxes .box", has_text="2").click()
    got = nth_explanation(page, 4)
    assert got["box"]["index"] == found.detections[1].index
    assert got["score"] == pytest.approx(found.scores[1], rel=CLOSE)
    page.select_option("#why", label="the left edge")
    got = nth_explanation(page, 5)
    left = explainer.explain_boxes(photo, boxes=2, why="left")
    assert got["score"] == pytest.approx(left.scores[0], rel=CLOSE)
    assert "the left edge of box 2" in page.inner_text("#caption")
    page.set_input_files("#image", empty)
    nth_explanation(page, 6)
    assert page.inner_text("#caption").startswith("No box in this image; the best candidate is")
    assert page.locator("#boxes .box").count() == 0


def test_geometry_is_the_runtimes(page: Page) -> None:
    """Every way to resize, shapes that round either way, and a map laid back over the image."""
    random = np.random.default_rng(1)
    cases: list[tuple[Any, int, int]] = []
    ways: list[dict[str, Any]] = [
        {"resize_mode": "shorter", "resize": [40]},
        {"resize_mode": "shorter", "resize": [40], "longest": 45, "anchor": "lower"},
        {"resize_mode": "longer", "resize": [40]},
        {"resize_mode": "exact", "resize": [37, 52]},
        {"resize_mode": "exact", "resize": None},
        {"resize_mode": "fit", "resize": [32, 27]},
        {"resize_mode": "fit", "resize": [32, 27], "anchor": "top_left"},
        {"resize_mode": "cover", "resize": [32, 27]},
    ]
    for way in ways:
        transform = preprocess(size=[32, 27], **way)
        cases += [(transform, *map(int, random.integers(5, 70, 2))) for _ in range(12)]
    grid = random.random((5, 4), np.float32)
    got = page.evaluate(
        """async ([cases, grid]) => {
            const { place } = await import("./image.js");
            const { project } = await import("./heatmap.js");
            return cases.map(([transform, height, width]) => {
                const placement = place(transform, height, width);
                return [placement, [...project(Float32Array.from(grid), [5, 4], placement)]];
            });
        }""",
        [[(vars(transform), *shape) for transform, *shape in cases], grid.ravel().tolist()],
    )
    for (transform, height, width), (placement, map_) in zip(cases, got, strict=True):
        expected = place(transform, height, width)
        assert placement == {name: list(value) for name, value in vars(expected).items()}
        np.testing.assert_allclose(
            np.reshape(map_, (height, width)), project(grid, expected), atol=1e-6
        )


def test_unusable_files_are_reported_and_the_page_goes_on(page: Page, tmp_path: Path) -> None:
    status = page.locator("#status.trouble")
    optional = write_artifact(tmp_path / "optional.onnx")
    newer = write_artifact(tmp_path / "newer.onnx", metadata='{"version": 99}')
    plain = write_artifact(tmp_path / "plain.onnx", metadata="")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(optional.read_bytes()[:-100])
    foreign = tmp_path / "foreign.png"
    foreign.write_text("no image")
    for box, file, message in (
        ("#model", optional, "export with: --profile web"),
        ("#model", newer, "follows graftcam spec 99"),
        ("#model", plain, "has no graftcam metadata"),
        ("#model", cut, "truncated"),
        ("#image", foreign, "foreign.png is not an image"),
    ):
        page.set_input_files(box, file)
        page.locator("#status", has_text=message).wait_for()
        assert status.is_visible()
    page.set_input_files("#image", DIGITS)
    assert nth_explanation(page, 2)["label"] in ("zero", "eight", "seven")
    assert not status.is_visible()


def test_a_narrow_screen_needs_no_sideways_scrolling(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(address)
    page.wait_for_selector("#ranking button")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


def test_webgpu_gives_the_same_map(driver: Playwright, site: Path, address: str) -> None:
    with chromium(driver, *SOFTWARE_GPU) as browser:
        page = browser.new_page()
        page.add_init_script(LISTEN)
        page.goto(f"{address}?backend=webgpu")
        got = nth_explanation(page, 1)
        assert "on WebGPU" in page.inner_text("#status")
    found = Explainer(site / "model.onnx", "cpu").explain(FOLDER / "digits0.png")
    assert_same(got, found)
