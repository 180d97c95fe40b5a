"""External data are weights in a file beside the graph; weights beyond 2 GB must be stored so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from ..errors import CaptureError

# A protobuf message holds 2 GiB; weights beyond this go to a file beside the graph.
EMBED_LIMIT = 1_900_000_000
SMALL = 1 << 20  # bytes; passes and converters may read smaller tensors, such as shapes and scales


def take_in(model: ir.Model, path: Path) -> list[Path]:
    """Read the weights that ``model`` stores in files beside ``path``, and return these files.

    If they exceed 1.9 GB only small ones are read; the others are mapped from their file on use.

    Raises:
        CaptureError: A file is missing or too short.
    """
    files: dict[Path, None] = {}
    for tensor in _beside(model):
        file = Path(tensor.path)
        files[file] = None
        end = (tensor.offset or 0) + (tensor.length or 0)
        if not file.is_file() or file.stat().st_size < end:
            fault = "is truncated" if file.is_file() else "is missing"
            raise CaptureError(
                f"{path.name} stores its weights in {tensor.location!r}, which {fault}; "
                f"put the whole file beside {path.name}"
            )
    large = exceeds_message(model)
    for graph in model.graphs():
        for node in graph:
            for name, attribute in list(node.attributes.items()):
                if isinstance(attribute.value, ir.ExternalTensor):
                    node.attributes[name] = ir.AttrTensor(name, _read(attribute.value))
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor) and not (large and tensor.nbytes > SMALL):
                value.const_value = _read(tensor)
    return list(files)


def keep_beside(model: ir.Model, path: Path) -> None:
    """Write weights beyond 1.9 GB to ``<name>.data``, before ``model`` is saved to ``path``.

    When the model is saved again with other metadata, only the graph is written.
    """
    data = path.with_name(f"{path.name}.data")
    if not exceeds_message(model) or data.exists():
        return
    ir.external_data.unload_from_model(model, path.parent, data.name, size_threshold_bytes=SMALL)


def _beside(model: ir.Model) -> Iterator[ir.ExternalTensor]:
    for graph in model.graphs():
        tensors = [value.const_value for value in graph.initializers.values()]
        tensors += [attribute.value for node in graph for attribute in node.attributes.values()]
        yield from (tensor for tensor in tensors if isinstance(tensor, ir.ExternalTensor))


def exceeds_message(model: ir.Model) -> bool:
    """Whether the weights are too large for a file with the graph."""
    values = (value for graph in model.graphs() for value in graph.initializers.values())
    size = sum(value.const_value.nbytes for value in values if value.const_value is not None)
    return size > EMBED_LIMIT


def _read(tensor: ir.ExternalTensor) -> ir.Tensor:
    return ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)
