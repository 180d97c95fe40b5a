"""External data are weights in a file beside the graph; weights beyond 2 GB must be stored so."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from ..errors import CaptureError, first_line

# A protobuf message holds 2 GiB; weights beyond this go to a file beside the graph.
EMBED_LIMIT = 1_900_000_000
SMALL = 1 << 20  # bytes; passes and converters may read smaller tensors, such as shapes and scales


def take_in(model: ir.Model, path: Path) -> list[Path]:
    """Read the weights that ``model`` stores in files beside ``path``, and return these files.

    ``model`` was opened by `open_file`.

    If they exceed 1.9 GB only small ones are read; the others are mapped from their file on use.

    Raises:
        CaptureError: A file cannot be read.
    """
    files: dict[Path, None] = {}
    large = exceeds_message(model)
    for part in (model.graph, *model.functions.values()):
        for node in part.all_nodes():
            for name, attribute in list(node.attributes.items()):
                if isinstance(attribute.value, ir.ExternalTensor):
                    files[Path(attribute.value.path)] = None
                    node.attributes[name] = ir.AttrTensor(name, _read(attribute.value, path))
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if not isinstance(tensor, ir.ExternalTensor):
                continue
            files[Path(tensor.path)] = None
            if not (large and tensor.nbytes > SMALL):
                value.const_value = _read(tensor, path)
    return list(files)


def keep_beside(model: ir.Model, path: Path) -> None:
    """Write weights beyond 1.9 GB to ``<name>.data``, before ``model`` is saved to ``path``.

    When the model is saved again with other metadata, only the graph is written.
    """
    data = path.with_name(f"{path.name}.data")
    if not exceeds_message(model) or data.exists():
        return
    ir.external_data.unload_from_model(model, path.parent, data.name, size_threshold_bytes=SMALL)


def exceeds_message(model: ir.Model) -> bool:
    """Whether the weights are too large for a file with the graph."""
    values = (value for graph in model.graphs() for value in graph.initializers.values())
    size = sum(value.const_value.nbytes for value in values if value.const_value is not None)
    return size > EMBED_LIMIT


def _read(tensor: ir.ExternalTensor, path: Path) -> ir.Tensor:
    try:
        array = tensor.numpy().copy()
    except (OSError, ValueError) as error:  # onnx_ir reads no file that has several hard links
        raise CaptureError(
            f"cannot read the weights of {path.name} in {tensor.location!r}: {first_line(error)}; "
            "put a copy of the file there"
        ) from error
    return ir.Tensor(array, dtype=tensor.dtype, name=tensor.name)
