"""Drawing block by block in whole numbers gives what the formulas give, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from graftcam.runtime.inputs.image_files import lay_over
from graftcam.runtime.inputs.images import as_rgb
from graftcam.runtime.inputs.preprocess import Placement, place
from graftcam.runtime.output.render import Look, mark, palette
from graftcam.runtime.output.render.blend import mix, shrunk
from graftcam.runtime.output.views import Drawing, PhotoView
from support.artifacts import preprocess
from support.images import photo

STYLES = ("overlay", "heatmap", "contour", "mask")


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def pictures() -> dict[str, np.ndarray]:
    """Images as files of several kinds give them: RGB uint8."""
    odd = photo(203, 317)
    alpha = np.tile(np.arange(317, dtype=np.uint8)[None, :, None], (203, 1, 1))
    deep = (odd.astype(np.uint16) << 8) + 77
    return {
        "odd": as_rgb(encoded(odd, ".jpg")),
        "grey": as_rgb(encoded(odd[:, :, 0])),
        "rgba": as_rgb(encoded(np.concatenate([odd, alpha], axis=2))),
        "16-bit": as_rgb(encoded(deep)),
        "upright": photo(640, 96),
        "pixel": photo(1, 1),
        "line": photo(1, 300),
    }


def expected(
    image: np.ndarray, values: np.ndarray, placed: Placement, style: str, alpha: float, signed: bool
) -> np.ndarray:
    """The style's formula at once, in float64."""
    axes = zip(placed.image, placed.resized, placed.offset, placed.size, values.shape, strict=True)
    lines, inside = values.astype(np.float64), []
    for axis, (extent, resized, offset, size, cells) in enumerate(axes):
        at = (np.arange(extent) + 0.5) * resized / extent - offset
        centres = (np.arange(cells) + 0.5) * size / cells
        inside.append((at >= 0) & (at < size))
        lines = np.apply_along_axis(lambda row, a=at, c=centres: np.interp(a, c, row), axis, lines)
    seen = inside[0][:, None] & inside[1]
    strength = np.where(seen, np.abs(lines), 0)
    colours = palette(None, signed).colours.astype(np.float64)
    levels = np.rint(128 + 127 * lines if signed else 255 * lines).astype(int)
    if style == "heatmap":
        return np.where(seen[:, :, None], colours[levels], 200)
    if style == "overlay":
        return blended(image, colours[levels], alpha * strength)
    if style == "mask":
        blurred = cv2.GaussianBlur(image.astype(np.float64), (0, 0), max(1.0, max(seen.shape) / 60))
        return blended(0.25 * blurred.reshape(image.shape), image, strength)
    slope = np.hypot(*np.gradient(np.pad(lines, 1, mode="reflect", reflect_type="odd")))
    slope, width = slope[1:-1, 1:-1], max(1.5, min(seen.shape) / 180)
    drawn = image
    for level in (0.25, 0.5, 0.75, -0.25, -0.5, -0.75)[: 6 if signed else 3]:
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where((slope > 1e-6) & seen, np.abs(lines - level) / slope, np.inf)
        rim, line = (np.clip((wide + 1) / 2 - distance, 0, 1) for wide in (width + 2, width))
        colour = colours[round(128 + 127 * level if signed else 255 * level)]
        around = np.full(3, 255 if colour @ [0.299, 0.587, 0.114] < 110 else 0)
        drawn = blended(blended(drawn, around, 0.6 * rim), colour, line)
    return drawn


