"""This module fuses the maps of several layers in the graph; the formula is the runtime's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import onnx_ir as ir

from ...runtime.methods.fusion import FUSES, Fuse, fuse_maps
from ...runtime.methods.operations import Algebra
from ..errors import LayerError
from ..graph.emitter import Emitter, Extent, Part, parts_of
from ..graph.expression import Expression
from ..locate.arrangement import Arrangement
from .gradcam import Target
from .graph_operations import GraphAlgebra

FUSING: dict[str, Fuse] = {f"fuse-{how}": how for how in FUSES}
"""How maps are fused, by the name of the extra."""
_ALGEBRA: Algebra[Expression] = GraphAlgebra()
_MOST = 3  # axes of space that ONNX Runtime's Resize interpolates along


def check_fusing(targets: Sequence[Target], extra: str) -> None:
    """Refuse layers whose maps have no grid in common.

    Raises:
        LayerError: There is a single layer, or grids have other axes, or too many.
    """
    if len(targets) < 2:
        raise LayerError(
            f"{extra!r} fuses the maps of several layers, and there is one; name two or more "
            "(--layer), or leave it out of extras"
        )
    first = targets[0]
    for one in targets:
        if _axes(one.arrangement) != _axes(first.arrangement):
            raise LayerError(
                f"the grids of layers {first.name!r} and {one.name!r} have different axes, so that "
                f"{extra!r} cannot fuse their maps; choose layers of one kind, or leave it out of "
                "extras"
            )
    if (rank := len(first.arrangement.grid)) > _MOST:
        raise LayerError(
            f"the grid of layer {first.name!r} has {rank} axes, and a graph resizes maps of up to "
            f"{_MOST}; leave {extra!r} out of extras, and fuse at run time"
        )


def _axes(arrangement: Arrangement) -> tuple[int, ...]:
    """The input's axes that a grid runs along, from 1 on where they are those of space."""
    rank = len(arrangement.grid)
    return tuple(arrangement.input_axes) or tuple(range(-rank, 0))


def fuse(
    emit: Emitter, maps: Sequence[ir.Value], layers: Sequence[ir.Value], how: Fuse
) -> ir.Value:
    """Fuse the maps of several layers.

    Args:
        emit: Where nodes are added.
        maps: Of each layer, float32 [N, K, *space].
        layers: Their activations, [N, C, *space].
        how: See `runtime.methods.fusion.fuse_maps`.

    Returns:
        float32 [N, K, *space] on the largest extent along each axis.
    """
    spaces = [tuple(parts_of(value)[2:]) for value in layers]
    with emit.scope(f"fuse/{how}"):
        finest = [_largest(emit, sides) for sides in zip(*spaces, strict=True)]
        resizes: list[Callable[[Expression], Expression]] = [
            partial(_resized, batch=parts_of(value)[0], space=space, finest=finest)
            for value, space in zip(layers, spaces, strict=True)
        ]
        values = [Expression(emit, value) for value in maps]
        axes = range(2, 2 + len(finest))
        return fuse_maps(_ALGEBRA, values, resizes, how, axes).value


def _largest(emit: Emitter, sides: Sequence[Part]) -> Extent:
    """The largest of the layers' extents along an axis."""
    known = [side for side in sides if isinstance(side, int)]
    if len(known) == len(sides):
        return max(known)
    vectors = [emit.vector([side]) for side in dict.fromkeys(sides)]
    return vectors[0] if len(vectors) == 1 else emit.op("Max", *vectors, role="extent", shape=[1])


def _resized(
    maps: Expression, batch: Part, space: Sequence[Part], finest: Sequence[Extent]
) -> Expression:
    """Maps [N, K, *space] resized to the finest grid, as `runtime.output.render.resample` does."""
    if list(space) == list(finest):
        return maps
    size = maps.emit.vector([batch, maps.emit.classes, *finest])
    resized = maps.op("Resize", None, None, size, role="resized", mode="linear")
    return resized.op("Min", 1.0)  # weights that sum to 1 can overshoot by one rounding
