"""Polygons, run lengths and boxes become pixels."""

from __future__ import annotations

import numpy as np
import pytest

from graftcam.runtime.errors import TruthError
from graftcam.runtime.tools.evaluate.truth import outlines
from graftcam.runtime.tools.evaluate.truth.outlines import (
    RunLengths,
    decompress,
    paint,
    paint_boxes,
)
from support.drawn import pixels

# Written by pycocotools 2.0: mask.encode of the pixels below.
COMPRESSED = "2131NO142LM001110N02ON011O10N00023"
PIXELS = pixels(
    ".###.....", "..#.#.#..", "########.", "....##..#", "...#.#.##", ".#.#..#.#", "##..##.##"
)  # fmt: skip
WIDE = "Um3i0?" + "0" * 1597 + "[n1gm1"  # 40 x 1000: a rectangle, and a stripe on the right


def runs(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run lengths of a mask, by a loop over its pixels."""
    counts, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def crossed(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The even-odd rule for each pixel's centre on its own, with a ray upward."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    inside = np.zeros(size, bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if x0 != x1:
            inside ^= ((x0 <= x) != (x1 <= x)) & (y0 + (x - x0) * (y1 - y0) / (x1 - x0) <= y)
    return inside


def test_compressed_run_lengths_are_those_of_pycocotools() -> None:
    assert decompress(COMPRESSED).tolist() == runs(PIXELS)
    assert (paint([RunLengths(COMPRESSED, (7, 9))], (7, 9)) == PIXELS).all()


def test_long_runs_take_several_characters() -> None:
    mask = np.zeros((40, 1000), bool)
    mask[5:30, 100:900] = mask[:, 950:] = True
    assert decompress(WIDE).tolist() == runs(mask)


@pytest.mark.parametrize("fill", [0.0, 0.3, 1.0])
def test_uncompressed_run_lengths(fill: float) -> None:
    mask = np.random.default_rng(0).random((5, 8)) < fill
    assert (paint([RunLengths(np.array(runs(mask)), (5, 8))], (5, 8)) == mask).all()


@pytest.mark.parametrize(
    "text", ["", "é", "2 1", "2131NO142LM001110N02ON011O10N0002", "P", "oooooooo0"]
)
def test_damaged_text_of_run_lengths(text: str) -> None:
    with pytest.raises(ValueError, match=r"cut off|characters|add up|bits"):
        paint([RunLengths(text, (7, 9))], (7, 9))


@pytest.mark.parametrize(
    "counts", [[], [3], [5], [-1, 5], [2**62, 2**62], [4, 4, -4], [2**63 - 1, 2**63 - 1, 6]]
)
def test_run_lengths_that_do_not_fit_the_mask(counts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"add up to 2 x 2|longer than the mask"):
        paint([RunLengths(np.array(counts, np.int64), (2, 2))], (2, 2))


def test_a_rectangle_has_the_pixels_between_its_corners() -> None:
    corners = np.array([[1, 1], [4, 1], [4, 3], [1, 3.0]])
    assert (paint([[corners]], (4, 6)) == pixels("......", ".###..", ".###..", "......")).all()


def test_a_triangle_has_the_pixels_whose_centre_is_inside() -> None:
    corners = np.array([[0, 0], [4, 4], [0, 4.0]])
    expected = pixels("#...", "##..", "###.", "####")  # a centre on an upper edge is inside,
    assert (paint([[corners]], (4, 4)) == expected).all()
    corners = np.array([[0, 0], [4, 0], [4, 4.0]])
    expected = pixels(".###", "..##", "...#", "....")  # on a lower edge it is outside
    assert (paint([[corners]], (4, 4)) == expected).all()


@pytest.mark.parametrize("corners", [3, 4, 7, 30])
def test_polygons_follow_the_rule_of_crossings(corners: int) -> None:
    generator = np.random.default_rng(corners)
    for _ in range(20):
        polygon = generator.random((corners, 2)) * [60, 40] - 10  # also beyond the borders
        assert (paint([[polygon]], (20, 40)) == crossed(polygon, (20, 40))).all()


def test_outlines_are_united_and_none_cancels_another() -> None:
    one = np.array([[0, 0], [3, 0], [3, 3], [0, 3.0]])
    other = one[::-1] + 1
    whole = paint([[one, other], [one]], (5, 5))
    assert (whole == (crossed(one, (5, 5)) | crossed(other, (5, 5)))).all()
    assert whole.sum() == 9 + 9 - 4


def test_corners_far_away_and_lines_without_area() -> None:
    far = np.array([[-1e300, -1e300], [1e300, -1e300], [1e300, 1e300], [-1e300, 1e300]])
    assert paint([[far]], (3, 3)).all()
    assert not paint([[np.array([[1.0, 1], [2, 2]])], [np.array([[1.0, 1]])]], (3, 3)).any()


def test_polygons_that_cross_very_often_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "CROSSINGS", 100)
    zigzag = np.array([[0, 0], [9, 1.0]] * 6)
    with pytest.raises(TruthError, match="simplify them"):
        paint([[zigzag]], (4, 9))


def test_boxes_have_the_pixels_whose_centre_is_inside() -> None:
    boxes = np.array([[1, 0, 3, 2], [4.4, 1.5, 6, 3.6]])
    assert (paint_boxes(boxes, (4, 6)) == pixels(".##...", ".##.##", "....##", "....##")).all()


def test_thin_boxes_have_a_pixel_and_overlapping_ones_are_united() -> None:
    assert (paint_boxes(np.array([[1.6, 0, 1.8, 2]]), (2, 3)) == pixels(".#.", ".#.")).all()
    assert (paint_boxes(np.array([[2.6, 1.6, 3, 2]]), (2, 3)) == pixels("...", "..#")).all()
    assert paint_boxes(np.array([[0, 0, 2, 2], [1, 0, 3, 2.0]]), (2, 3)).all()
    assert not paint_boxes(np.zeros((0, 4)), (2, 3)).any()
