"""This module does the padding arithmetic of convolutions and pools, on static numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...graph.attributes import ints_attribute, only_input
from ...graph.emitter import Dim, dims_of
from ...graph.write_out import POOLS, halves, pool_padding
from .values import readable


@dataclass(frozen=True)
class Window:
    """A sliding window, one entry a spatial axis.

    Attributes:
        kernel: Extents.
        strides: Steps between neighbouring windows.
        dilations: Steps inside a window.
        before: Padding at the lower end.
        after: Padding at the upper end.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """Distance from a window's first to its last place: ``dilation * (kernel - 1)``."""
        return tuple(d * (k - 1) for d, k in zip(self.dilations, self.kernel, strict=True))

    @property
    def unit_stride(self) -> bool:
        """Whether windows start at every place."""
        return all(stride == 1 for stride in self.strides)

    @property
    def tiles(self) -> bool:
        """Whether windows lie side by side: no overlap, no gap, no padding."""
        return (
            self.kernel == self.strides
            and all(d == 1 for d in self.dilations)
            and not any(self.before)
            and not any(self.after)
        )


def adjoint_padding(
    window: Window, extents: Sequence[Dim], windows: Sequence[Dim]
) -> tuple[list[int], list[int], bool]:
    """Padding under which a sliding window over the stuffed cotangent gives the input's extents.

    Cell i of the input was read by the windows that start at ``i - t * dilation`` (t < kernel) in
    the padded input. So the cotangent, ``stride`` places from one window to the next, is padded
    by ``reach - before`` below and, to end up with the input's extent H after n windows, by
    ``H + before - n * stride`` above. Negative padding crops.

    Returns:
        Lower and upper padding, and whether the result is exact. Where an extent is not static,
        the upper padding is the largest that can be needed and the result must be cut to size.
    """
    lower = [r - p for r, p in zip(window.reach, window.before, strict=True)]
    upper: list[int] = []
    exact = True
    for axis, (extent, count) in enumerate(zip(extents, windows, strict=True)):
        stride = window.strides[axis]
        if isinstance(extent, int) and isinstance(count, int):
            upper.append(extent + window.before[axis] - count * stride)
        else:
            # As if stride - 1 places were left over at the upper end, the most there can be.
            upper.append(window.reach[axis] - window.after[axis])
            exact = exact and stride == 1
    return lower, upper, exact


def balanced(
    lower: Sequence[int], upper: Sequence[int]
) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """Padding as an even part, from 0 up, and what is left of it at both ends of each axis.

    ONNX Runtime's CUDA provider leaves a ConvTranspose with uneven padding to the CPU. An
    AveragePool with uneven padding came out wrong on CUDA and, from opset 19 on, on the CPU, before
    microsoft/onnxruntime#29631 and #27375 (2026).

    Returns:
        The even part, and the rest by axis of a [N, C, *space] tensor.
    """
    even = [max(min(pair), 0) for pair in zip(lower, upper, strict=True)]
    rest = {2 + a: (lower[a] - both, upper[a] - both) for a, both in enumerate(even)}
    return even, rest


def same_padding(
    extent: int, kernel: int, stride: int, dilation: int, upper: bool
) -> tuple[int, int]:
    """Padding of a convolution's ``auto_pad=SAME_*``: ``ceil(extent / stride)`` places result.

    Where a long stride leaves cells out ONNX Runtime's padding is negative, as `pool_padding` is,
    but for one cell.
    """
    reach = dilation * (kernel - 1) + 1
    total = (-(-extent // stride) - 1) * stride + reach - extent
    return halves(total + 1 if total < 0 else total, upper)


def window_of(node: ir.Node, kernel: Sequence[int] | None = None) -> Window:
    """Read a node's window.

    Args:
        node: A convolution or pool.
        kernel: Spatial extents of the weights where the node has no ``kernel_shape``.

    Raises:
        ValueError: ``auto_pad`` with a stride on an extent that is not static.
    """
    shape, strides, dilations, pads = _written(node, kernel)
    rank = len(shape)
    before, after = pads[:rank], pads[rank:]
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto == "VALID":
        before = after = [0] * rank
    elif auto.startswith("SAME"):
        spatial: list[Dim] = dims_of(only_input(node))[2:]
        pairs, upper = list[tuple[int, int]](), auto == "SAME_UPPER"
        for extent, k, s, d in zip(spatial, shape, strides, dilations, strict=True):
            if s != 1 and not isinstance(extent, int):
                raise ValueError(f"auto_pad={auto} with a stride needs static spatial extents")
            # At stride 1 the padding does not depend on the extent.
            known = extent if isinstance(extent, int) else d * (k - 1) + 1
            if node.op_type in POOLS:
                pairs.append(pool_padding(known, k, s, upper))
            else:
                pairs.append(same_padding(known, k, s, d, upper))
        before, after = [p for p, _ in pairs], [q for _, q in pairs]
    return Window(tuple(shape), tuple(strides), tuple(dilations), tuple(before), tuple(after))


def transposed_window_of(node: ir.Node, kernel: Sequence[int]) -> Window:
    """The window that slides over a ConvTranspose's output: a position for each place of its input.

    Its upper padding is negative where the output has places that no window reaches
    (``output_padding``, or an ``output_shape`` larger than what the windows cover). What ``pads``
    does not say is distributed as ONNX Runtime does it: of an odd padding, ``SAME_UPPER`` has the
    larger half above, everything else below.

    Args:
        node: The ConvTranspose.
        kernel: Spatial extents of its weights.

    Raises:
        ValueError: ``output_shape`` on an extent that is not static.
    """
    shape, strides, dilations, pads = _written(node, kernel)
    rank = len(shape)
    beyond = ints_attribute(node, "output_padding") or [0] * rank
    wanted = ints_attribute(node, "output_shape") or []
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    before, after = pads[:rank], [q - more for q, more in zip(pads[rank:], beyond, strict=True)]
    if auto != "NOTSET" or wanted:
        before, after = [0] * rank, [-more for more in beyond]
    for axis, (k, s, d) in enumerate(zip(shape, strides, dilations, strict=True)):
        covered = d * (k - 1) + 1  # by the window of one place; the next begins a stride further
        if wanted:
            extent = dims_of(only_input(node))[2 + axis]
            if not isinstance(extent, int):
                raise ValueError("output_shape needs static spatial extents of its input")
            covered += (extent - 1) * s
            places = wanted[-rank:][axis]  # N and C may come first
        elif auto.startswith("SAME"):
            places = s  # for each place of the input
        else:
            continue
        rest = covered + beyond[axis] - places
        total = max(rest, 0)
        before[axis] = total // 2 if auto == "SAME_UPPER" else (total + 1) // 2
        # ``SAME`` never adds places; ``output_shape`` may.
        after[axis] = (rest if wanted else total) - before[axis] - beyond[axis]
    return Window(tuple(shape), tuple(strides), tuple(dilations), tuple(before), tuple(after))


def _written(
    node: ir.Node, kernel: Sequence[int] | None
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Kernel, strides, dilations and pads as the node's attributes give them."""
    shape = ints_attribute(node, "kernel_shape") or list(kernel or [])
    rank = len(shape)
    strides = ints_attribute(node, "strides") or [1] * rank
    dilations = ints_attribute(node, "dilations") or [1] * rank
    return shape, strides, dilations, ints_attribute(node, "pads") or [0] * (2 * rank)


def has_window(node: ir.Node) -> str | None:
    """A check: the node's padding is known before run time."""
    if node.attributes.get_int("storage_order", 0):
        return "storage_order=1 has no gradient rule; only storage_order=0 has"
    return readable(window_of)(node)
