"""`ImageMaps` knows which values of a graph have the image's places, and what feeds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from ....graph.queries import inputs_of
from ....graph.trial_shapes import Shapes

Grid = tuple[int, int]

# They read how large a value is, not what it holds.
_BY_SHAPE = frozenset({"Shape", "Size"})
# Their results have the places of an image if the extents do.
_SPATIAL = frozenset(
    {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "Resize", "Upsample"}
    | {"DepthToSpace", "SpaceToDepth", "BatchNormalization", "InstanceNormalization"}
    | {"GroupNormalization", "DeformConv", "QLinearConv", "ConvInteger", "LRN"}
)
# They put entries elsewhere: equal extents before and after mean nothing.
_MIXES = frozenset(
    {"Reshape", "Transpose", "Flatten", "MatMul", "Gemm", "Einsum", "Squeeze", "Unsqueeze"}
    | {"Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "GridSample"}
)
_NORMS = frozenset({"InstanceNormalization", "LayerNormalization"})


class ImageMaps:
    """Values with the image's places, [N, C, h, w], and how they depend on each other.

    Attributes:
        image: The model's input.
        order: Values that depend on the image, by their place in the graph. Dependence through a
            value's shape alone does not count.
        fixed: Whether the extents are those of every input, not of one trial.
    """

    def __init__(self, graph: ir.Graph, image: ir.Value, shapes: Shapes) -> None:
        self.image = image
        self.fixed = image.shape is not None and all(
            isinstance(dim, int) for dim in list(image.shape)[2:]
        )
        self.order: dict[ir.Value, int] = {image: 0}
        self._shapes = shapes
        self._maps: set[ir.Value] = set()  # none where the image's size is not known
        for node in graph:
            if node.op_type in _BY_SHAPE:
                continue
            if any(value in self.order for value in inputs_of(node)):
                for value in node.outputs:
                    self.order[value] = len(self.order)
                    if self._is_map(node, value):
                        self._maps.add(value)

    def __contains__(self, value: ir.Value) -> bool:
        """Whether a value has the image's places."""
        return value in self._maps

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        """The shape of a value, in numbers; empty where it is not known."""
        return self._shapes.get(value, ())

    def grid(self, value: ir.Value) -> Grid:
        """Height and width of a map."""
        return self._shapes[value][2], self._shapes[value][3]

    def feeding(self, value: ir.Value) -> list[ir.Value]:
        """The values that one is computed from, of those that depend on the image."""
        node = value.producer()
        if node is None or value not in self.order or value is self.image:
            return []
        return [before for before in dict.fromkeys(inputs_of(node)) if before in self.order]

    def behind(self, value: ir.Value) -> tuple[list[ir.Value], set[ir.Value]]:
        """The last maps on every way to a value, in the order of inputs, and what lies between."""
        maps, between = dict[ir.Value, None](), set[ir.Value]()
        stack = [value] if value in self.order else []
        while stack:
            one = stack.pop()
            if one in self._maps:
                maps[one] = None
            elif one not in between:
                between.add(one)
                stack += reversed(self.feeding(one))
        return list(maps), between

    def stride(self, value: ir.Value) -> tuple[float, float]:
        """Pixels of the image from one place of a map to the next, (vertical, horizontal).

        Where extents were rounded up, the power of two that gives them.
        """
        sides, grid = self._shapes[self.image][2:], self.grid(value)
        step = 1
        while step < 2 * max(sides):
            if all(cells == -(-side // step) for side, cells in zip(sides, grid, strict=True)):
                return float(step), float(step)
            step *= 2
        return sides[0] / grid[0], sides[1] / grid[1]

    def ancestors(self, values: Sequence[ir.Value]) -> Iterator[ir.Value]:
        """Values and all that they depend on, the last of the graph first."""
        seen, stack = set(values), list(values)
        while stack:
            fresh = [one for one in self.feeding(stack.pop()) if one not in seen]
            seen.update(fresh)
            stack += fresh
        return iter(sorted(seen, key=self.order.__getitem__, reverse=True))

    def _is_map(self, node: ir.Node, value: ir.Value) -> bool:
        shape, whole = self.shape(value), self.shape(self.image)
        if len(shape) != 4 or value.dtype is None or not value.dtype.is_floating_point():
            return False
        if not whole or shape[0] != whole[0] or not self._is_grid(shape[2], shape[3]):
            return False
        if node.op_type in _SPATIAL or self._is_normalised(node, shape):
            return True
        return node.op_type not in _MIXES and any(
            before in self._maps and self.grid(before) == shape[2:]
            for before in node.inputs
            if before is not None
        )

    def _is_normalised(self, node: ir.Node, shape: tuple[int, ...]) -> bool:
        """Whether a Reshape gives a map its shape back after a normalisation in another one.

        A group norm is written out as an instance norm of [N, groups, -1].
        """
        inner = node.inputs[0].producer() if node.op_type == "Reshape" and node.inputs[0] else None
        if inner is None or inner.op_type not in _NORMS or inner.inputs[0] is None:
            return False
        outer = inner.inputs[0].producer()
        if outer is None or outer.op_type != "Reshape":
            return False
        before = outer.inputs[0]
        return before in self._maps and self.shape(before) == shape

    def _is_grid(self, rows: int, columns: int) -> bool:
        """Whether one stride explains both extents, each rounded up or down."""
        if min(rows, columns) < 1:
            return False
        height, width = self._shapes[self.image][2:]
        least = max(height / (rows + 1), width / (columns + 1))
        most = min(height / max(rows - 1, 1e-9), width / max(columns - 1, 1e-9))
        return least < most
