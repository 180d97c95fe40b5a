"""`capture_file` reads an ONNX file as one flat graph with the values of the target layers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from ...runtime.spec import METADATA_KEY
from ..errors import CaptureError
from ..graph.check_work import check_work
from ..graph.emitter import constant_of
from ..graph.external_data import take_in
from ..graph.fix_axes import fix_axes
from ..graph.infer_shapes import name_open_axes, settle_extents
from ..graph.inline import flatten, infer_shapes
from ..graph.open_file import open_file
from ..graph.upgrade_opset import converted
from ..graph.write_out import write_out
from ..locate.arrangement import Arrangement
from ..locate.detectors.detection import LevelFound
from ..locate.layer import find_layer

if TYPE_CHECKING:
    import torch

    from ..source.torch_inputs import ModuleInputs

# Recorded by PyTorch's exporter; all that graftcam keeps of a node's metadata in the artifact.
SCOPES = "pkg.torch.onnx.name_scopes"
_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
_WIDE_CODES = 21  # the opset from which on ONNX's quantisers give codes of 16 bits

# It warns of each value whose type is unknown, as those of ONNX Runtime's own operators are.
logging.getLogger("onnx_ir.serde").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Captured:
    """A model as ONNX IR.

    Attributes:
        model: One flat graph with the model's own inputs and outputs only.
        targets: Values of the target layers by the name the user gave.
        module: The PyTorch module behind it, if any.
        inputs: The example inputs that it was captured with, if any.
        notes: Notes for the user.
        arranged: Layouts of the target layers, as far as they are settled.
        folder: The folder of the model's external data, for a file.
        levels: The levels of a detector whose target layers are its module's, in their order.
        files: Files beside the model's own that hold weights, for a file.
    """

    model: ir.Model
    targets: dict[str, ir.Value]
    module: torch.nn.Module | None = None
    inputs: ModuleInputs | None = None
    notes: list[str] = field(default_factory=list[str])
    arranged: dict[str, Arrangement] = field(default_factory=dict[str, Arrangement])
    folder: Path | None = None
    levels: list[LevelFound] = field(default_factory=list[LevelFound])
    files: list[Path] = field(default_factory=list[Path])


def capture_file(
    path: Path, layers: Sequence[str], shapes: Mapping[str, Sequence[int | None]] | None = None
) -> Captured:
    """Load an ONNX file, flatten its graph and convert it to opset 18 or newer.

    ``shapes`` fix open axes of its inputs; see `fix_axes`.

    Raises:
        CaptureError: The file cannot be read or converted, or takes too much work.
        LayerError: A layer is unknown.
    """
    path = path.resolve()
    model = open_file(path, source=True)
    files = take_in(model, path)
    if METADATA_KEY in model.metadata_props:
        raise CaptureError(f"{path.name} is a graftcam artifact already; give the model behind it")
    notes: list[str] = []
    # ONNX Runtime's float16 converter puts casts of the inputs after their readers.
    model.graph.sort()
    take_plain_quantisers(model.graph)
    if shapes:
        fix_axes(model, shapes, path.parent)
    name_open_axes(model.graph)
    model = flatten(model)
    version = model.opset_imports.get("", model.opset_imports.get("ai.onnx", 0))
    if version < 18:
        model = infer_shapes(converted(model, version, path.name))
        ir.external_data.set_base_dir(model.graph, path.parent)
        notes.append(f"converted from opset {version} to 18")
    check_work(model, path.parent, path.name)
    settle_extents(model, path.parent)
    write_out(model.graph)
    targets = {name: find_layer(model.graph, name) for name in layers}
    return Captured(model, targets, notes=notes, folder=path.parent, files=files)


def take_plain_quantisers(graph: ir.Graph) -> None:
    """Give ONNX Runtime's own quantisers the domain of ONNX, whose quantisers do the same.

    They are what `quantize_static` writes with ``UseQDQContribOps``.
    """
    wide = graph.opset_imports.get("", 0) >= _WIDE_CODES
    for node in graph:
        if node.domain != "com.microsoft" or node.op_type not in _QUANTISERS:
            continue
        zero = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
        if wide or zero is None or zero.dtype.itemsize == 1:
            node.domain = ""


def drop_metadata(graph: ir.Graph) -> None:
    """Remove metadata except module paths: stack traces differ between runs and machines."""
    for node in graph:
        scopes = node.metadata_props.get(SCOPES)
        node.metadata_props.clear()
        node.doc_string = None
        if scopes:
            node.metadata_props[SCOPES] = scopes
    for value in [*graph.inputs, *(v for node in graph for v in node.outputs)]:
        value.metadata_props.clear()
