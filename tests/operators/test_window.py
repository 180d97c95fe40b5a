"""The arithmetic of windows and slices, in exact numbers."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftcam.exporter.differentiate.support.cell_counts import cell_counts
from graftcam.exporter.differentiate.support.strided import SliceRange, slice_range, slice_ranges
from graftcam.exporter.differentiate.support.window import (
    Window,
    adjoint_padding,
    has_window,
    same_padding,
    window_of,
)
from graftcam.exporter.graph.write_out import pool_padding
from support.sessions import open_session

EXACT = settings(max_examples=200, derandomize=True, deadline=None)
SMALL = st.integers(1, 4)


def _node(body: str, shape: str = "1, 2, 5, 6", constants: str = "") -> ir.Node:
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
    g (float[{shape}] x) => (float y) <{constants}> {{ y = {body} }}"""
    return next(iter(ir.from_proto(onnx.parser.parse_model(text)).graph))


def _window(kernel: int, stride: int, dilation: int = 1, before: int = 0, after: int = 0) -> Window:
    return Window((kernel,), (stride,), (dilation,), (before,), (after,))


def _windows(extent: int, window: Window) -> int:
    """How many windows fit."""
    padded = extent + window.before[0] + window.after[0]
    return (padded - window.reach[0] - 1) // window.strides[0] + 1


def test_reach_is_from_the_first_place_to_the_last() -> None:
    assert Window((3, 2, 1), (1, 1, 1), (1, 3, 5), (0,) * 3, (0,) * 3).reach == (2, 3, 0)


@pytest.mark.parametrize(
    ("window", "tiles"),
    [
        (_window(2, 2), True),
        (_window(1, 1), True),
        (_window(3, 2), False),
        (_window(2, 3), False),
        (_window(2, 2, dilation=2), False),
        (_window(2, 2, before=1), False),
        (_window(2, 2, after=1), False),
    ],
)
def test_windows_tile_when_they_neither_overlap_nor_leave_gaps(window: Window, tiles: bool) -> None:
    assert window.tiles is tiles


@pytest.mark.parametrize(
    ("window", "extent", "count", "padding"),
    [
        (_window(3, 1, before=1, after=1), 5, 5, (1, 1)),
        (_window(3, 1), 5, 3, (2, 2)),
        (_window(3, 2), 6, 2, (2, 2)),  # one cell left over
        (_window(3, 2), 5, 2, (2, 1)),
        (_window(2, 3), 8, 3, (1, -1)),  # the stride's last gap is too long
        (_window(2, 1, before=3, after=2), 3, 7, (-2, -1)),  # pads beyond the kernel's reach
        (_window(2, 1, dilation=3), 6, 3, (3, 3)),
        (_window(1, 2, before=1), 4, 3, (-1, -1)),
    ],
)
def test_adjoint_padding(window: Window, extent: int, count: int, padding: tuple[int, int]) -> None:
    assert _windows(extent, window) == count
    lower, upper, exact = adjoint_padding(window, [extent], [count])
    assert (lower[0], upper[0], exact) == (*padding, True)


def test_adjoint_padding_of_open_extents() -> None:
    at_one = adjoint_padding(_window(3, 1, before=1, after=0), ["H"], ["h"])
    assert at_one == ([1], [2], True), "at stride 1 it does not depend on the extent"
    at_two = adjoint_padding(_window(3, 2, before=1, after=0), ["H"], [None])
    assert at_two == ([1], [2], False), "else as much as can be needed, to be cut"


@EXACT
@given(st.integers(1, 9), SMALL, SMALL, SMALL, st.integers(0, 3), st.integers(0, 3))
def test_adjoint_padding_restores_the_extent(
    extent: int, kernel: int, stride: int, dilation: int, before: int, after: int
) -> None:
    window = _window(kernel, stride, dilation, before, after)
    count = _windows(extent, window)
    if extent + before + after <= window.reach[0]:
        return
    lower, upper, _ = adjoint_padding(window, [extent], [count])
    assert lower[0] + count * stride + upper[0] - window.reach[0] == extent
    _, enough, _ = adjoint_padding(window, ["H"], ["h"])
    assert enough[0] >= upper[0]


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "dilation", "upper", "pads"),
    [
        (5, 3, 1, 1, True, (1, 1)),
        (5, 2, 1, 1, True, (0, 1)),
        (5, 2, 1, 1, False, (1, 0)),
        (6, 3, 2, 1, True, (0, 1)),
        (6, 3, 2, 1, False, (1, 0)),
        (5, 3, 1, 2, True, (2, 2)),
        (7, 2, 3, 1, True, (0, 1)),
        (6, 2, 3, 1, True, (0, 0)),  # a stride beyond the kernel needs no padding
        (8, 1, 4, 1, True, (-1, -1)),  # or begins behind cells that are left out
        (8, 1, 4, 1, False, (0, -2)),
    ],
)
def test_same_padding(
    extent: int, kernel: int, stride: int, dilation: int, upper: bool, pads: tuple[int, int]
) -> None:
    assert same_padding(extent, kernel, stride, dilation, upper) == pads


