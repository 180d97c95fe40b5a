"""`trial_shapes` gives every value of a graph a shape in numbers, at one size of its image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import onnx_ir as ir

from .emitter import dims_of
from .infer_shapes import trial_feeds
from .ort_session import session_of

Shapes: TypeAlias = Mapping[ir.Value, tuple[int, ...]]

# Heights and widths to try for open axes. The first are no squares, so that no other extents of a
# graph look like a grid of the image.
_SIZES = ((256, 320), (320, 320), (224, 224), (640, 640))


def trial_shapes(model: ir.Model, image: ir.Value, folder: Path | None = None) -> Shapes:
    """Return shapes of the values of a graph; where the image's size is fixed, as they are known.

    Args:
        model: The model.
        image: Its input [N, channels, height, width].
        folder: The folder of its external data.

    Returns:
        Shapes by value. Where no trial succeeds, those that are known without one.
    """
    graph = model.graph
    known = dict(_known(graph))
    height, width = dims_of(image)[2:]
    if isinstance(height, int) and isinstance(width, int):
        return known
    values = [value for node in graph for value in node.outputs if value.name]
    clone = model.clone()
    twins = {value.name: value for node in clone.graph for value in node.outputs}
    # ONNX Runtime shares memory by the names of extents, and some files give several one name.
    for value in twins.values():
        value.shape = None
    clone.graph.outputs.clear()
    for number, value in enumerate(values):
        node = ir.node("Shape", [twins[value.name]], name=f"graftcam/shape/{number}")
        clone.graph.append(node)
        node.outputs[0].name, node.outputs[0].type = node.name, ir.TensorType(ir.DataType.INT64)
        clone.graph.outputs.append(node.outputs[0])
    try:
        session = session_of(clone, folder)
    except Exception:  # ONNX Runtime's exceptions share no base of their own
        return known
    for size in _SIZES:
        sides = zip((height, width), size, strict=True)
        chosen = {dim: side for dim, side in sides if isinstance(dim, str)}
        feeds = trial_feeds(graph, size[1], chosen)
        try:
            found = session.run(None, feeds)
        except Exception:
            continue
        shapes = {value: tuple(map(int, one)) for value, one in zip(values, found, strict=True)}
        fed = {value: feeds[value.name].shape for value in graph.inputs if value.name in feeds}
        return known | shapes | fed
    return known


def _known(graph: ir.Graph) -> Iterator[tuple[ir.Value, tuple[int, ...]]]:
    """Values with a shape in numbers. An open batch is 1, as in a trial."""
    batches = {
        dims_of(value)[0] for value in graph.inputs if value.shape is not None and value.shape
    }
    for value in [*graph.inputs, *(value for node in graph for value in node.outputs)]:
        if value.shape is None:
            continue
        dims = [1 if isinstance(dim, str) and dim in batches else dim for dim in dims_of(value)]
        numbers = tuple(dim for dim in dims if isinstance(dim, int))
        if len(numbers) == len(dims):
            yield value, numbers
