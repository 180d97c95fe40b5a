"""Heatmaps lie where the model looked, and say no more than the raw map does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from graftcam.runtime.errors import RenderError
from graftcam.runtime.preprocess import place
from graftcam.runtime.render import (
    colour,
    map_status,
    normalise,
    overlay,
    panel,
    project,
    write_image,
)

from .artifacts import preprocess

if TYPE_CHECKING:
    from pathlib import Path


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
        # No resize, a picture smaller than the crop: padded by 6 rows and 8 columns.
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


def test_overlay_keeps_the_picture_where_the_heatmap_is_zero() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    heatmap = np.zeros((6, 8), np.float32)
    np.testing.assert_array_equal(overlay(picture, heatmap, 1.0, "jet"), picture)
    heatmap[2, 3] = 1
    changed = (overlay(picture, heatmap, 1.0, "jet") != picture).any(-1)
    assert np.argwhere(changed).tolist() == [[2, 3]]


def test_the_colours_share_is_alpha_times_the_root_of_the_heatmap() -> None:
    picture = np.zeros((1, 2, 3), np.uint8)
    heatmap = np.array([[1.0, 0.25]], np.float32)
    full = colour(heatmap, "jet").astype(float)
    expected = np.rint(full * np.array([0.5, 0.25])[None, :, None])
    np.testing.assert_array_equal(overlay(picture, heatmap, 0.5, "jet"), expected)


def test_colours_are_rgb() -> None:
    # Jet runs from dark blue to dark red.
    low, high = colour(np.array([[0.0, 1.0]], np.float32), "jet")[0]
    assert low.tolist() == [0, 0, 128]
    assert high.tolist() == [128, 0, 0]


def test_unknown_colormap_and_alpha_are_refused_with_the_choices() -> None:
    picture, heatmap = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32)
    with pytest.raises(RenderError, match=r"unknown colormap 'rainbw'; choose from .*rainbow"):
        overlay(picture, heatmap, 0.5, "rainbw")
    with pytest.raises(RenderError, match=r"alpha=1.5 is out of range"):
        overlay(picture, heatmap, 1.5, "jet")


def test_panel_sets_pictures_side_by_side_under_their_titles() -> None:
    red = np.full((100, 200, 3), (255, 0, 0), np.uint8)
    blue = np.full((50, 50, 3), (0, 0, 255), np.uint8)
    sheet = panel([red, blue], ["input", "a title much too long for its narrow column"], height=100)
    assert sheet.shape == (136, 200 + 16 + 100 + 16, 3)
    assert (sheet[28:128, 8:208] == (255, 0, 0)).all()
    assert (sheet[28:128, 224:324] == (0, 0, 255)).all()
    titles = sheet[:28]
    assert (titles < 128).any()
    assert (titles[:, 326:] == 255).all(), "the long title is shrunk to fit"
    with pytest.raises(RenderError, match="2 pictures and 1 titles"):
        panel([red, blue], ["only one"])


def test_files_appear_whole_with_the_umasks_permissions(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = write_image(tmp_path / "new" / "bild-ä.png", picture)
    stored = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(stored[:, :, ::-1], picture)
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert [entry.name for entry in path.parent.iterdir()] == ["bild-ä.png"]


def test_unwritable_targets_are_one_clear_error(tmp_path: Path) -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(RenderError, match=r"'.what' is no picture format; use .png or .jpg"):
        write_image(tmp_path / "out.what", picture)
    (tmp_path / "file").touch()
    with pytest.raises(
        RenderError, match=r"cannot write .*file/out.png: (Not a directory|File ex)"
    ):
        write_image(tmp_path / "file" / "out.png", picture)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RenderError, match=r"cannot write .*folder.png"):
        write_image(tmp_path / "folder.png", picture)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.png"]
