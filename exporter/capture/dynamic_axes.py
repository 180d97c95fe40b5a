"""These functions choose the axes that stay open in the graph: the batch, and the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch

from ..errors import CaptureError, first_line
from ..graph.emitter import dims_of
from ..graph.infer_shapes import GROWTH
from ..source.torch_inputs import ModuleInputs

_SPACE = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_MOST_COLOURS = 4


def open_axes(
    inputs: ModuleInputs, *, batch: bool, size: bool
) -> tuple[dict[int, torch.export.Dim], ...]:
    """Return the ``dynamic_shapes`` of `torch.export`, an entry for each tensor.

    Args:
        inputs: Inputs of the model.
        batch: Leave axis 0 open, one extent for all tensors that have the batch there.
        size: Leave the spatial axes of images (float tensors of rank 3 and more) open.
    """
    rows = torch.export.Dim("batch")
    entries: list[dict[int, torch.export.Dim]] = []
    for number, example in enumerate(inputs.tensors):
        entry = {0: rows} if batch and inputs.has_batch(example) else {}
        if size and example.is_floating_point():
            axes = spatial_axes(example.shape)
            for name, axis in zip(_SPACE.get(len(axes), ()), axes, strict=False):
                entry[axis] = torch.export.Dim(f"{name}_{number}" if number else name)
        entries.append(entry)
    return tuple(entries)


def check_sizes(module: torch.nn.Module, inputs: ModuleInputs) -> None:
    """Run the model on images of another size than the examples'.

    Raises:
        CaptureError: The model takes only one size.
    """
    grown: list[torch.Tensor] = []
    for example in inputs.tensors:
        if example.is_floating_point():
            shape = list(example.shape)
            for axis in spatial_axes(shape):
                shape[axis] += GROWTH * axis
            example = example.new_zeros(shape)
        grown.append(example)
    try:
        with torch.no_grad():
            inputs.with_tensors(grown).call(module)
    except Exception as error:
        raise CaptureError(
            f"the model takes images of only one size ({first_line(error)}); export with "
            "dynamic_size=False"
        ) from error


def spatial_axes(shape: Sequence[int]) -> range:
    """Return the axes of an image's extents: after the channels, or before trailing channels."""
    channels_last = len(shape) > 3 and shape[1] > _MOST_COLOURS >= shape[-1]
    return range(1, len(shape) - 1) if channels_last else range(2, len(shape))


def check_open(graph: ir.Graph, wanted: Sequence[dict[int, Any]]) -> None:
    """Check that PyTorch has left the requested axes open.

    Raises:
        CaptureError: An axis is fixed.
    """
    for value, entry in zip(graph.inputs, wanted, strict=False):
        for axis, dim in entry.items():
            if isinstance(dims_of(value)[axis], int):
                raise CaptureError(
                    f"PyTorch fixes the {dim.__name__} of input {value.name!r} at "
                    f"{dims_of(value)[axis]}; export without leaving it open"
                )
