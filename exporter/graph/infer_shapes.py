"""Two runs of the model show the extents that ONNX's shape inference leaves open.

Older exporters compute shapes inside the graph (Shape, Gather, Concat, Reshape), where shape
inference fails early. Therefore the model is run twice, with different extents for each open axis
of its inputs: an extent that is the same in both runs is fixed, one that changes with an input's
axis gets that axis's name, and any other stays open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .emitter import Dim, constant_of, dims_of
from .ort_session import session_of

Extents: TypeAlias = Mapping[str, int]

# Extents to try for open axes after the batch, if nothing is known about them.
OPEN_SIZES = (64, 224, 320, 32)
_STEP = 32  # most models require input extents that are a multiple of it
# The shapes of their results depend on the data, so two runs show nothing.
_BY_DATA = frozenset({"NonZero", "NonMaxSuppression", "Unique", "Compress", "Loop", "If", "Scan"})
_RANDOM = frozenset({"RandomNormal", "RandomUniform", "Multinomial", "Bernoulli"})


def name_open_axes(graph: ir.Graph) -> None:
    """Name every open axis of an input, so that later shapes can refer to it.

    Some exporters write an open extent as -1, in inputs and in other shapes.
    """
    for value in [*graph.outputs, *(value for node in graph for value in node.outputs)]:
        if value.shape is not None and any(dim == -1 for dim in value.shape):
            value.shape = ir.Shape([None if dim == -1 else dim for dim in dims_of(value)])
    for value in graph.inputs:
        if value.shape is not None and value.name not in graph.initializers:
            value.shape = ir.Shape(
                [_named(dim, axis, value.name or "") for axis, dim in enumerate(dims_of(value))]
            )


def _named(dim: Dim, axis: int, owner: str) -> int | str:
    if isinstance(dim, int) and dim >= 0:
        return dim
    if isinstance(dim, str) and dim:
        return dim
    return "batch" if axis == 0 else f"{owner}_{axis}"


def settle_extents(model: ir.Model, folder: Path, known: Extents | None = None) -> None:
    """Set the shapes that two runs show, and the numbers computed from shapes alone.

    If the model cannot be run nothing changes: code that needs an extent raises an error later.

    Args:
        model: Its values get shapes and, if both runs agree, constant values.
        folder: The folder of its external data.
        known: Valid extents of open axes; for other axes several are tried.
    """
    graph = model.graph
    arithmetic = _shape_arithmetic(graph)
    inputs = [value for value in graph.inputs if value.shape is not None]
    symbols = sorted({dim for value in inputs for dim in dims_of(value) if isinstance(dim, str)})
    watched = [value for value in _with_plain_shapes(graph) if not _is_known(value, symbols)]
    if not watched:
        return
    watched = list(dict.fromkeys([*watched, *arithmetic]))
    session = _probe(model, watched, arithmetic, folder)
    if session is None:
        return
    batches = {dim for value in inputs for dim in dims_of(value)[:1] if isinstance(dim, str)}
    for first, second in _trials([s for s in symbols if s not in batches], batches, known or {}):
        try:
            runs = [session.run(None, _feeds(graph, extents)) for extents in (first, second)]
        except Exception:  # ONNX Runtime's exceptions share no base of their own
            continue
        shown = {(first[s], second[s]): s for s in symbols}
        for value, *seen in zip(watched, *runs, strict=True):
            _store(value, seen[0], seen[1], shown, whole=value in arithmetic)
        return


def _store(
    value: ir.Value, first: Any, second: Any, shown: Mapping[tuple[int, int], str], *, whole: bool
) -> None:
    """Store the result of two runs for ``value``: the value itself if ``whole``, else its shape."""
    shapes = (first.shape, second.shape) if whole else (first.tolist(), second.tolist())
    if len(shapes[0]) != len(shapes[1]):
        return
    dims = [a if a == b else shown.get((a, b)) for a, b in zip(*shapes, strict=True)]
    value.shape = ir.Shape(dims)
    if whole and first.ndim <= 1 and np.array_equal(first, second):
        value.const_value = ir.tensor(first, name=value.name)


def _shape_arithmetic(graph: ir.Graph) -> set[ir.Value]:
    """Return the vectors and numbers that depend on shapes and constants alone."""
    found: set[ir.Value] = set()
    for node in graph:
        fixed = node.op_type in ("Shape", "Size") or all(
            v is None or v in found or constant_of(v) is not None for v in node.inputs
        )
        if not fixed or node.op_type in _RANDOM | _BY_DATA or node.op_type == "Constant":
            continue
        found.update(v for v in node.outputs if v.shape is not None and len(v.shape) <= 1)
    return found


def _with_plain_shapes(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield tensors whose shape does not depend on the data."""
    tainted: set[ir.Value] = set()
    for node in graph:
        if node.op_type in _BY_DATA or any(value in tainted for value in node.inputs if value):
            tainted.update(node.outputs)
        elif node.op_type != "Constant" and not node.op_type.startswith("Sequence"):
            yield from (value for value in node.outputs if value.name)


def _is_known(value: ir.Value, symbols: Sequence[str]) -> bool:
    return value.shape is not None and all(
        isinstance(dim, int) or dim in symbols for dim in dims_of(value)
    )


def _probe(
    model: ir.Model, watched: list[ir.Value], arithmetic: set[ir.Value], folder: Path
) -> Any:
    """Return a session that outputs ``watched``: values of ``arithmetic``, shapes of the others."""
    clone = model.clone()
    graph = clone.graph
    values = {value.name: value for node in graph for value in node.outputs}
    graph.outputs.clear()
    for number, original in enumerate(watched):
        value = values[original.name]
        if original not in arithmetic:
            node = ir.node("Shape", [value], name=f"graftcam/probe/{number}")
            graph.append(node)
            value = node.outputs[0]
            value.name, value.type = node.name, ir.TensorType(ir.DataType.INT64)
        graph.outputs.append(value)
    try:
        return session_of(clone, folder)
    except Exception:
        return None


def _trials(
    others: list[str], batches: set[str], known: Extents
) -> Iterator[tuple[Extents, Extents]]:
    """Yield pairs of extents for all open axes; in each pair no two axes change alike."""
    for size in (0,) if set(others) <= set(known) else OPEN_SIZES:
        first, second = {}, {}
        for number, name in enumerate(others):
            first[name] = known.get(name, size + _STEP * number)
            second[name] = first[name] + _STEP * (number + 1)
        yield {**first, **dict.fromkeys(batches, 2)}, {**second, **dict.fromkeys(batches, 3)}


def _feeds(graph: ir.Graph, extents: Extents) -> dict[str, npt.NDArray[Any]]:
    """Return noise for the model's inputs; zeros for integers, since index 0 is always valid."""
    generator = np.random.default_rng(sum(extents.values()))
    feeds: dict[str, npt.NDArray[Any]] = {}
    for value in graph.inputs:
        if value.name is None or value.name in graph.initializers or value.dtype is None:
            continue
        shape = [dim if isinstance(dim, int) else extents[str(dim)] for dim in dims_of(value)]
        drawn = generator.standard_normal(shape)
        floats = value.dtype.is_floating_point()
        feeds[value.name] = (drawn if floats else np.zeros(shape)).astype(value.dtype.numpy())
    return feeds
