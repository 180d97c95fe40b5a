"""What is drawn for maps that lie over no photograph."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.runtime import Explainer, Explanation, figure
from graftcam.runtime.output.render import Look, palette, resample
from graftcam.runtime.output.views import Drawing, View
from graftcam.runtime.output.views.bare import BareView
from graftcam.runtime.output.views.plane import PlaneView
from graftcam.runtime.output.views.shades import fitted, pictured, shaded
from graftcam.runtime.output.views.signal import SignalView, ticks
from graftcam.runtime.output.views.volume import FramesView, VolumeView
from support.artifacts_nd import write_nd, write_signal, write_volume
from support.images import read_rgb

STYLES = ("overlay", "heatmap", "contour", "mask")


def drawn(view: View, values: Any, style: Any = "heatmap", signed: bool = False) -> np.ndarray:
    drawing = Drawing(np.asarray(values, np.float32), palette(signed=signed), Look(style))
    return view.draw(drawing)


def red(image: np.ndarray) -> np.ndarray:
    """Where an image has the strongest colours of the palette, dark red."""
    return (image.astype(int) - palette().colours[255]).__abs__().sum(axis=2) < 40


def test_every_cell_of_a_map_covers_an_equal_share_of_each_axis() -> None:
    np.testing.assert_allclose(resample(np.float32([0, 1]), [4]), [0, 0.25, 0.75, 1])
    cells = np.zeros((2, 2, 3, 2), np.float32)
    cells[1, 1, 2, 0] = 1
    whole = resample(cells, [4, 9, 2])
    assert whole.shape == (2, 4, 9, 2)
    assert np.unravel_index(whole.argmax(), whole.shape)[:1] == (1,)
    assert whole[1, 3, 8, 0] == pytest.approx(1)
    assert whole[0].max() == 0


@pytest.mark.parametrize("channels", [1, 3, 20])
@pytest.mark.parametrize("count", [8, 500, 40_000])
def test_a_signal_is_drawn_with_its_map_at_the_right_time(channels: int, count: int) -> None:
    signal = np.sin(np.arange(channels * count).reshape(channels, count))
    view = SignalView(signal, 0)
    values = np.zeros(10)
    values[7] = 1
    sizes = {drawn(view, values, style).shape for style in STYLES}
    assert sizes == {view.image.shape}
    columns = np.flatnonzero(red(drawn(view, values)).any(axis=0))
    left, right = 56, 56 + 924
    assert (columns.mean() + 0.5 - left) / (right - left) == pytest.approx(0.75, abs=0.01)
    # Without evidence an overlay leaves the lines as they are, above the band.
    calm = drawn(view, np.zeros(10), "overlay")
    np.testing.assert_array_equal(calm[:150], view.image[:150])


def test_a_line_reaches_the_extremes_of_a_dense_signal() -> None:
    signal = np.zeros(50_000)
    signal[20_000], signal[30_000] = 1, -1
    image = SignalView(signal, None).image
    dark = image[10:190].max(axis=2) < 120
    rows, columns = np.nonzero(dark)
    for extreme, at in ((rows.min(), 0.4), (rows.max(), 0.6)):
        assert extreme in (6, 173, 174)
        assert columns[rows == extreme].mean() == pytest.approx(56 + 924 * at, abs=2)


def test_the_line_of_a_dense_signal_has_no_gaps() -> None:
    for sign in (1, -1):
        step = np.repeat([sign, -sign], 924 * 4)
        dark = SignalView(step, None).image[10:190].max(axis=2) < 120
        assert dark[20:160].any(axis=1).all()


def test_a_signal_may_be_constant_or_infinite_in_places() -> None:
    for signal in (np.zeros(9), np.full(9, 3.0), np.array([0, np.inf, 1, -np.inf]), np.ones(1)):
        assert drawn(SignalView(signal, None), np.ones(1), "overlay").shape[1] == 1000


def test_the_time_axis_has_round_numbers() -> None:
    assert [text for _, text in ticks(2.0, "s")][:3] == ["0", "0.5 s", "1 s"]
    assert [at for at, _ in ticks(1000, "")] == [0, 200, 400, 600, 800, 1000]
    assert [at for at, _ in ticks(3, "")] == [0, 1, 2, 3]


def test_outliers_hide_nothing_of_an_array() -> None:
    values = np.linspace(0, 1, 10_000).reshape(100, 100)
    values[0, 0] = 1e6
    levels = shaded(values)
    assert int(levels[50, 50]) == pytest.approx(128, abs=3)
    assert shaded(np.full((2, 2), 7.0)).tolist() == [[128, 128]] * 2
    assert shaded(np.array([np.nan, np.nan])).tolist() == [128, 128]
    sparse = np.zeros((100, 100))
    sparse[5, 5] = 3
    assert shaded(sparse)[5, 5] == 255


def test_three_channels_are_colours_and_others_a_mean() -> None:
    values = np.zeros((3, 4, 4))
    values[0] = 1
    assert pictured(values, 0)[0, 0].tolist() == [255, 0, 0]
    assert pictured(np.moveaxis(values, 0, -1), 2)[0, 0].tolist() == [255, 0, 0]
    two = np.stack([np.eye(4), np.zeros((4, 4))])
    assert pictured(two, 0)[0, 0].tolist() == [192, 192, 192]  # white, and a channel without range


def test_small_arrays_are_enlarged_and_long_ones_compressed() -> None:
    assert PlaneView(np.zeros((8, 16)), None).image.shape == (500, 1000, 3)
    assert PlaneView(np.zeros((8, 16_000)), None).image.shape == (200, 1000, 3)
    assert PlaneView(np.zeros((16_000, 8)), None).image.shape == (640, 128, 3)
    assert fitted(np.zeros((3000, 10, 3), np.uint8), (100, 100)).shape == (100, 1, 3)


def test_a_plane_has_its_map_at_the_right_place() -> None:
    values = np.zeros((2, 4))
    values[1, 3] = 1
    rows, columns = np.nonzero(red(drawn(PlaneView(np.zeros((1, 20, 40)), 0), values)))
    assert rows.min() > 300
    assert columns.min() > 800


def test_a_volume_shows_slices_and_the_planes_through_the_maximum() -> None:
    volume = np.zeros((12, 15, 12))
    values = np.zeros((4, 5, 4))
    values[3, 1, 2] = 1
    view = VolumeView(volume[None], 0)
    titles = [view._title(axis, at) for axis, at in enumerate((10, 4, 7))]
    assert titles == ["axis 0 = 10 of 12", "axis 1 = 4 of 15", "axis 2 = 7 of 12"]
    image = drawn(view, values)
    # Two rows of slices above three planes; the maximum is in each plane, and in few slices.
    planes = red(image[-318:])
    edges = [0, 266, 592, image.shape[1]]  # between planes 254, 318 and 318 pixels wide
    assert all(planes[:, a:b].any() for a, b in pairwise(edges))
    slices = red(image[:-330])
    assert slices[200:].any()
    assert not slices[:180].any()
    assert drawn(view, values, "contour").shape == view.image.shape


def test_a_scan_is_shown_upright_at_the_proportions_of_the_body() -> None:
    volume = np.zeros((20, 40, 10))
    volume[2, 35, 5] = 1  # low x, high y: on the left, above
    view = VolumeView(volume, None, (1.0, 1.0, 4.0), scan=True)
    assert view._title(2, 5) == "z = 5 of 10"
    tile = view._tile(2, 5, 80, None)
    assert tile.shape == (80, 40, 3)
    rows, columns = np.nonzero(tile[:, :, 0] > 128)
    assert rows.max() < 20
    assert columns.max() < 10
    # The cross marks the same place.
    cross = np.zeros((80, 40, 3), np.uint8)
    view._cross(cross, 2, (2, 35, 5))
    rows, columns = np.nonzero(cross[:, :, 0])
    assert np.bincount(rows).argmax() < 20
    assert np.bincount(columns).argmax() < 10
    # Ten slices of 4 mm are as tall as 40 of 1 mm.
    assert view._tile(0, 2, 80, None).shape == (80, 80, 3)


def test_frames_show_the_map_of_their_time() -> None:
    clip = np.zeros((40, 3, 8, 8))
    view = FramesView(clip, 1)
    values = np.zeros((4, 2, 2))
    values[3, 0, 1] = 1
    image = drawn(view, values)
    rows, columns = np.nonzero(red(image))
    assert rows.min() > image.shape[0] / 2  # the last quarter of the clip
    assert columns.min() > 0
    assert view.project(values.astype(np.float32)).shape == (40, 8, 8)
    few = FramesView(np.zeros((2, 8, 8)), None)
    assert few.image.shape[1] > 600


def test_a_map_without_a_place_is_drawn_alone() -> None:
    for cells in ((5,), (3, 4), (2, 3, 4)):
        view = BareView(cells)
        values = np.zeros(cells)
        values[(-1,) * len(cells)] = 1
        assert red(drawn(view, values)).any()
        assert drawn(view, values).shape == view.image.shape
        assert view.project(values.astype(np.float32)).shape == cells


@pytest.fixture(scope="module")
def of_volume(tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    volume = np.zeros((8, 12, 16))
    volume[4:8, 0:4, 8:12] = 1
    path = write_volume(tmp_path_factory.mktemp("model") / "volume.onnx")
    return Explainer(path).explain(volume, [0, 1])


def test_explanations_of_volumes_have_maps_files_and_a_summary(
    of_volume: Explanation, tmp_path: Path
) -> None:
    assert of_volume.maps.shape == (2, 2, 3, 4)
    assert of_volume.heatmaps.shape == (2, 8, 12, 16)
    assert of_volume.status == ["ok", "zero"]
    assert np.unravel_index(of_volume.maps[0].argmax(), (2, 3, 4)) == (1, 0, 2)
    first, second = of_volume.save(tmp_path / "out")
    assert [first.name, second.name] == ["input-0.png", "input-1.png"]
    assert read_rgb(first).shape == of_volume.draw(0).shape
    (raw,) = of_volume.save(tmp_path / "maps.npy")
    np.testing.assert_array_equal(np.load(raw), of_volume.maps)
    (summary,) = of_volume.save(tmp_path / "maps.json")
    record = json.loads(summary.read_text())
    assert record["shape"] == [8, 12, 16]
    assert "width" not in record
    np.testing.assert_allclose(record["classes"][0]["map"], of_volume.maps[0])
    (page,) = of_volume.save(tmp_path / "page.html")
    assert page.read_text().count("<img ") == 3
    assert of_volume.panel().shape[0] > 3 * of_volume.image.shape[0]
    assert of_volume.draw(0, height=100).shape[0] == 100


def test_a_figure_of_methods_sets_wide_drawings_below_each_other(tmp_path: Path) -> None:
    explainer = Explainer(write_signal(tmp_path / "signal.onnx"))
    found = explainer.compare(np.arange(32.0), ["gradcam", "layercam"], classes=[0, 1])
    sheet = figure(found)
    assert sheet.shape[1] < 1200
    assert sheet.shape[0] > 5 * found[0].image.shape[0]


def test_layers_of_a_volume_are_fused(tmp_path: Path, of_volume: Explanation) -> None:
    from graftcam.runtime.explain.fuse_layers import fuse

    fine, coarse = np.zeros((1, 1, 4, 4, 4)), np.ones((1, 1, 1, 1, 1))
    fine[0, 0, 3, 0, 3] = 5
    both = fuse([fine.astype(np.float32), coarse.astype(np.float32)], "mean")
    assert both.shape == (1, 1, 4, 4, 4)
    assert both[0, 0, 3, 0, 3] == 1
    assert both.min() == 0.5


def test_maps_of_a_sequence_of_images_lie_over_its_images(tmp_path: Path) -> None:
    begin = """turned = Transpose <perm = [0, 2, 1, 3, 4]> (bag)
        sums = Conv <strides = [1, 4, 4]> (turned, per_image)"""
    kernel = np.zeros((3, 3, 1, 4, 4), np.float32)
    kernel[range(3), range(3)] = 1 / 16
    path = write_nd(
        tmp_path / "bag.onnx", {"bag": "float[N, T, 3, 8, 8]"}, rank=3, begin=begin,
        weights=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], constants={"per_image": kernel},
    )  # fmt: skip
    bag = np.zeros((5, 3, 8, 8))
    bag[3, 0, :4, 4:] = 1
    found = Explainer(path).explain(bag, 0)
    assert found.maps.shape == (1, 5, 2, 2)
    assert isinstance(found.view, FramesView)
    assert np.unravel_index(found.maps[0].argmax(), (5, 2, 2)) == (3, 0, 1)
    assert found.heatmaps.shape == (1, 5, 8, 8)
