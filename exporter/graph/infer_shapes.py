"""Runs of the model show the extents that ONNX's shape inference leaves open or may misjudge.

Older exporters compute shapes inside the graph (Shape, Gather, Concat, Reshape), where shape
inference fails early. Therefore the model is run three times, with different extents for each open
axis of its inputs: an extent that is always the same is fixed, one that is always that of an
input's axis gets that axis's name, and any other stays open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .emitter import constant_of, dims_of
from .ort_session import session_of
from .write_out import may_be_misjudged

Extents: TypeAlias = Mapping[str, int]

# Extents to try for open axes after the batch.
OPEN_SIZES = (64, 224, 320, 32)
GROWTH = 32  # by which they grow in a further run; a multiple of most strides
# Extents of the batch in the three runs. Those of other axes grow from run to run, and so does all
# that strides, pools and paddings make of them: none of it goes down and up again.
_BATCHES = (3, 2, 4)
# The shapes of their results depend on the data, so runs show nothing.
BY_DATA = frozenset({"NonZero", "NonMaxSuppression", "Unique", "Compress", "Loop", "If", "Scan"})
_RANDOM = frozenset({"RandomNormal", "RandomUniform", "Multinomial", "Bernoulli"})


def name_open_axes(graph: ir.Graph) -> None:
    """Give every open axis of an input a name of its own, so that later shapes can refer to it.

    Some exporters write an open extent as -1, in inputs and in other shapes, or give all open axes
    one name, although they may differ. Inputs may share the name of their first axis, the batch.
    """
    for value in [*graph.outputs, *(value for node in graph for value in node.outputs)]:
        if value.shape is not None and any(dim == -1 for dim in value.shape):
            value.shape = ir.Shape([None if dim == -1 else dim for dim in dims_of(value)])
    taken: set[str] = set()
    for value in graph.inputs:
        if value.shape is None or value.name in graph.initializers:
            continue
        dims = dims_of(value)
        for axis, dim in enumerate(dims):
            if isinstance(dim, int) and dim >= 0:
                continue
            named = isinstance(dim, str) and dim and (axis == 0 or dim not in taken)
            name = dim if named else "batch" if axis == 0 else f"{value.name}_{axis}"
            assert isinstance(name, str)
            dims[axis] = name
            taken.add(name)
        value.shape = ir.Shape(dims)


def settle_extents(model: ir.Model, folder: Path) -> None:
    """Set the shapes that three runs show, and the numbers computed from shapes alone.

    If the model cannot be run nothing changes: code that needs an extent raises an error later.

    Args:
        model: Its values get shapes and, if the runs agree, constant values.
        folder: The folder of its external data.
    """
    graph = model.graph
    arithmetic = _shape_arithmetic(graph)
    inputs = [value for value in graph.inputs if value.shape is not None]
    names = (dim for value in inputs for dim in dims_of(value) if isinstance(dim, str))
    symbols = list(dict.fromkeys(names))
    # What a file declares of its outputs need not be true.
    doubted = any(may_be_misjudged(node) for node in graph)
    watched = [
        value for value in _with_plain_shapes(graph)
        if doubted or value.is_graph_output() or not _is_known(value, symbols)
    ]  # fmt: skip
    if not watched:
        return
    watched = list(dict.fromkeys([*watched, *arithmetic]))
    session = _probe(model, watched, arithmetic, folder)
    if session is None:
        return
    batches = {dim for value in inputs for dim in dims_of(value)[:1] if isinstance(dim, str)}
    for extents in [*_trials(symbols, batches), *_trials(symbols, batches, alone=True)]:
        try:
            runs = [session.run(None, _feeds(graph, one)) for one in extents]
        except Exception:  # ONNX Runtime's exceptions share no base of their own
            continue
        # Where axes can only be tried alike, the first of them lends its name.
        shown = {tuple(one[s] for one in extents): s for s in reversed(symbols)}
        for value, *seen in zip(watched, *runs, strict=True):
            _store(value, seen, shown, whole=value in arithmetic)
        if batches and all(one[name] == 1 for one in extents for name in batches):
            _fix_at_one(graph, batches)  # the model runs for no other batch
        return


def _fix_at_one(graph: ir.Graph, symbols: set[str]) -> None:
    """Give open axes the extent 1, in the inputs and in everything computed from them."""
    for value in [*graph.inputs, *(value for node in graph for value in node.outputs)]:
        if value.shape is not None and symbols.intersection(dims_of(value)):
            value.shape = ir.Shape([1 if dim in symbols else dim for dim in dims_of(value)])


def _store(
    value: ir.Value, seen: Sequence[Any], shown: Mapping[tuple[int, ...], str], *, whole: bool
) -> None:
    """Store what the runs gave for ``value``: the value itself if ``whole``, else its shape."""
    shapes = [one.shape if whole else tuple(one.tolist()) for one in seen]
    if len({len(shape) for shape in shapes}) > 1:
        return
    extents = list(zip(*shapes, strict=True))
    value.shape = ir.Shape([e[0] if len(set(e)) == 1 else shown.get(e) for e in extents])
    if whole and seen[0].ndim <= 1 and all(np.array_equal(seen[0], one) for one in seen[1:]):
        value.const_value = ir.tensor(seen[0], name=value.name)


def _shape_arithmetic(graph: ir.Graph) -> set[ir.Value]:
    """Return the vectors and numbers that depend on shapes and constants alone."""
    found: set[ir.Value] = set()
    for node in graph:
        fixed = node.op_type in ("Shape", "Size") or all(
            v is None or v in found or constant_of(v) is not None for v in node.inputs
        )
        if not fixed or node.op_type in _RANDOM | BY_DATA or node.op_type == "Constant":
            continue
        found.update(v for v in node.outputs if v.shape is not None and len(v.shape) <= 1)
    return found


def _with_plain_shapes(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield tensors whose shape does not depend on the data."""
    tainted = shaped_by_data(graph)
    for node in graph:
        if node.op_type == "Constant" or node.op_type.startswith("Sequence"):
            continue
        yield from (value for value in node.outputs if value.name and value not in tainted)


