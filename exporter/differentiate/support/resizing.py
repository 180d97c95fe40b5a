"""`resamplings` reads what a Resize node does along each axis."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.attributes import constant_ints, ints_attribute, only_input
from ...graph.emitter import constant_of, dims_of
from .resampling import WHOLE, Resampling

_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize",
)  # fmt: skip
_MODES = ("nearest", "linear", "cubic")
_SETTINGS = (
    "mode", "coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "antialias",
    "exclude_outside",
)  # fmt: skip


def resamplings(node: ir.Node) -> dict[int, Resampling]:
    """What a Resize node does, by axis; unchanged axes are left out.

    As in ONNX Runtime, an axis of scale 1 stays as it is, also where ``tf_crop_and_resize`` names a
    part of it, and so do all axes where no extent changes.

    Raises:
        ValueError: Something about it has no rule.
    """
    settings = {name: one.value for name, one in node.attributes.items() if name in _SETTINGS}
    coordinates = settings.get("coordinate_transformation_mode", _COORDINATES[0])
    for name, value, known in (
        ("mode", settings.get("mode", _MODES[0]), _MODES),
        ("coordinate_transformation_mode", coordinates, _COORDINATES),
    ):
        if value not in known:
            raise ValueError(f"{name}={value!r} has no gradient rule; use {' or '.join(known)}")
    before, after = dims_of(only_input(node)), dims_of(node.outputs[0])
    axes = resized_axes(node)
    _keeps_its_sizes(node, axes)
    if None not in before and before == after:
        return {}
    scales, untouched = _scales(node, axes), _untouched(node, axes)
    regions = _regions(node, axes) if coordinates == "tf_crop_and_resize" else {}
    found: dict[int, Resampling] = {}
    for axis in sorted(axes):
        extent, count, scale = before[axis], after[axis], scales.get(axis)
        same = by_sizes(node) and extent == count and extent is not None
        if axis in untouched or same or scale == 1.0:
            continue
        found[axis] = Resampling(
            extent if isinstance(extent, int) else None,
            count if isinstance(count, int) else None,
            scale,
            tuple(sorted(settings.items())),
            regions.get(axis, WHOLE),
        )
    return found


def resized_axes(node: ir.Node) -> list[int]:
    """The axes that a Resize node names, in its order; all by default."""
    rank = len(dims_of(only_input(node)))
    return [axis % rank for axis in ints_attribute(node, "axes") or range(rank)]


def by_sizes(node: ir.Node) -> bool:
    """Whether a Resize node gives sizes, not scales."""
    return len(node.inputs) > 3 and node.inputs[3] is not None


def _scales(node: ir.Node, axes: list[int]) -> dict[int, float]:
    """The scales that a Resize node gives as constants, by axis."""
    array = None if by_sizes(node) else constant_of(node.inputs[2])
    return {} if array is None else dict(zip(axes, array.tolist(), strict=True))


def _regions(node: ir.Node, axes: list[int]) -> dict[int, tuple[float, float]]:
    array = constant_of(node.inputs[1])
    if array is None:
        raise ValueError("its region of interest is computed at run time; it must be a constant")
    starts, ends = array.reshape(2, -1).tolist()
    return dict(zip(axes, zip(starts, ends, strict=True), strict=True))


def _keeps_its_sizes(node: ir.Node, axes: list[int]) -> None:
    """Raise unless ``keep_aspect_ratio_policy`` changes nothing."""
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch" or not by_sizes(node):
        return
    dims, sizes = dims_of(only_input(node)), constant_ints(node.inputs[3])
    ratios = {
        size / extent if isinstance(extent, int) else None
        for size, extent in zip(sizes or [], [dims[axis] for axis in axes], strict=False)
    }
    if len(ratios) != 1 or None in ratios:
        raise ValueError(
            f"keep_aspect_ratio_policy={policy!r} has no gradient rule where it changes the sizes; "
            "give the resulting sizes and 'stretch'"
        )


def _untouched(node: ir.Node, axes: list[int]) -> set[int]:
    """Axes whose size the node reads off its own input."""
    found: set[int] = set()
    joined = node.inputs[3].producer() if len(node.inputs) > 3 and node.inputs[3] else None
    if joined is None or joined.op_type != "Concat":
        return found
    place, rank = 0, len(dims_of(only_input(node)))
    for piece in joined.inputs:
        fixed = constant_of(piece)
        read = None if piece is None else _read_off(piece.producer(), node.inputs[0], rank)
        if fixed is not None:
            place += fixed.size
        elif read is not None:
            found.update(axis for axis, own in zip(axes[place:], read, strict=False) if axis == own)
            place += len(read)
        else:
            break
    return found


def _read_off(shape: ir.Node | None, x: ir.Value | None, rank: int) -> range | None:
    """Axes of ``x`` that a Shape node reads, or None if it is none of ``x``."""
    if shape is None or shape.op_type != "Shape" or shape.inputs[0] is not x:
        return None
    bounds = shape.attributes.get_int("start", 0), shape.attributes.get_int("end", rank)
    return range(*(bound + rank if bound < 0 else min(bound, rank) for bound in bounds))
