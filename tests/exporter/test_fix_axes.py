"""`shapes` fixes open axes of an ONNX file's inputs, and is recorded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam.exporter import CaptureError, SettingsError, export
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import load_source
from graftcam.runtime.spec import Spec
from support.cli import fail, succeed
from support.onnx_text import parsed
from support.sessions import open_session

RNG = np.random.default_rng(0)
TEXT = """<ir_version: 8, opset_import: ["" : 18]>
    two (float[N, 3, H, W] image, float[N, 3, H, H] mask) => (float[N, 4] logits)
    {
        product = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (image, kernel)
        map = Relu(product)
        other = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (mask, kernel)
        map_mean = GlobalAveragePool(map)
        other_mean = GlobalAveragePool(other)
        sum = Add(map_mean, other_mean)
        flat = Flatten(sum)
        logits = Gemm(flat, weights)
    }"""


def write(path: Path, text: str = TEXT) -> Path:
    """A model of two images, all of whose axes but the channels are open."""
    kernel = RNG.standard_normal((5, 3, 3, 3)).astype(np.float32)
    weights = RNG.standard_normal((5, 4)).astype(np.float32)
    constants = {"kernel": kernel, "weights": weights}
    onnx.save(parsed(text, constants), path)
    return path


def ports(path: Path) -> dict[str, list[Any]]:
    return {one.name: one.shape for one in open_session(path).get_inputs()}


FIXED: dict[str, tuple[Any, list[Any], list[Any], list[int | None]]] = {
    "whole": ([1, 3, 8, 12], [1, 3, 8, 12], [1, 3, "H", "mask_3"], [4, 6]),
    "without the batch": ([3, 8, 12], ["N", 3, 8, 12], ["N", 3, "H", "mask_3"], [4, 6]),
    "one axis": (
        {"image": [None, 3, 8, None]}, ["N", 3, 8, "W"], ["N", 3, "H", "mask_3"], [4, None],
    ),
    "both inputs": (
        {"image": [2, 3, 8, 12], "mask": [3, 6, 8]}, [2, 3, 8, 12], [2, 3, 6, 8], [4, 6],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("shapes", "image", "mask", "grid"), FIXED.values(), ids=FIXED)
def test_open_axes_are_fixed(
    tmp_path: Path, shapes: Any, image: list[Any], mask: list[Any], grid: list[int | None]
) -> None:
    plain, path = write(tmp_path / "plain.onnx"), tmp_path / "m.onnx"
    report = export(plain, path, layers="map", shapes=shapes)
    assert ports(path) == {"image": image, "mask": mask}
    assert report.spec.layers[0].grid == grid
    heatmap = next(one for one in open_session(path).get_outputs() if one.name == "heatmap")
    assert [extent for extent in heatmap.shape[2:] if isinstance(extent, int)] == [
        extent for extent in grid if extent is not None
    ]
    assert heatmap.shape[0] == image[0]


REFUSED: dict[str, tuple[Any, str]] = {
    "another extent": (
        [1, 4, 8, 8],
        "input 'image' takes [1, 3, 'H', 'W'], --shape has 1x4x8x8: the file fixes axis 1 at 3, "
        "not 4; give ? there",
    ),
    "too few": ([8, 8], "--shape has 8x8: give an extent for each axis, with or without the batch"),
    "another input": ({"x": [3, 8, 8]}, "--shape names the input 'x'; the model has image, mask"),
}


@pytest.mark.parametrize(("shapes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_the_file_is_refused(tmp_path: Path, shapes: Any, message: str) -> None:
    plain = write(tmp_path / "plain.onnx")
    with pytest.raises(CaptureError, match=re.escape(message)):
        export(plain, tmp_path / "m.onnx", shapes=shapes)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("shapes", ["3x8x8", [0, 3, 8, 8], [], [2.5], {"image": "3x8x8"}, [True]])
def test_what_is_no_shape_is_refused(tmp_path: Path, shapes: Any) -> None:
    with pytest.raises(SettingsError, match="give extents of 1 or more, and None for an axis"):
        export(write(tmp_path / "plain.onnx"), tmp_path / "m.onnx", shapes=shapes)


def test_shapes_are_recorded_so_that_a_second_export_gives_the_same_bytes(tmp_path: Path) -> None:
    plain, path = write(tmp_path / "plain.onnx"), tmp_path / "m.onnx"
    spec = export(plain, path, shapes={"image": [None, 3, 8, 12]}, layers="map").spec
    assert spec.settings is not None
    assert spec.settings.shapes == {"image": [None, 3, 8, 12]}
    assert Spec.from_json(spec.to_json()).settings == spec.settings
    _, verdict = verify_artifact(path, load_source(str(plain)))
    assert verdict.failures == []
    assert verdict.by_check()["determinism"] == "pass"


def test_the_command_line_fixes_axes_and_lists_layers_with_them(tmp_path: Path) -> None:
    plain, path = write(tmp_path / "plain.onnx"), tmp_path / "m.onnx"
    shapes = ["--shape", "image=1x3x8x12", "--shape", "mask=?,3,6,-1"]
    succeed("export", plain, "-o", path, "--layer", "map", *shapes, "--verify", "off")
    assert ports(path) == {"image": [1, 3, 8, 12], "mask": [1, 3, 6, "H"]}
    listed = succeed("layers", plain, *shapes).stdout
    assert "map      Relu  [1 x 5 x 4 x 6]" in listed
    both = fail("layers", plain, "--shape", "3,8,8", "--shape", "3,6,6", code=2)
    assert "several shapes need the inputs' names: --shape image=3,96,96" in both
    assert "'3x8xtall' is no shape such as" in fail("layers", plain, "--shape", "3x8xtall", code=2)
    assert "the artifact records the shapes" in fail(
        "verify", path, "--against", plain, "--shape", "3,8,8", code=2
    )


def test_an_axis_that_shares_its_name_with_a_fixed_one_stays_open(tmp_path: Path) -> None:
    square = write(tmp_path / "plain.onnx", TEXT.replace("H, W", "H, H"))
    export(square, tmp_path / "m.onnx", layers="map", shapes=[None, 3, 8, None])
    assert ports(tmp_path / "m.onnx")["image"] == ["N", 3, 8, "H"]


def test_a_size_that_the_file_fixes_otherwise_is_verified_as_well(tmp_path: Path) -> None:
    """ONNX Runtime would feed the file itself no other size, although its nodes take it."""
    fixed = TEXT.replace("H, W", "8, 8").replace("H, H", "8, 8").replace("[N", "[4")
    plain, path = write(tmp_path / "plain.onnx", fixed), tmp_path / "m.onnx"
    shapes = {"image": [1, 3, 10, 12], "mask": [1, 3, 6, 6]}
    report = export(plain, path, shapes=shapes, layers="map", verify="quick")
    assert report.verification.verdict == "pass"
    assert ports(path)["image"] == [1, 3, 10, 12]
    source = load_source(str(plain), None, {})
    found = verify_artifact(path, source)[1]
    assert found.status == "pass", found.failures
