"""Colours, the four styles, and the mark on maps that cannot be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graftcam.runtime.errors import RenderError
from graftcam.runtime.inputs.preprocess import Placement
from graftcam.runtime.output.render import (
    STYLES,
    Look,
    Projection,
    Scene,
    contour,
    heatmap,
    mark,
    masked,
    overlay,
    palette,
)


def scene(
    values: np.ndarray,
    signed: bool = False,
    alpha: float = 0.5,
    opacity: Any = "evidence",
    image: np.ndarray | None = None,
) -> Scene:
    """An image, a noisy one by default, whose left part is seen and has these values."""
    height, width = values.shape
    if image is None:
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    whole = (image.shape[0], image.shape[1])
    placed = Placement(whole, whole, (0, 0), (height, width))
    over = Projection(values.astype(np.float32), placed)
    return Scene(image, over, palette(None, signed), alpha, opacity)


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance (WCAG 2) of sRGB colours [..., 3]."""
    values = colours / 255.0
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def seen_without_red(colours: np.ndarray) -> np.ndarray:
    """sRGB colours as a protanope sees them (Vienot, Brettel and Mollon 1999), linear [..., 3]."""
    values = colours / 255.0
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    return linear @ matrix.T


def test_colours_are_rgb() -> None:
    # Jet runs from dark blue to dark red.
    low, high = palette("jet").paint(np.array([[0.0, 1.0]], np.float32))[0]
    assert low.tolist() == [0, 0, 128]
    assert high.tolist() == [128, 0, 0]


def test_the_diverging_scale_is_symmetric_with_its_middle_at_zero() -> None:
    colours = palette("diverging", signed=True)
    middle = colours.paint(np.zeros((1, 1), np.float32))[0, 0]
    assert middle.tolist() == [246, 246, 246]
    values = np.linspace(0, 1, 128, dtype=np.float32)[None]
    against, favour = colours.paint(-values)[0], colours.paint(values)[0]
    assert against[-1].tolist() == [10, 70, 190]
    assert favour[-1].tolist() == [185, 10, 25]
    # Equally strong evidence looks about equally strong, and stronger evidence always darker.
    np.testing.assert_allclose(luminance(against), luminance(favour), atol=0.06)
    assert (np.diff(luminance(against)) <= 0).all()
    assert (np.diff(luminance(favour)) <= 0).all()


def test_the_diverging_scale_keeps_its_signs_apart_for_the_colour_blind() -> None:
    colours = palette("diverging", signed=True)
    values = np.linspace(0.25, 1, 7, dtype=np.float32)[None]
    against, favour = (seen_without_red(colours.paint(sign * values)[0]) for sign in (-1, 1))
    # Blue is twice as strong as yellow on one side, yellow twice as blue on the other.
    assert (against[:, 2] > 1.3 * against[:, 0]).all(), against
    assert (favour[:, 0] > 1.3 * favour[:, 2]).all(), favour


def test_the_default_scale_becomes_lighter_step_by_step() -> None:
    """Equal steps of evidence look equal: the lightness (CIE L*) rises evenly; jet's does not."""

    def steps(name: str | None) -> np.ndarray:
        return np.diff(116 * np.cbrt(luminance(palette(name).colours[32::16])) - 16)

    even, jet = steps(None), steps("jet")
    assert even.min() > 0.75 * even.mean()
    assert even.max() < 1.25 * even.mean()
    assert jet.min() < 0


def test_the_scale_for_white_ground_begins_white_and_becomes_darker() -> None:
    colours = palette(white=True).colours
    assert colours[0].tolist() == [246, 246, 246]
    assert (np.diff(luminance(colours)) <= 0).all()
    np.testing.assert_array_equal(colours, palette("reds").colours)
    assert (palette(signed=True, white=True).colours == palette("diverging", True).colours).all()


def test_any_colour_map_has_its_middle_at_zero_when_signed() -> None:
    values = np.array([[-1.0, 0.0, 1.0]], np.float32)
    got = palette("viridis", signed=True).paint(values)[0]
    expected = palette("viridis").colours[[1, 128, 255]]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("look", "message"),
    [
        ({"alpha": 1.5}, r"alpha=1.5 is out of range; give 0"),
        ({"alpha": float("nan")}, r"alpha=nan is out of range"),
        ({"style": "lines"}, "unknown style 'lines'; choose from overlay, heatmap, contour, mask"),
        ({"scale": "global"}, "unknown scale 'global'; choose from own, shared"),
        ({"opacity": "none"}, "unknown opacity 'none'; choose from evidence, even"),
        ({"percentile": 0}, "percentile=0 is out of range; give more than 0, up to 100"),
        ({"percentile": 101}, "percentile=101 is out of range"),
        ({"percentile": float("nan")}, "percentile=nan is out of range"),
        ({"dilation": -1}, "dilation=-1 is out of range; give a whole number of cells, 0 to 64"),
        ({"dilation": 65}, "dilation=65 is out of range"),
        ({"dilation": 1.5}, "dilation=1.5 is out of range"),
    ],
)
def test_a_look_that_is_none_is_refused_with_the_choices(
    look: dict[str, object], message: str
) -> None:
    with pytest.raises(RenderError, match=message):
        Look(**look)  # pyright: ignore[reportArgumentType]


