"""`fix_axes` gives open axes of an ONNX graph's inputs the extents that the user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx_ir as ir

from ..errors import CaptureError
from .emitter import Dim, dims_of
from .infer_shapes import OPEN_SIZES, name_open_axes, trial_feeds
from .ort_session import session_of


def fix_axes(
    model: ir.Model, shapes: Mapping[str, Sequence[int | None]], folder: Path | None = None
) -> None:
    """Fix axes of the inputs; shapes inside the graph that depend on them become unknown.

    The batch is one for all inputs: fixed for one, it is fixed for those that share its name. Some
    files fix the extents of the example that they were exported with, although the graph takes
    others: where it runs with those that the user names, they count.

    Args:
        model: As it was read.
        shapes: By input, ``""`` for the first, its extents; None leaves an axis as it is. The
            batch may be left out.
        folder: The folder of the model's external data.

    Raises:
        CaptureError: There is no such input, or the file fixes the axis at another extent and does
            not run with this one.
    """
    graph, against = model.graph, list[str]()
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
                against.append(
                    f"input {name!r} takes {dims}, --shape has {_text(extents)}: "
                    f"the file fixes axis {axis} at {have}, not {want}; give ? "
                    "there, or leave --shape out"
                )
            elif have is not None:
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
    if against:
        forget_shapes(graph)
        if not _runs(model, folder):
            raise CaptureError(against[0])


def forget_shapes(graph: ir.Graph) -> None:
    """Forget what a file says of shapes; those of outputs keep their rank."""
    for value in (value for node in graph for value in node.outputs):
        if value.shape is not None and not value.is_graph_output():
            value.shape = None
    for value in graph.outputs:
        if value.shape is not None:
            value.shape = ir.Shape([None] * len(value.shape))


def _runs(model: ir.Model, folder: Path | None) -> bool:
    """Whether ONNX Runtime runs the model with the shapes of its inputs."""
    clone = model.clone()
    name_open_axes(clone.graph)
    try:
        session_of(clone, folder).run(None, trial_feeds(clone.graph, OPEN_SIZES[0]))
    except Exception:  # ONNX Runtime's exceptions share no base of their own
        return False
    return True


def _open_dims(value: ir.Value, rank: int) -> list[Dim]:
    """The extents of an input, None for those that exporters write as 0 or less."""
    dims: list[Dim] = [None] * rank if value.shape is None else dims_of(value)
    return [None if isinstance(dim, int) and dim < 1 else dim for dim in dims]


def _text(extents: Sequence[int | None]) -> str:
    return "x".join("?" if extent is None else str(extent) for extent in extents)
