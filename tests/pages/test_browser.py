"""The page in a real browser: what it shows is what the runtime computes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from graftcam.demo.bundled import FOLDER
from graftcam.exporter.arguments.settings import EXTRAS
from graftcam.runtime import Explainer, Explanation
from graftcam.runtime.inputs.preprocess import place
from graftcam.runtime.methods.table import METHODS
from graftcam.runtime.output.render import palette, project
from graftcam.runtime.output.render.maps import map_status, normalise, peak
from graftcam.runtime.page import FILES
from support.artifacts import preprocess
from support.browser import (
    LISTEN,
    SOFTWARE_GPU,
    chromium,
    drawn,
    nth_explanation,
    open_model,
    open_page,
)
from support.exports import export_segmenter, make
from support.nets import Tiny
from support.small_detector import export_detector, write_scene
from support.three_heads import LABELS as HEADS
from support.three_heads import PREPROCESS, export_heads

if TYPE_CHECKING:
    from playwright.sync_api import Page, Playwright

DIGITS = FOLDER / "digits1.png"  # holds a zero, an eight and a seven
# Another machine code adds in another order; the map's values are of the order of its maximum.
CLOSE = 1e-5


def assert_same(got: dict[str, Any], found: Explanation) -> None:
    """The page's explanation is the runtime's."""
    assert (got["class"], got["label"]) == (found.classes[0], found.labels[0])
    assert got["score"] == pytest.approx(found.scores[0], rel=CLOSE)
    raw = found.maps[0]
    assert tuple(got["grid"]) == raw.shape
    np.testing.assert_allclose(np.reshape(got["map"], raw.shape), raw, atol=CLOSE * raw.max())
    if found.probabilities is not None and found.probabilities.ndim == 1:
        np.testing.assert_allclose(got["probabilities"], found.probabilities, atol=CLOSE)


def test_an_image_is_predicted_and_explained_as_by_the_runtime(
    page: Page, static_page: Path
) -> None:
    page.set_input_files("#image", DIGITS)
    got = nth_explanation(page, 1)
    found = Explainer(static_page / "models" / "digits.onnx", "cpu").explain(DIGITS)
    assert_same(got, found)
    assert page.inner_text(".caption") == f"Evidence for “{found.labels[0]}”"
    assert page.inner_text(".how").startswith("Grad-CAM · ")
    first = page.locator("#ranking button").first
    assert first.locator(".label").inner_text() == found.labels[0]
    assert first.get_attribute("aria-pressed") == "true"
    assert "ms on WebAssembly" in page.inner_text("#status")
    np.testing.assert_array_equal(drawn(page, "photo")[..., :3], found.image)
    heat = drawn(page, "heat")
    # Eight bits of opacity: half a step off each way.
    np.testing.assert_allclose(heat[..., 3] / 255, found.heatmaps[0], atol=0.6 / 255)
    # A canvas keeps colours multiplied by their opacity: few bits are left where that is small.
    strong = heat[..., 3] > 200
    expected = palette("inferno").paint(found.heatmaps[0])
    np.testing.assert_allclose(heat[strong, :3], expected[strong].astype(int), atol=8)


def test_the_colours_are_the_runtimes(page: Page) -> None:
    got = page.evaluate(
        """async () => {
            const { colour } = await import("/page/palette.js");
            const values = Array.from({ length: 256 }, (_, i) => i);
            return [
                values.map((i) => colour(i / 255)),
                values.slice(1).map((i) => colour((i - 128) / 127, true)),
            ];
        }"""
    )
    # Straight lines between 18 colours of inferno.
    np.testing.assert_allclose(got[0], palette("inferno").colours, atol=5.5)
    np.testing.assert_allclose(got[1], palette("diverging", signed=True).colours[1:], atol=0.6)


def test_what_the_page_knows_of_methods_is_in_the_runtimes_table() -> None:
    artifact, heatmap = (
        (FILES / name).read_text("utf-8") for name in ("artifact.js", "heatmap.js")
    )
    signed = [name for name in EXTRAS if name in METHODS and METHODS[name].is_signed({})]
    assert f"const SIGNED = {json.dumps(signed)};" in artifact
    words = (FILES / "words.js").read_text("utf-8")
    of_no_class = [
        name
        for name, method in METHODS.items()
        if method.needs == ("activations",) or "; no class" in (method.function.__doc__ or "")
    ]
    assert f"const OF_NO_CLASS = {json.dumps(of_no_class)};" in words
    of_pixels = " ".join(name for name, method in METHODS.items() if method.of_pixels)
    assert f'"{of_pixels}"' in heatmap


@pytest.mark.parametrize(("method", "percentile"), [("saliency", 99), ("gradcam", 100)])
def test_maps_are_scaled_as_by_the_runtime(page: Page, method: str, percentile: float) -> None:
    raw = np.random.default_rng(0).standard_normal(40).astype(np.float32)
    for signed in (False, True):
        got = page.evaluate(
            """async ([raw, signed, method]) => {
                const { normalise } = await import("/page/heatmap.js");
                const { values, status } = normalise(Float32Array.from(raw), signed, method);
                return [[...values], status];
            }""",
            [raw.tolist(), signed, method],
        )
        scale = peak(raw, signed, percentile)
        np.testing.assert_allclose(got[0], normalise(raw, signed, scale), atol=1e-6)
        assert got[1] == map_status(raw, signed)


def test_another_model_and_a_dropped_image_of_another_size(page: Page, tmp_path: Path) -> None:
    """Resized with antialiasing, cropped, and summed over all positions of a segmentation."""
    artifact = export_segmenter(tmp_path / "patches.onnx", profile="web")
    photo = tmp_path / "photo.png"
    noise = np.random.default_rng(5).integers(0, 256, (33, 50, 3), np.uint8)
    cv2.imwrite(str(photo), cv2.resize(noise, (310, 205), interpolation=cv2.INTER_CUBIC))
    open_model(page, artifact)
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
    assert_same(nth_explanation(page, 1), explainer.explain(photo))
    page.locator("#class").fill("empty")
    page.locator("#class").press("Enter")
    assert_same(nth_explanation(page, 2), explainer.explain(photo, "empty"))
    assert page.inner_text(".caption").startswith("No evidence for “empty” in this image")
    assert drawn(page, "heat")[..., 3].max() == 0


def test_a_model_that_holds_its_preprocessing_is_fed_the_image_as_it_is(
    page: Page, tmp_path: Path
) -> None:
    artifact, photo = tmp_path / "raw.onnx", tmp_path / "photo.png"
    options = {"preprocess": preprocess(input="", resize=[30], size=[24, 24]), "profile": "web"}
    make(Tiny(), artifact, (24, 24), extras="embed_preprocess", **options)
    cv2.imwrite(str(photo), np.random.default_rng(3).integers(0, 256, (41, 63, 3), np.uint8))
    open_model(page, artifact)
    page.set_input_files("#image", photo)
    explainer = Explainer(artifact, "cpu")
    assert explainer.spec.preprocess.embedded
    assert_same(nth_explanation(page, 1), explainer.explain(photo))


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
    open_model(page, artifact)
    page.set_input_files("#image", photo)
    assert_same(nth_explanation(page, 1), Explainer(artifact, "cpu").explain(photo))


def test_a_detectors_boxes_are_drawn_and_a_click_explains_one(page: Page, tmp_path: Path) -> None:
    artifact = export_detector(tmp_path / "squares.onnx", profile="web")
    squares = ("red", 16, 16, 16), ("blue", 40, 40, 8)
    photo, empty = (
        write_scene(tmp_path / name, *shown)
        for name, shown in (("photo.png", squares), ("empty.png", ()))
    )
    explainer = Explainer(artifact, "cpu")
    open_model(page, artifact)
    page.set_input_files("#image", photo)
    got = nth_explanation(page, 1)
    found = explainer.explain_boxes(photo, boxes=[1, 2])
    assert [box["index"] for box in got["detections"]] == found.detections.indices.tolist()
    np.testing.assert_allclose(
        np.reshape(got["map"], found.maps[0].shape), found.maps[0], atol=CLOSE * found.maps[0].max()
    )
    above = """boxes => boxes.every(({ children: [, frame, number] }) =>
        +number.getAttribute("y") <= frame.y.baseVal.value)"""
    assert page.locator(".boxes .box").evaluate_all(above)  # numbers hide no map
    page.locator(".boxes .box", has_text="2").click()
    got = nth_explanation(page, 2)
    assert got["number"] == 2
    assert got["score"] == pytest.approx(found.scores[1], rel=CLOSE)
    page.select_option("#why", label="Its left edge")
    got = nth_explanation(page, 3)
    left = explainer.explain_boxes(photo, boxes=2, why="left")
    assert got["score"] == pytest.approx(left.scores[0], rel=CLOSE)
    assert "the left edge of box 2" in page.inner_text(".caption")
    page.set_input_files("#image", empty)
    nth_explanation(page, 4)
    assert page.inner_text(".caption").startswith("No box in this image; the best candidate is")
    assert page.locator(".boxes .box").count() == 0


def test_methods_and_layers_that_the_artifact_holds_are_offered(page: Page, tmp_path: Path) -> None:
    artifact = tmp_path / "layers.onnx"
    options = {"preprocess": preprocess(input="", resize=[30], size=[24, 24]), "profile": "web"}
    extras = ["fullgrad", "layercam", "fuse-mean"]
    make(Tiny(), artifact, (24, 24), layers=["relu1", "relu2"], extras=extras, **options)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.random.default_rng(3).integers(0, 256, (41, 63, 3), np.uint8))
    open_model(page, artifact)
    page.set_input_files("#image", photo)
    nth_explanation(page, 1)
    layers = page.locator("#layer option").all_inner_texts()
    assert layers == ["relu1", "relu2", "all layers, mean", "the whole network"]
    methods = page.locator("#method option")
    assert methods.all_inner_texts() == ["Grad-CAM", "LayerCAM"]
    explainer = Explainer(artifact, "cpu")
    page.select_option("#layer", "relu2")
    assert_same(nth_explanation(page, 2), explainer.explain(photo, layer="relu2"))
    page.select_option("#method", "layercam")
    found = explainer.explain(photo, layer="relu2", method="layercam")
    assert_same(nth_explanation(page, 3), found)
    page.select_option("#layer", "all layers, mean")
    fused = {"layer": ["relu1", "relu2"], "fuse": "mean", "method": "layercam"}
    assert_same(nth_explanation(page, 4), explainer.explain(photo, **fused))
    assert not methods.first.is_visible()  # there is one only
    page.select_option("#layer", "the whole network")
    assert_same(nth_explanation(page, 5), explainer.explain(photo, method="fullgrad"))
    signed = tmp_path / "signed.onnx"
    make(Tiny(), signed, (24, 24), layers="relu2", extras="cam", **options)
    open_model(page, signed)
    nth_explanation(page, 6)
    page.select_option("#method", "cam")
    assert_same(nth_explanation(page, 7), Explainer(signed, "cpu").explain(photo, method="cam"))
    assert page.inner_text(".caption").startswith("Evidence for and against")


def test_each_output_has_its_own_classes(page: Page, tmp_path: Path) -> None:
    artifact = tmp_path / "heads.onnx"
    export_heads(artifact, labels=HEADS, preprocess=PREPROCESS, profile="web")
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.random.default_rng(3).integers(0, 256, (41, 63, 3), np.uint8))
    open_model(page, artifact)
    page.set_input_files("#image", photo)
    explainer = Explainer(artifact, "cpu")
    assert_same(nth_explanation(page, 1), explainer.explain(photo))
    page.select_option("#output", "age")
    assert_same(nth_explanation(page, 2), explainer.explain(photo, output="age"))
    page.fill("#class", "anc")
    page.press("#class", "Enter")
    assert_same(nth_explanation(page, 3), explainer.explain(photo, "ancient", output="age"))
    page.select_option("#output", "smile")  # a single logit without names
    assert_same(nth_explanation(page, 4), explainer.explain(photo, output="smile"))


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
            const { place, shownIn } = await import("/page/preprocess.js");
            const { project } = await import("/page/heatmap.js");
            return cases.map(([transform, height, width]) => {
                const placement = place(transform, height, width);
                const map = Float32Array.from(grid);
                const drawn = project(map, [5, 4], shownIn(placement), [height, width]);
                return [placement, [...drawn]];
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


def test_webgpu_gives_the_same_map(driver: Playwright, static_page: Path, address: str) -> None:
    with chromium(driver, *SOFTWARE_GPU) as browser:
        page = browser.new_page()
        page.add_init_script(LISTEN)
        open_page(page, f"{address}?backend=webgpu")
        page.set_input_files("#image", FOLDER / "digits0.png")
        got = nth_explanation(page, 1)
        assert "on WebGPU" in page.inner_text("#status")
    found = Explainer(static_page / "models" / "digits.onnx", "cpu").explain(FOLDER / "digits0.png")
    assert_same(got, found)