def shaped_by_data(graph: ir.Graph) -> set[ir.Value]:
    """Return the values whose extents may depend on the data."""
    found: set[ir.Value] = set()
    for node in graph:
        if node.op_type in BY_DATA or any(value in found for value in node.inputs if value):
            found.update(node.outputs)
    return found


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
    symbols: Sequence[str], batches: set[str], *, alone: bool = False
) -> Iterator[list[Extents]]:
    """Yield the extents of three runs for all open axes; ``alone``, of one image each.

    No two axes change alike, and none by a multiple of another's changes. Models that take square
    images only are tried last.
    """
    if not symbols:
        if not alone:
            yield [{}]
        return
    if alone and not batches:
        return
    others = [symbol for symbol in symbols if symbol not in batches]
    for alike in (False, True) if len(others) > 1 else (False,):
        for size in OPEN_SIZES if others else (0,):
            steps = {name: 0 if alike else number for number, name in enumerate(others)}
            yield [
                {
                    **{
                        name: size + GROWTH * (step + (0, 1, step + 3)[run])
                        for name, step in steps.items()
                    },
                    **dict.fromkeys(batches, 1 if alone else _BATCHES[run]),
                }
                for run in range(3)
            ]


def trial_feeds(
    graph: ir.Graph, side: int, chosen: Extents | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Return noise for the model's inputs: one row, and ``side`` for every other open axis.

    ``chosen`` gives some of these axes other extents, by name.
    """
    inputs = [value for value in graph.inputs if value.shape is not None]
    extents = {str(dim): side for value in inputs for dim in dims_of(value)}
    extents |= {**(chosen or {})}
    extents |= {str(dim): 1 for value in inputs for dim in dims_of(value)[:1]}
    return _feeds(graph, extents)


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