def test_an_unknown_colormap_is_refused_with_the_choices() -> None:
    with pytest.raises(RenderError, match=r"unknown colormap 'rainbw'; choose from .*rainbow"):
        palette("rainbw")


def test_an_overlay_keeps_the_image_where_the_heatmap_is_zero() -> None:
    values = np.zeros((6, 8))
    shown = scene(values, alpha=1.0)
    np.testing.assert_array_equal(overlay(shown), shown.image)
    values[2, 3] = 1
    changed = (overlay(scene(values, alpha=1.0)) != shown.image).any(-1)
    assert np.argwhere(changed).tolist() == [[2, 3]]


@pytest.mark.parametrize("signed", [False, True])
def test_the_colours_share_is_alpha_times_the_magnitude(signed: bool) -> None:
    values = np.array([[1.0, -0.25 if signed else 0.25]])
    black = np.zeros((1, 2, 3), np.uint8)
    shown = scene(values, signed, image=black)
    full = shown.palette.paint(values.astype(np.float32)).astype(float)
    expected = np.rint(full * np.array([0.5, 0.125])[None, :, None])
    np.testing.assert_allclose(overlay(shown), expected, atol=1)  # the share has 255 steps


def test_an_even_opacity_covers_what_the_model_saw_and_nothing_else() -> None:
    black = np.zeros((2, 6, 3), np.uint8)
    drawn = overlay(scene(np.array([[0.0, 0.4, 1], [0, 0, 0]]), True, 0.6, "even", black))
    colours = palette(None, signed=True).paint(np.array([[0, 0.4, 1]], np.float32))
    np.testing.assert_allclose(drawn[0, :3], 0.6 * colours[0], atol=1)
    np.testing.assert_array_equal(drawn[:, 3:], black[:, 3:])


@pytest.mark.parametrize("style", ["overlay", "contour"])
def test_what_was_not_seen_stays_the_image(style: str) -> None:
    ramp = np.tile(np.linspace(0, 1, 20), (30, 1))
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    drawn = STYLES[style](scene(ramp, image=image))  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(drawn[:, 20:], image[:, 20:])
    assert (drawn[:, :20] != image[:, :20]).any()


def test_a_heatmap_alone_is_grey_where_nothing_was_seen() -> None:
    drawn = heatmap(scene(np.zeros((4, 3)), image=np.zeros((4, 6, 3), np.uint8)))
    assert (drawn[:, :3] == palette().colours[0]).all()
    assert (drawn[:, 3:] == 200).all()


def test_contours_lie_where_the_levels_are() -> None:
    # Along each row the value is column / 200: the levels are at columns 50, 100 and 150.
    ramp = np.tile(np.arange(200) / 200, (160, 1))
    grey = np.full((160, 200, 3), 128, np.uint8)
    drawn = contour(scene(ramp, image=grey))
    columns = np.flatnonzero((drawn != 128).any(axis=(0, 2)))
    for middle in (50, 100, 150):
        near = columns[np.abs(columns - middle) < 25]
        assert near.mean() == middle
        assert np.ptp(near) <= 4
        colour = palette().paint(np.full((1, 1), middle / 200, np.float32))[0, 0]
        np.testing.assert_array_equal(drawn[80, middle], colour)
    # Across a slanted line it is as wide, so along a row wider by the root of 2.
    slanted = (np.arange(160)[:, None] + np.arange(200)) / 360
    straight = (drawn[80] != 128).any(axis=1).sum()
    other = (contour(scene(slanted, image=grey))[80] != 128).any(axis=1).sum()
    assert other == pytest.approx(straight * np.sqrt(2), abs=3)


def test_contours_of_signed_maps_have_the_colours_of_both_sides() -> None:
    ramp = np.tile(np.linspace(-1, 1, 201), (160, 1))
    drawn = contour(scene(ramp, signed=True))
    colours = palette(None, signed=True)
    for column, level in ((50, -0.5), (150, 0.5)):
        expected = colours.paint(np.full((1, 1), level, np.float32))[0, 0]
        np.testing.assert_array_equal(drawn[80, column], expected)


def test_contours_leave_plateaus_and_single_pixels_alone() -> None:
    for shape in ((1, 1), (1, 9), (12, 12)):
        shown = scene(np.full(shape, 0.5))
        np.testing.assert_array_equal(contour(shown), shown.image)


def test_a_mask_shows_the_image_where_the_evidence_is_and_darkness_where_none_is() -> None:
    values = np.zeros((40, 60))
    values[:, 30:] = 1
    bright = np.full((40, 60, 3), 200, np.uint8)
    drawn = masked(scene(values, image=bright))
    np.testing.assert_array_equal(drawn[:, 30:], bright[:, 30:])
    assert (drawn[:, :30] == 50).all()


@pytest.mark.parametrize("status", ["zero", "constant", "nonfinite"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (96, 96), (300, 40), (480, 640)])
def test_a_mark_is_grey_bears_text_and_fits_any_image(status: str, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), (255, 0, 0), np.uint8)
    marked = mark(image, status)  # pyright: ignore[reportArgumentType]
    assert marked.shape == image.shape
    assert (marked == marked[:, :, :1]).all()
    if min(shape) >= 96:
        assert (marked > 220).any(), "white letters"
        assert (marked < 60).any(), "on a dark band"
        assert not (marked[: shape[0] // 4] < 60).any(), "which leaves the image visible"
