"""`check_tensor` checks that a tensor of an ONNX file has the numbers that its shape says."""

from __future__ import annotations

import math

import onnx
from onnx import TensorProto, numpy_helper

from ...runtime.onnx_file.external_data import BITS

# Where the numbers of a type stand that are no raw bytes, and how many there are for an element.
_FIELDS: dict[int, tuple[str, int]] = {
    TensorProto.FLOAT: ("float_data", 1),
    TensorProto.COMPLEX64: ("float_data", 2),
    TensorProto.DOUBLE: ("double_data", 1),
    TensorProto.COMPLEX128: ("double_data", 2),
    TensorProto.INT64: ("int64_data", 1),
    TensorProto.UINT32: ("uint64_data", 1),
    TensorProto.UINT64: ("uint64_data", 1),
    TensorProto.STRING: ("string_data", 1),
}
_BYTE = 8


class BadGraphError(Exception):
    """The graph of an ONNX file contradicts itself; the message says where."""


def check_tensor(tensor: onnx.TensorProto, where: str = "") -> None:
    """Check the type, the shape and the number of elements of a tensor.

    Args:
        tensor: An initializer, or an attribute.
        where: What a tensor without a name belongs to.

    Raises:
        BadGraphError: They contradict each other.
    """
    name, kind, dims = tensor.name or where, tensor.data_type, list(tensor.dims)
    bits = BITS.get(kind)
    if bits is None and kind != TensorProto.STRING:
        raise BadGraphError(f"tensor {name!r} is of type {kind}, which ONNX does not have")
    if min(dims, default=0) < 0:
        raise BadGraphError(f"tensor {name!r} has the shape {dims[:_BYTE]}")
    if tensor.data_location == TensorProto.EXTERNAL:
        return  # `check_file` has compared it with its file
    count = math.prod(dims)
    if tensor.HasField("raw_data"):
        if bits is None:
            raise BadGraphError(f"tensor {name!r} is of strings, and holds plain bytes")
        have, want, what = len(tensor.raw_data), -(-count * bits // _BYTE), "bytes"
    else:
        where_, each = _FIELDS.get(kind, ("int32_data", 1))
        have, want, what = len(getattr(tensor, where_)), count * each, "numbers"
        if bits in (2, 4):  # several in one number
            want = -(-count * bits // _BYTE)
    if have != want:
        raise BadGraphError(
            f"tensor {name!r} has {have} {what}, its shape {dims[:_BYTE]} takes {want}"
        )


def whole_number(tensor: onnx.TensorProto) -> int | None:
    """The number that a checked tensor is; None if it is no single int64 of the file itself."""
    single = math.prod(tensor.dims) == 1 and tensor.data_type == TensorProto.INT64
    if not single or tensor.data_location == TensorProto.EXTERNAL:
        return None
    return int(numpy_helper.to_array(tensor).item())
