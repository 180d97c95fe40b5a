"""`bind` fits a training transform to the input of a graph that it feeds."""

from __future__ import annotations

import onnx_ir as ir

from ...runtime.errors import InputError
from ...runtime.inputs.fit_preprocess import Fed, fit_preprocess
from ...runtime.inputs.preprocess_words import Unsized
from ...runtime.spec import Preprocess
from ..errors import CaptureError
from ..graph.emitter import dims_of

_IMAGE_TYPES = {
    ir.DataType.FLOAT: "float32", ir.DataType.FLOAT16: "float16", ir.DataType.DOUBLE: "float64",
    ir.DataType.UINT8: "uint8",
}  # fmt: skip


def bind(preprocess: Preprocess | Unsized | None, graph: ir.Graph) -> Preprocess | None:
    """Name the input that the transform feeds, and compare their shapes; see `fit_preprocess`.

    Raises:
        CaptureError: There is no such input, or it does not take what the transform gives.
    """
    if preprocess is None:
        return None
    try:
        return fit_preprocess(preprocess, {value.name or "": fed(value) for value in graph.inputs})
    except InputError as error:
        raise CaptureError(error) from error


def fed(value: ir.Value) -> Fed:
    """Return what a graph's input takes."""
    dims = () if value.shape is None else dims_of(value)
    kind = None if value.dtype is None else _IMAGE_TYPES.get(value.dtype, value.dtype.name)
    return Fed(dims, kind)