def blended(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    return below + share[:, :, None] * (above - below)


@pytest.mark.parametrize("transform", ["crop", "whole", "padded"])
@pytest.mark.parametrize("style", STYLES)
def test_drawings_are_those_of_the_formulas(style: str, transform: str) -> None:
    changes: dict[str, Any] = {
        "crop": {},
        "whole": {"resize_mode": "exact", "resize": [32, 32]},
        "padded": {"resize_mode": "longer", "resize": [32]},
    }[transform]
    rng = np.random.default_rng(0)
    for name, image in pictures().items():
        placed = place(preprocess(**changes), *image.shape[:2])
        view = PhotoView(image, placed)
        # Two classes, the second with evidence against it.
        for signed, shape in ((False, (7, 7)), (True, (32, 24))):
            values = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 1.5)
            values = values if signed else np.maximum(values, 0)
            values /= np.abs(values).max()
            look = Look(style=cast("Any", style), alpha=0.6)
            before = image.copy()
            drawn = view.draw(Drawing(values, palette(None, signed), look))
            np.testing.assert_array_equal(image, before)
            wanted = expected(image, values, placed, style, look.alpha, signed)
            off = np.abs(drawn - np.rint(wanted))
            # The blur of a mask is that of a small copy. A value between two colours gets either.
            far = (off > (2 if style == "mask" else 1)).any(axis=2).mean()
            assert far < 0.0005, (name, signed, off.max())


def test_a_mark_is_grey_with_stripes_from_the_formula() -> None:
    image = photo(203, 1117)
    drawn = mark(image, "zero")
    grey = 130 + 0.45 * cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    rows, columns = np.indices(grey.shape)
    grey[(rows + columns) % 12 < 1] *= 0.82
    np.testing.assert_allclose(drawn[:60], np.rint(grey)[:60, :, None].repeat(3, axis=2), atol=1)


def test_a_mixture_is_rounded_once() -> None:
    below, above = (np.arange(256, dtype=np.uint8)[::step] for step in (1, -1))
    below, above = (np.tile(one[None, :, None], (256, 1, 3)) for one in (below, above))
    share = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 256))
    exact = below + share[:, :, None] / 255.0 * (above.astype(float) - below)
    mixed = below.copy()
    mix(mixed, above, share)
    assert np.abs(mixed - exact).max() <= 0.501
    np.testing.assert_array_equal(mixed[0], below[0])
    np.testing.assert_array_equal(mixed[255], above[255])


def test_a_shrunk_image_is_about_the_mean_of_its_parts() -> None:
    image = photo(400, 640)
    found = shrunk(image, (50, 80))
    means = image.reshape(50, 8, 80, 8, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found, means, atol=1.5)
    assert shrunk(image, (37, 51)).shape == (37, 51, 3)
    assert shrunk(image[:1], (1, 10)).shape == (1, 10, 3)


def peak(run: Callable[[], Any]) -> int:
    """The most bytes that numpy and OpenCV's results take during a run, beyond those before it."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("style", [*STYLES, "mark"])
def test_drawing_needs_no_further_copy_of_the_image(style: str) -> None:
    image = np.zeros((1600, 2000, 3), np.uint8)
    view = PhotoView(image, place(preprocess(resize_mode="exact", resize=[32, 32]), 1600, 2000))
    values = np.linspace(0, 1, 49, dtype=np.float32).reshape(7, 7)
    if style == "mark":
        needed = peak(lambda: view.mark("zero", None))
    else:
        drawing = Drawing(values, palette(), Look(style=cast("Any", style)))
        needed = peak(lambda: view.draw(drawing))
    # The drawing itself is 1; a map of the image's size in float32 would be 1.3 more.
    assert needed < 1.3 * image.nbytes


def test_decoding_needs_no_second_copy_of_the_image() -> None:
    image = np.zeros((1600, 2000, 3), np.uint8)
    data = encoded(image, ".jpg")
    assert peak(lambda: as_rgb(data)) < 1.2 * image.nbytes
    clear = np.zeros((1600, 2000, 4), np.uint8)
    assert peak(lambda: lay_over(clear)) < 1.3 * image.nbytes


def test_drawings_of_one_height_share_the_small_image() -> None:
    placed = place(preprocess(), 120, 160)
    view = PhotoView(photo(120, 160), placed)
    assert view.plain(60) is view.plain(60)
    assert view.plain(40).shape == (40, 53, 3)
    assert view.plain(120) is view.image is view.plain()
    small = view.plain(60).copy()
    drawing = Drawing(np.eye(4, dtype=np.float32), palette(), Look(), 60)
    first, second = view.draw(drawing), view.draw(replace(drawing, look=Look(style="contour")))
    np.testing.assert_array_equal(view.plain(60), small)
    assert (first != second).any()