@EXACT
@given(st.integers(1, 12), SMALL, SMALL, SMALL, st.booleans())
def test_same_padding_keeps_the_extent_over_the_stride(
    extent: int, kernel: int, stride: int, dilation: int, upper: bool
) -> None:
    before, after = same_padding(extent, kernel, stride, dilation, upper)
    assert _windows(extent, _window(kernel, stride, dilation, before, after)) == -(
        -extent // stride
    )
    if after >= 0:  # no cells are left out
        assert (after - before if upper else before - after) in (0, 1)


@pytest.mark.parametrize(
    ("attributes", "window"),
    [
        ("kernel_shape=[3, 2]", Window((3, 2), (1, 1), (1, 1), (0, 0), (0, 0))),
        (
            "kernel_shape=[3, 2], strides=[2, 1], dilations=[1, 3], pads=[1, 2, 3, 4]",
            Window((3, 2), (2, 1), (1, 3), (1, 2), (3, 4)),
        ),
        (
            'kernel_shape=[3, 2], auto_pad="SAME_UPPER"',
            Window((3, 2), (1, 1), (1, 1), (1, 0), (1, 1)),
        ),
        (
            'kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER"',
            Window((3, 2), (2, 2), (1, 1), (1, 0), (1, 0)),
        ),
        (
            'kernel_shape=[3, 2], pads=[1, 1, 1, 1], auto_pad="VALID"',
            Window((3, 2), (1, 1), (1, 1), (0, 0), (0, 0)),
        ),
    ],
)
def test_window_of_a_node(attributes: str, window: Window) -> None:
    assert window_of(_node(f"MaxPool<{attributes}>(x)")) == window


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "upper", "pads"),
    [
        (5, 2, 1, True, (0, 1)),
        (5, 2, 1, False, (1, 0)),
        (6, 3, 2, True, (0, 1)),
        (6, 1, 3, True, (-1, -1)),  # the stride leaves two cells out: windows begin at the second
        (6, 1, 3, False, (0, -2)),
        (5, 2, 3, True, (0, 0)),
    ],
)
def test_pool_padding(
    extent: int, kernel: int, stride: int, upper: bool, pads: tuple[int, int]
) -> None:
    assert pool_padding(extent, kernel, stride, upper) == pads


def _call(op_type: str, attributes: str) -> str:
    return f"{op_type}<{attributes}>(x{', w' if op_type == 'Conv' else ''})"


def _cells(op_type: str, attributes: str, extent: int) -> np.ndarray | None:
    """Which cells each window covers in ONNX Runtime, [extent, windows]."""
    text = f"""<ir_version: 9, opset_import: ["" : 19]>
    g (float[N, 1, {extent}] x) => (float[N, 1, W] y) {{ y = {_call(op_type, attributes)} }}"""
    proto = onnx.parser.parse_model(text)
    kernel = onnx.helper.get_node_attr_value(proto.graph.node[0], "kernel_shape")
    weights = onnx.numpy_helper.from_array(np.ones((1, 1, *kernel), np.float32), "w")
    proto.graph.initializer.append(weights)
    session = open_session(proto.SerializeToString())
    try:
        (y,) = session.run(None, {"x": np.eye(extent, dtype=np.float32)[:, None]})
    except Exception:  # the window is longer than the padded input, or a convolution's is dilated
        return None
    return y[:, 0] > 0


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool", "LpPool", "Conv"])
def test_padded_windows_are_those_of_onnx_runtime(op_type: str, auto: str) -> None:
    seen = 0
    for extent, kernel, stride, dilation in product(range(3, 8), (1, 2, 3), (1, 2, 3, 4), (1, 2)):
        attributes = (
            f"kernel_shape=[{kernel}], strides=[{stride}], dilations=[{dilation}], "
            f'auto_pad="{auto}"'
        )
        covered = _cells(op_type, attributes, extent)
        if covered is None:
            continue
        node = _node(_call(op_type, attributes), f"N, 1, {extent}", "float[1, 1, 1] w = {1.0}")
        window = window_of(node)
        first = np.arange(covered.shape[1]) * stride - window.before[0]
        read = first[:, None] + np.arange(kernel) * dilation
        if op_type == "AveragePool":  # it reads nothing that negative padding crops
            read = np.where(read < extent + window.after[0], read, -1)
        expected = (read == np.arange(extent)[:, None, None]).any(axis=2)
        np.testing.assert_array_equal(covered, expected, err_msg=f"{attributes} of {extent}")
        seen += 1
    assert seen > (50 if op_type == "Conv" else 90)


