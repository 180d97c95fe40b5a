"""`publish_layers` makes the outputs of the target layers: tensors, maps, and maps of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...runtime.methods.fusion import FUSED_METHOD
from ...runtime.spec import FusedMaps, Layer
from ..differentiate.cotangent import Cotangent
from ..graph.emitter import Dim, Emitter, dims_of
from ..heatmap.baked import FORMULAS, bake
from ..heatmap.fused import FUSING, check_fusing, fuse
from ..heatmap.gradcam import Maps, Target, gradcam, publish


@dataclass(frozen=True)
class _Made:
    """A layer in the graph: its gradient, which knows where it is constant, and its tensors."""

    target: Target
    gradient: Cotangent
    maps: Maps


def publish_layers(
    emit: Emitter,
    targets: Sequence[Target],
    gradients: Sequence[Cotangent],
    batch: Dim,
    extras: Sequence[str],
    method: str,
) -> tuple[list[Layer], FusedMaps | None]:
    """Add the outputs of all layers, and return their records.

    Args:
        emit: Where nodes are added.
        targets: The layers.
        gradients: Of each.
        batch: The extent N.
        extras: Further maps, of `FORMULAS` and `FUSING`.
        method: The method of the layers' heatmaps.

    Raises:
        LayerError: A map is not defined for a layer, or the layers have no grid in common.
    """
    methods = [extra for extra in extras if extra in FORMULAS]
    fused = [extra for extra in extras if extra in FUSING]
    if fused:
        check_fusing(targets, fused[0])
    made: list[_Made] = []
    for target, gradient in zip(targets, gradients, strict=True):
        maps = gradcam(emit, target, gradient)
        if method != "gradcam":
            maps = replace(maps, heatmap=bake(emit, method, target, gradient, maps))
        made.append(_Made(target, gradient, maps))
    layers = [_publish(emit, one, batch, methods, many=len(made) > 1) for one in made]
    layers = [replace(one, method=None if method == "gradcam" else method) for one in layers]
    return layers, _publish_fused(emit, made, batch, fused) if fused else None


def _publish(
    emit: Emitter, layer: _Made, batch: Dim, methods: Sequence[str], *, many: bool
) -> Layer:
    target, maps = layer.target, layer.maps
    channels, space = dims_of(maps.activations)[1], target.arrangement.grid
    suffix = f".{target.name}" if many else ""
    heatmap = publish(emit, maps.heatmap, f"heatmap{suffix}", [batch, "K", *space])
    activations = publish(emit, maps.activations, f"activations{suffix}", [batch, channels, *space])
    gradients = publish(emit, maps.gradients, f"gradients{suffix}", [batch, "K", channels, *space])
    baked: dict[str, str] = {}
    for further in methods:
        value = bake(emit, further, target, layer.gradient, maps)
        baked[further] = publish(emit, value, f"heatmap.{further}{suffix}", [batch, "K", *space])
    return Layer(
        target.name, target.value.name or "", target.arrangement.layout,
        [extent if isinstance(extent, int) else None for extent in space],
        target.arrangement.prefix, heatmap, activations, gradients, baked or None,
        input_axes=list(target.arrangement.input_axes) or None,
        suffix_tokens=target.arrangement.suffix or None,
    )  # fmt: skip


def _publish_fused(
    emit: Emitter, layers: Sequence[_Made], batch: Dim, extras: Sequence[str]
) -> FusedMaps:
    """Add the maps of all layers in one."""
    maps = [bake(emit, FUSED_METHOD, one.target, one.gradient, one.maps) for one in layers]
    values = [one.maps.activations for one in layers]
    grids = zip(*(one.target.arrangement.grid for one in layers), strict=True)
    space = [_largest(sides) for sides in grids]
    names = dict[str, str]()
    for extra in extras:
        value = fuse(emit, maps, values, FUSING[extra])
        names[FUSING[extra]] = publish(emit, value, f"heatmap.{extra}", [batch, "K", *space])
    return FusedMaps(FUSED_METHOD, names)


def _largest(sides: Sequence[Dim]) -> Dim:
    """The largest extent of a grid's axis; None if one of several is open."""
    known = [side for side in sides if isinstance(side, int)]
    if len(known) == len(sides):
        return max(known)
    return sides[0] if len({*sides}) == 1 else None
