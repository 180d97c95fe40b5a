"""Average pools of open extents share the gradient among the cells that ONNX Runtime counts.

A pool is linear: its values for single ones are its slopes.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from graftcam.exporter.differentiate import registry
from support.operators.harness import Case, Model, graft, run_ort, session

EXTENTS = range(1, 9)


def _attributes(stride: int, dilation: int, pads: tuple[int, int], ceil: int, counted: int) -> str:
    text = f"kernel_shape=[3], strides=[{stride}], pads={list(pads)}, ceil_mode={ceil}"
    if dilation > 1:
        text += f", dilations=[{dilation}]"
    return f"{text}, count_include_pad={counted}"


@pytest.mark.parametrize("opset", [18, 19])
@pytest.mark.parametrize("pads", [(0, 0), (1, 1), (0, 2), (2, 1)])
def test_one_graph_serves_images_of_any_extent(pads: tuple[int, int], opset: int) -> None:
    seen, longer = 0, 0
    dilations = (1, 2) if opset > 18 else (1,)
    for stride, dilation, ceil, counted in product((1, 2, 3, 4), dilations, (0, 1), (0, 1)):
        text = _attributes(stride, dilation, pads, ceil, counted)
        case = Case("", f"y = AveragePool<{text}>(x)", {"x": ("N", 1, 8)}, opset=opset)
        runner = session(graft(Model(case, np.float32, 8, (0, 2))).proto)
        plain = session(_without_shape(Model(case, np.float32, 8, (0, 2)).proto))
        for extent in EXTENTS:
            x = np.eye(extent)[:, None]
            try:
                slopes = run_ort(plain, {"x": x})["y"][:, 0]
            except Exception:  # the window is too long for the image
                continue
            windows = slopes.shape[1]
            if not windows:
                continue
            seed = np.broadcast_to(np.eye(windows)[:, None, None], (windows, extent, 1, windows))
            got = run_ort(runner, {"x": x, "seed": seed})["grad_x"]
            right = np.broadcast_to(slopes.T[:, None, None], got.shape)
            np.testing.assert_allclose(got, right, atol=1e-6, err_msg=f"{text} of {extent}")
            seen += 1
            longer += sum(pads) + extent <= 2 * dilation
    assert seen > 100
    assert longer > 5 or opset == 18  # no padded window is longer there


def _without_shape(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model, whose output may have any shape."""
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return proto


def test_two_open_axes_are_counted_each() -> None:
    text = "kernel_shape=[3, 2], strides=[4, 3], dilations=[2, 1], pads=[1, 0, 0, 1]"
    case = Case("", f"y = AveragePool<{text}>(x)", {"x": ("N", 1, 7, 6)}, opset=19)
    runner = session(graft(Model(case, np.float32, 8, (0, 2, 3))).proto)
    plain = session(_without_shape(Model(case, np.float32, 8, (0, 2, 3)).proto))
    for height, width in ((2, 1), (7, 6), (3, 5)):
        x = np.eye(height * width).reshape(-1, 1, height, width)
        slopes = run_ort(plain, {"x": x})["y"]
        seed = np.ones((1, *slopes.shape))
        got = run_ort(runner, {"x": x, "seed": seed})["grad_x"][0, 0, 0]
        right = slopes.sum(axis=(1, 2, 3)).reshape(height, width)
        np.testing.assert_allclose(got, right, atol=1e-6)


def test_negative_padding_of_an_open_extent_is_refused() -> None:
    text = """<ir_version: 9, opset_import: ["" : 19]> g (float[1, 2, H] x) => (float y)
    { y = AveragePool<kernel_shape=[2], dilations=[2], pads=[0, -1]>(x) }"""
    node = next(iter(ir.from_proto(onnx.parser.parse_model(text)).graph))
    check = registry.table()["AveragePool"].check
    assert check is not None
    assert check(node) == "negative padding needs static spatial extents"