def test_a_window_that_depends_on_an_open_extent() -> None:
    same = 'kernel_shape=[3, 2], auto_pad="SAME_LOWER"'
    unit = _node(f"MaxPool<{same}>(x)", "1, 2, H, W")
    assert window_of(unit) == Window((3, 2), (1, 1), (1, 1), (1, 1), (1, 0))
    strided = _node(f"MaxPool<{same}, strides=[1, 2]>(x)", "1, 2, H, W")
    assert has_window(strided) == ("auto_pad=SAME_LOWER with a stride needs static spatial extents")
    assert has_window(unit) is None


def test_column_major_indices_are_refused() -> None:
    node = _node("MaxPool<kernel_shape=[2, 2], storage_order=1>(x)")
    assert has_window(node) == "storage_order=1 has no gradient rule; only storage_order=0 has"


@pytest.mark.parametrize(
    ("extent", "windows", "kernel", "stride", "dilation", "pads", "include", "counts"),
    [
        (4, 4, 3, 1, 1, (1, 1), False, [2, 3, 3, 2]),
        (4, 4, 3, 1, 1, (1, 1), True, [3, 3, 3, 3]),
        (5, 3, 2, 2, 1, (0, 0), True, [2, 2, 1]),  # ceil_mode: one cell beyond the end
        (4, 3, 3, 2, 1, (1, 1), True, [3, 3, 2]),  # ceil_mode: beyond the padding
        (4, 3, 3, 2, 1, (1, 1), False, [2, 3, 1]),
        (5, 5, 2, 1, 2, (1, 1), False, [1, 2, 2, 2, 1]),
    ],
)
def test_cell_counts(
    extent: int, windows: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int],
    include: bool, counts: list[int],
) -> None:  # fmt: skip
    window = Window((kernel,), (stride,), (dilation,), pads[:1], pads[1:])
    found = cell_counts(extent, windows, window, 0, include)
    assert found.tolist() == counts


@pytest.mark.parametrize(
    ("bounds", "taken"),
    [
        ((-2, 2**62, 1), SliceRange(3, 1, 2, 5)),
        ((-1, -(2**62), -1), SliceRange(4, -1, 5, 5)),
        ((3, 1, 1), SliceRange(3, 1, 0, 5)),
        ((-9, -19, -1), SliceRange(0, -1, 1, 5)),  # a start below is clamped to the first place
    ],
)
def test_slice_range(bounds: tuple[int, int, int], taken: SliceRange) -> None:
    assert slice_range(*bounds, 5) == taken


@EXACT
@given(
    st.integers(1, 6), st.integers(-8, 8), st.integers(-8, 8), st.sampled_from([-3, -2, -1, 1, 2])
)
def test_slice_range_is_numpys(extent: int, start: int, end: int, step: int) -> None:
    if step < 0 and start < -extent:
        return  # numpy takes nothing there, ONNX the first place
    taken = slice_range(start, end, step, extent)
    places = [taken.first + i * taken.step for i in range(taken.count)]
    assert places == np.arange(extent)[start:end:step].tolist()


def test_slice_ranges_of_a_node() -> None:
    constants = "int64[3] s = {1, 0, -1}, int64[3] e = {9, 9223372036854775807, 0}, "
    constants += "int64[3] a = {-1, 0, 1}, int64[3] t = {2, 1, -1}"
    node = _node("Slice(x, s, e, a, t)", "N, 4, 5", constants)
    assert slice_ranges(node) == {2: SliceRange(1, 2, 2, 5), 1: SliceRange(3, -1, 3, 4)}


def test_slices_that_are_not_known_before_run_time() -> None:
    bounds = "int64[1] s = {1}, int64[1] e = {3}, int64[1] a = {0}, int64[1] two = {2}"
    assert slice_ranges(_node("Slice(x, s, e, a)", "N, 4", bounds)) == {
        0: SliceRange(1, 1, 0, None)
    }
    with pytest.raises(ValueError, match="the extent of axis 0 is unknown; fix it by --shape"):
        slice_ranges(_node("Slice(x, s, e, a, two)", "N, 4", bounds))
    with pytest.raises(ValueError, match="its bounds are computed at run time"):
        slice_ranges(_node("Slice(x, s, s2)", "3, 4", "int64[1] s = {1}"))
