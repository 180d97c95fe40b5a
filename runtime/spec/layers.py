"""A `Layer` is the part of an artifact's metadata about one target layer and its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from ..bounds import Axis, Count, FileName, Length, MethodId, Name, Positive
from ..records import Fault, Record

Layout = Literal["channels_first", "channels_last", "tokens", "instances"]


@dataclass(frozen=True)
class Head:
    """The model from a target layer to the score, an artifact in its own file beside this one.

    Attributes:
        file: Name of the file.
        inputs: For each of its inputs, by name, the output or input of this artifact that feeds it.
        outputs: Outputs of this artifact that exist only for heads; not in the JSON if there are
            none.
    """

    file: FileName
    inputs: dict[Name, Name]
    outputs: list[Name] | None = None


@dataclass(frozen=True)
class Layer(Record):
    """One target layer and the outputs that describe it.

    Attributes:
        name: The layer as the user named it (module path, value or node name).
        value: The ONNX value of the layer's output.
        layout: Axis order of the layer's output in the model; the artifact's outputs are
            channel-first. ``instances`` is [N * instances, C, *space], of which the artifact makes
            [N, C, instances, *space].
        grid: Spatial shape of the map; None for a dynamic extent.
        prefix_tokens: Tokens before the grid (class, distillation, register) for ``tokens``.
        heatmap: Name of the output, float [N, K, *space].
        activations: Name of the output, float [N, C, *space].
        gradients: Name of the output, float [N, K, C, *space].
        methods: Names of the outputs, float [N, K, *space], of further methods in the artifact, by
            their ids; not in the JSON if there are none.
        head: The head, if it was exported; else not in the JSON.
        input_axes: The input's axes that those of the grid run along (the batch is axis 0), where
            they run in another order; else not in the JSON.
        method: The method of `heatmap`, if it is not Grad-CAM; else not in the JSON.
        suffix_tokens: Tokens behind the grid (those of a detector, for example) for ``tokens``; not
            in the JSON if there are none.
    """

    name: Name
    value: Name
    layout: Layout
    grid: Annotated[list[Positive | None], Length(1, 8)]
    prefix_tokens: Count
    heatmap: Name
    activations: Name
    gradients: Name
    methods: dict[MethodId, Name] | None = None
    head: Head | None = None
    input_axes: list[Axis] | None = None
    method: MethodId | None = None
    suffix_tokens: Count | None = None

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        axes = self.input_axes
        if axes is not None and not len({*axes}) == len(axes) == len(self.grid):
            yield "input_axes", f"a different axis for each of the {len(self.grid)} of the grid"

    @property
    def baked(self) -> dict[str, str]:
        """Names of all outputs that are maps, by method id."""
        return {self.method or "gradcam": self.heatmap, **(self.methods or {})}

    @property
    def outputs(self) -> list[str]:
        """Names of all outputs that describe the layer."""
        return [*self.baked.values(), self.activations, self.gradients]


@dataclass(frozen=True)
class FusedMaps(Record):
    """The maps of all target layers in one, which the artifact makes.

    Attributes:
        method: The method of the layers' maps.
        maps: Names of the outputs, float32 [N, K, *space] on the largest extent of the layers'
            grids along each axis, by how they are fused: ``mean``, ``max``, ``product``,
            ``refine``.
    """

    method: MethodId
    maps: dict[MethodId, Name]

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        if not self.maps:
            yield "maps", "one map or more"
