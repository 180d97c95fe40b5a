"""Resize's rule computes with what ONNX Runtime computes, in every mode and by every scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from graftcam.exporter.differentiate.support.resampling import resampling_matrix
from graftcam.exporter.differentiate.support.resizing import resamplings
from support.operators.harness import Array, run_ort, session, with_adjoints

HEIGHT, WIDTH = 4, 5
MODES = {
    **{f"nearest, {near}": f'mode="nearest", nearest_mode="{near}"'
       for near in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")},
    "linear": 'mode="linear"',
    "linear, antialias": 'mode="linear", antialias=1',
    "cubic": 'mode="cubic"',
    "cubic, inside": 'mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5',
    "cubic, antialias": 'mode="cubic", antialias=1',
}  # fmt: skip
COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize",
)  # fmt: skip
# 4 x 1.2 = 4.8 and 5 x 1.1 = 5.5: with one of them the other axis changes, with both none does.
SCALES = (
    (2.0, 2.0), (1.4, 0.6), (1.5, 1.0), (0.5, 1.2), (0.25, 0.2), (1.2, 1.1), (1.2, 2.0), (1.0, 1.7),
    (3.0, 0.4), (0.7, 1.4),
)  # fmt: skip
SIZES = ((7, 3), (1, 1), (4, 9), (8, 5), (2, 2))


def _model(attributes: str, by: Array, shape: str) -> onnx.ModelProto:
    """A Resize of the last two axes of ``x``, by scales or to sizes."""
    given = "scales" if by.dtype == "f4" else ", sizes"
    text = f"""<ir_version: 9, opset_import: ["" : 19]>
    g (float[{shape}] x) => (float[A, B, C, D] y)
    {{ y = Resize<axes=[2, 3], {attributes}>(x, roi, {given}) }}"""
    proto = onnx.parser.parse_model(text)
    roi = np.array([0.125, -0.25, 0.75, 0.875], np.float32)
    for name, array in (("roi", roi), ("scales" if by.dtype == "f4" else "sizes", by)):
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    proto.graph.node[0].name = "node"
    return proto


def _asked() -> Iterator[Array]:
    yield from (np.array(one, np.float32) for one in SCALES)
    yield from (np.array(one, np.int64) for one in SIZES)


def _slopes(attributes: str, by: Array) -> Array:
    """What ONNX Runtime makes of each cell of an image, [H * W, height, width]."""
    cells = np.eye(HEIGHT * WIDTH).reshape(-1, 1, HEIGHT, WIDTH)
    proto = _model(attributes, by, f"N, 1, {HEIGHT}, {WIDTH}")
    return run_ort(session(proto), {"x": cells})["y"][:, 0]


def _by_rule(attributes: str, by: Array, counts: tuple[int, ...]) -> Array:
    """The same by the rule's matrices."""
    model = ir.from_proto(_model(attributes, by, f"1, 1, {HEIGHT}, {WIDTH}"))
    (node,) = model.graph
    node.outputs[0].shape = ir.Shape([1, 1, *counts])
    found = np.eye(HEIGHT * WIDTH).reshape(-1, HEIGHT, WIDTH)
    for axis, resampling in resamplings(node).items():
        moved = np.moveaxis(found, axis - 1, -1) @ resampling_matrix(resampling).T
        found = np.moveaxis(moved, -1, axis - 1)
    return found


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", MODES)
def test_the_rule_reads_the_cells_that_onnx_runtime_reads(mode: str, coordinates: str) -> None:
    attributes = f'{MODES[mode]}, coordinate_transformation_mode="{coordinates}"'
    for by in _asked():
        right = _slopes(attributes, by)
        found = _by_rule(attributes, by, right.shape[1:])
        np.testing.assert_allclose(found, right, atol=2e-6, err_msg=f"by {by}")


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", ["nearest, floor", "linear", "cubic", "linear, antialias"])
def test_open_extents_are_resized_alike_at_run_time(mode: str, coordinates: str) -> None:
    attributes = f'{MODES[mode]}, coordinate_transformation_mode="{coordinates}"'
    for by in (np.array(one, np.float32) for one in SCALES):
        right = _slopes(attributes, by)
        made = with_adjoints(_model(attributes, by, "N, 1, H, W"))
        count = right[0].size
        seed = np.eye(count).reshape(count, 1, 1, *right.shape[1:])
        feeds = {"x": np.ones((1, 1, HEIGHT, WIDTH)), "seed": seed}
        found = run_ort(session(made.proto), feeds)["grad_x"]
        found = found.reshape(count, -1).T.reshape(right.shape)
        np.testing.assert_allclose(found, right, atol=2e-6, err_msg=f"by {by}")
