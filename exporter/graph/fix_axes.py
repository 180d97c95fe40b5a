"""`fix_axes` gives open axes of an ONNX graph's inputs the extents that the user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ..errors import CaptureError
from .emitter import Dim, dims_of


def fix_axes(graph: ir.Graph, shapes: Mapping[str, Sequence[int | None]]) -> None:
    """Fix axes of the inputs; shapes inside the graph that depend on them become unknown.

    The batch is one for all inputs: fixed for one, it is fixed for those that share its name.

    Args:
        graph: As it was read.
        shapes: By input, ``""`` for the first, its extents; None leaves an axis as it is. The
            batch may be left out.

    Raises:
        CaptureError: There is no such input, or the file fixes the axis at another extent.
    """
    inputs = {v.name or "": v for v in graph.inputs if v.name not in graph.initializers}
    gone: set[str] = set()
    batch: dict[str, int] = {}
    fixed: dict[str, list[Dim]] = {}
    for given, extents in shapes.items():
        name = given or next(iter(inputs), "")
        if name not in inputs:
            raise CaptureError(
                f"--shape names the input {name!r}; the model has {', '.join(inputs)}"
            )
        dims = _open_dims(inputs[name], len(extents))
        wanted = [None, *extents] if len(extents) == len(dims) - 1 else list(extents)
        if len(wanted) != len(dims):
            raise CaptureError(
                f"input {name!r} takes {dims}, --shape has {_text(extents)}: give an extent for "
                "each axis, with or without the batch"
            )
        for axis, (have, want) in enumerate(zip(dims, wanted, strict=True)):
            if want is None or have == want:
                continue
            if isinstance(have, int):
                raise CaptureError(
                    f"input {name!r} takes {dims}, --shape has {_text(extents)}: the file fixes "
                    f"axis {axis} at {have}, not {want}; give ? there, or leave --shape out"
                )
            if have is not None:
                gone.add(have)
                if axis == 0:
                    batch[have] = want
            dims[axis] = want
        fixed[name] = dims
    for name, value in inputs.items():
        dims = fixed.get(name, [] if value.shape is None else _open_dims(value, 0))
        if dims and isinstance(dims[0], str):
            dims[0] = batch.get(dims[0], dims[0])
        if dims:
            value.shape = ir.Shape(dims)
    for value in [*graph.outputs, *(value for node in graph for value in node.outputs)]:
        if value.shape is not None and not gone.isdisjoint(dims_of(value)):
            known = [None if dim in gone else dim for dim in dims_of(value)]
            value.shape = ir.Shape(known)


def _open_dims(value: ir.Value, rank: int) -> list[Dim]:
    """The extents of an input, None for those that exporters write as 0 or less."""
    dims: list[Dim] = [None] * rank if value.shape is None else dims_of(value)
    return [None if isinstance(dim, int) and dim < 1 else dim for dim in dims]


def _text(extents: Sequence[int | None]) -> str:
    return "x".join("?" if extent is None else str(extent) for extent in extents)
