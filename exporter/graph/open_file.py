"""`open_file` is the one way by which the exporter opens an ONNX file.

What the file says is checked first, so that no library reads elsewhere or works for ever, and so
that later steps can rely on a graph that makes sense.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from ...runtime.errors import GraftcamError
from ...runtime.onnx_file.check import check_file
from ..errors import CaptureError, first_line
from .check_graph import BadGraphError, check_graph
from .check_operators import check_operators


def open_file(
    path: Path, kind: type[GraftcamError] = CaptureError, *, source: bool = False
) -> ir.Model:
    """Open an ONNX file; its external weights are mapped on use.

    Args:
        path: The file.
        kind: The error to raise.
        source: Also check that each operator has the attributes and inputs that it needs. Of an
            artifact, ONNX Runtime checks this as it loads it.

    Raises:
        GraftcamError: Of ``kind``: the file is no ONNX file, or its graph makes no sense.
    """
    path = path.resolve()
    proto = open_proto(path, kind)
    try:
        if source:
            check_operators(proto)
        model = ir.from_proto(proto)
    except BadGraphError as error:
        raise kind(f"{path.name}: {error}; export the model again") from None
    except Exception as error:  # of onnx_ir, for any fault of the file
        raise kind(
            f"cannot read {path.name} as ONNX: {first_line(error)}; give an ONNX file"
        ) from error
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        ir.external_data.set_base_dir(graph, path.parent)
    return model


def open_proto(
    path: Path, kind: type[GraftcamError] = CaptureError, *, weights: bool = False
) -> onnx.ModelProto:
    """Read an ONNX file as a message; see `open_file`.

    Args:
        path: The file.
        kind: The error to raise.
        weights: Also read the weights that lie beside it.
    """
    check_file(path, kind)
    try:
        proto = onnx.load(path, format="protobuf", load_external_data=weights)
        check_graph(proto)
    except BadGraphError as error:
        raise kind(f"{path.name}: {error}; export the model again") from None
    except Exception as error:  # protobuf's errors, and those of reading weights
        raise kind(
            f"cannot read {path.name} as ONNX: {first_line(error)}; give an ONNX file"
        ) from error
    return proto
