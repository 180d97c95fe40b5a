"""Heatmaps lie where the model looked, and say no more than the raw map does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime.errors import RenderError
from graftcam.runtime.inputs.preprocess import place
from graftcam.runtime.output.render import (
    Projection,
    dilated,
    map_status,
    normalise,
    peak,
    project,
    write_image,
)
from graftcam.runtime.output.render.projection import blocks
from support.artifacts import preprocess
from support.images import read_rgb


def one_hot(row: int, column: int, cells: int = 4) -> np.ndarray:
    heatmap = np.zeros((cells, cells), np.float32)
    heatmap[row, column] = 1
    return heatmap


def plateau(heatmap: np.ndarray) -> tuple[float, float]:
    """Centre of the pixels where the heatmap is largest, in pixel edges from the top left."""
    rows, columns = np.nonzero(heatmap >= heatmap.max() - 1e-6)
    return rows.mean() + 0.5, columns.mean() + 0.5


@pytest.mark.parametrize(
    ("changes", "shape", "cell", "expected"),
    [
        # No resize, no crop: cell (1, 2) of 4 covers rows 8..16 and columns 16..24 of 32.
        ({"resize": None}, (32, 32), (1, 2), (12, 20)),
        # Shorter 80 -> 40 halves 80 x 160 to 40 x 80; the crop starts at (4, 24).
        ({}, (80, 160), (1, 2), (2 * (4 + 12), 2 * (24 + 20))),
        ({}, (160, 80), (2, 1), (2 * (24 + 20), 2 * (4 + 12))),
        # Longer 160 -> 40 quarters 80 x 160 to 20 x 40: padded by 6 rows, cut by 4 columns.
        ({"resize_mode": "longer"}, (80, 160), (1, 2), (4 * (12 - 6), 4 * (20 + 4))),
        # Exact: rows halved, columns quartered, each with its own crop.
        (
            {"resize_mode": "exact", "resize": [40, 40]},
            (80, 160),
            (2, 1),
            (2 * (20 + 4), 4 * (12 + 4)),
        ),
        # No resize, an image smaller than the crop: padded by 6 rows and 8 columns.
        ({"resize": None}, (20, 16), (1, 2), (12 - 6, 20 - 8)),
    ],
)
def test_a_cell_lands_on_the_pixels_that_it_covers(
    changes: dict[str, object],
    shape: tuple[int, int],
    cell: tuple[int, int],
    expected: tuple[float, float],
) -> None:
    heatmap = project(one_hot(*cell), place(preprocess(**changes), *shape))
    assert heatmap.shape == shape
    assert heatmap.dtype == np.float32
    assert plateau(heatmap) == pytest.approx(expected)


def test_outside_the_crop_is_exactly_blank_and_inside_is_not_stretched() -> None:
    heatmap = project(np.ones((4, 4), np.float32), place(preprocess(), 80, 160))
    inside = np.zeros((80, 160), np.float32)
    inside[8:72, 48:112] = 1
    np.testing.assert_array_equal(heatmap, inside)


def test_between_cell_centres_values_are_linear_and_beyond_them_constant() -> None:
    heatmap = project(one_hot(0, 0, cells=2), place(preprocess(resize=None, size=[8, 8]), 8, 8))
    profile = np.array([1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0], np.float32)
    np.testing.assert_allclose(heatmap, np.outer(profile, profile), atol=1e-7)


def test_map_and_input_may_have_other_shapes_than_square() -> None:
    record = preprocess(resize=None, size=[16, 32])
    raw = np.zeros((2, 4), np.float32)
    raw[1, 3] = 1
    heatmap = project(raw, place(record, 16, 32))
    assert heatmap[14, 30] == 1
    assert heatmap[:4].max() == heatmap[:, :20].max() == 0


def test_a_map_is_relative_to_its_own_maximum() -> None:
    raw = np.array([[0.0, 0.5], [2.0, -1.0]])
    np.testing.assert_array_equal(normalise(raw), np.array([[0, 0.25], [1, 0]], np.float32))


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (np.zeros((2, 2)), "zero"),
        (np.full((2, 2), -1.0), "zero"),
        (np.array([[1.0, np.nan]]), "nonfinite"),
        (np.array([[1.0, np.inf]]), "nonfinite"),
    ],
)
def test_a_map_without_evidence_stays_blank_and_says_so(raw: np.ndarray, status: str) -> None:
    assert map_status(raw) == status
    np.testing.assert_array_equal(normalise(raw), np.zeros(raw.shape, np.float32))


def test_the_smallest_positive_map_is_still_drawn() -> None:
    raw = np.array([[0, 1e-44]], np.float32)
    assert map_status(raw) == "ok"
    np.testing.assert_array_equal(normalise(raw), np.array([[0, 1]], np.float32))


def test_a_constant_map_stays_blank() -> None:
    assert map_status(np.full((2, 3), 0.5)) == "constant"
    assert map_status(np.full((2, 3), -0.5), signed=True) == "constant"
    # Eight cells that differ by rounding in float32, and eight that differ by more.
    assert map_status(np.float32(0.1) * (1 + np.arange(8) * 1e-7).reshape(2, 4)) == "constant"
    assert map_status(np.float32(0.1) * (1 + np.arange(8) * 1e-6).reshape(2, 4)) == "ok"
    assert not normalise(np.full((2, 3), 0.5)).any()


def test_a_signed_map_keeps_its_sign_and_is_relative_to_its_largest_magnitude() -> None:
    raw = np.array([[0.0, 1.0], [-2.0, 0.5]])
    np.testing.assert_array_equal(normalise(raw, signed=True), [[0, 0.5], [-1, 0.25]])
    assert peak(raw, signed=True) == 2
    assert map_status(-np.abs(raw), signed=True) == "ok"
    assert map_status(-np.abs(raw)) == "zero"


def test_a_map_can_be_put_on_another_scale() -> None:
    raw = np.array([[0.0, 1.0], [2.0, -1.0]])
    np.testing.assert_array_equal(normalise(raw, scale=8), [[0, 0.125], [0.25, 0]])


def test_a_percentile_is_one_of_the_evidence_and_what_is_beyond_is_cut_off() -> None:
    raw = np.array([[0, 0, 0, 0, 0], [1.0, 2, 3, 4, 100], [-9, -9, -9, -9, -9]])
    assert peak(raw, percentile=50) == 3
    assert peak(raw) == 100
    np.testing.assert_array_equal(normalise(raw, scale=4)[1], [0.25, 0.5, 0.75, 1, 1])
    assert peak(raw, signed=True, percentile=50) == 9
    assert normalise(raw, signed=True, scale=4).min() == -1
    assert peak(np.zeros((2, 2)), percentile=50) == 0


def test_dilation_spreads_the_strongest_value_in_squares_and_keeps_its_sign() -> None:
    values = np.zeros((5, 7), np.float32)
    values[2, 1], values[2, 3], values[0, 6] = 0.5, -1, 0.25
    wide = dilated(values, 1)
    expected = np.zeros((5, 7), np.float32)
    expected[1:4, 0:2], expected[1:4, 2:5], expected[0:2, 5:7] = 0.5, -1, 0.25
    np.testing.assert_array_equal(wide, expected)
    assert dilated(values, 0) is values
    assert (dilated(values, 64) == -1).all()
    line = dilated(np.array([0, 0, 1, 0, 0, 0], np.float32), 2)
    np.testing.assert_array_equal(line, [1, 1, 1, 1, 1, 0])
    cube = np.zeros((3, 4, 5), np.float32)
    cube[1, 1, 1] = 1
    assert dilated(cube, 1).sum() == 27


def test_a_projection_continues_the_map_outside_the_crop_and_says_what_was_seen() -> None:
    placed = place(preprocess(), 80, 160)
    projection = Projection(np.ones((4, 4), np.float32), placed)
    assert projection.seen == (slice(8, 72), slice(48, 112))
    whole = (slice(0, 80), slice(0, 160))
    np.testing.assert_allclose(projection.at(whole), 1)
    assert np.abs(projection.slope(whole)).max() < 1e-6


def test_blocks_of_a_projection_are_parts_of_the_whole() -> None:
    values = np.random.default_rng(0).normal(0, 1, (5, 7, 3)).astype(np.float32)
    colours, plane = (Projection.over(one, (90, 701)) for one in (values, values[:, :, 1]))
    whole = (slice(0, 90), slice(0, 701))
    everything, slopes = colours.at(whole), plane.slope(whole)
    np.testing.assert_allclose(everything[:, :, 1], plane.at(whole), atol=1e-6)
    # The slope is numpy's gradient, whose border is one-sided, too.
    steepest = np.hypot(*np.gradient(plane.at(whole)))
    np.testing.assert_allclose(slopes, steepest, atol=1e-6)
    cut = list(blocks(whole))
    assert [(rows.start, columns.start) for rows, columns in cut] == [
        (0, 0), (0, 512), (64, 0), (64, 512)
    ]  # fmt: skip
    for part in [*cut, (slice(89, 90), slice(700, 701)), (slice(31, 32), slice(5, 6))]:
        np.testing.assert_allclose(colours.at(part), everything[part], atol=1e-6)
        np.testing.assert_allclose(plane.slope(part), slopes[part], atol=1e-6)


def test_files_appear_whole_with_the_umasks_permissions(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = write_image(tmp_path / "new" / "bild-ä.png", image)
    np.testing.assert_array_equal(read_rgb(path), image)
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert [entry.name for entry in path.parent.iterdir()] == ["bild-ä.png"]


def test_unwritable_targets_are_one_clear_error(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(RenderError, match=r"'.what' is no image format; use .png or .jpg"):
        write_image(tmp_path / "out.what", image)
    (tmp_path / "file").touch()
    with pytest.raises(RenderError, match=r"cannot write .*file/out.png: .*file is no folder"):
        write_image(tmp_path / "file" / "out.png", image)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RenderError, match=r"cannot write .*folder.png"):
        write_image(tmp_path / "folder.png", image)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.png"]
