"""Tensors of the Open Inference Protocol, version 2: JSON, and its extension for binary data.

https://github.com/kserve/open-inference-protocol; the binary extension is Triton's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...json_text import write_json
from ...strict_json import read_json
from .refusals import RefusedError

DATATYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}  # fmt: skip
"""The protocol's names of types; texts (BYTES) are not among them."""

_NAMES = {np.dtype(kind): name for name, kind in DATATYPES.items()}
_OF_ORT = {
    "float": "FP32", "float16": "FP16", "double": "FP64", "bool": "BOOL",
    **{kind: kind.upper() for kind in ("uint8", "uint16", "uint32", "uint64", "int8", "int16",
                                       "int32", "int64")},
}  # fmt: skip
_AXES = 16
_EXTENT = (1 << 31) - 1
_MOST = 1 << 48  # elements, as if no extent were 0
_TYPES = {"b": {bool}, "u": {int}, "i": {int}, "f": {int, float}}
_SIZE = re.compile(r"[0-9]{1,18}")
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Inference:
    """A request for inference.

    Attributes:
        arrays: The inputs by name.
        outputs: Names of the outputs; None: the default ones.
        binary: Names of the outputs that are wanted as binary data; None: all.
        id: The client's name for the request.
    """

    arrays: dict[str, NDArray[Any]]
    outputs: list[str] | None
    binary: frozenset[str] | None
    id: str | None


def datatype_of(ort_type: str) -> str:
    """Return the protocol's name of ONNX Runtime's ``tensor(float)``; ``BYTES`` for texts."""
    return _OF_ORT.get(ort_type.removeprefix("tensor(").removesuffix(")"), "BYTES")


def read_inference(body: bytes, length: str | None) -> Inference:
    """Read the body of a request.

    Args:
        body: JSON, and behind it binary data if ``length`` says so.
        length: The value of the header `LENGTH`, the size of the JSON.

    Raises:
        RefusedError: It is no such request; the message says where.
    """
    size = len(body)
    if length is not None:
        if not _SIZE.fullmatch(length) or int(length) > len(body):
            raise RefusedError(
                400, f"{LENGTH}: {length[:40]} is no size within the body's {len(body)}"
            )
        size = int(length)
    data, rest = _record(_json(body[:size]), "the request"), memoryview(body)[size:]
    inputs = data.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise RefusedError(400, "inputs is no list of tensors")
    arrays: dict[str, NDArray[Any]] = {}
    for one in cast("list[Any]", inputs):
        name, array, taken = _tensor(_record(one, "an input"), rest)
        if name in arrays:
            raise RefusedError(400, f"input '{name}' is given twice")
        arrays[name], rest = array, rest[taken:]
    if len(rest):
        raise RefusedError(400, f"{len(rest)} bytes of binary data belong to no input")
    outputs, binary = _outputs(data)
    identity = data.get("id")
    return Inference(arrays, outputs, binary, None if identity is None else str(identity))


def write_inference(
    asked: Inference, model: str, arrays: Mapping[str, NDArray[Any]]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the size of its JSON if binary data follow it."""
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, array in arrays.items():
        kind = _NAMES[array.dtype]
        entry: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
        if asked.binary is None or name in asked.binary:
            parts.append(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = _numbers(array)
        outputs.append(entry)
    data: dict[str, Any] = {"model_name": model, "model_version": "1"}
    if asked.id is not None:
        data["id"] = asked.id
    head = write_json({**data, "outputs": outputs}).encode()
    return b"".join([head, *parts]), len(head) if parts else None


def _json(text: bytes) -> Any:
    try:
        return read_json(text)
    except ValueError as error:
        raise RefusedError(400, f"the request is no JSON: {error}") from None


def _record(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RefusedError(400, f"{what} is no JSON object")
    return cast("dict[str, Any]", value)


def _outputs(data: Mapping[str, Any]) -> tuple[list[str] | None, frozenset[str] | None]:
    """Return the names of the outputs that are wanted, and of those as binary data."""
    parameters = _record(data.get("parameters") or {}, "parameters")
    everything = parameters.get("binary_data_output") is True
    asked = data.get("outputs")
    if asked is None:
        return None, None if everything else frozenset()
    if not isinstance(asked, list):
        raise RefusedError(400, "outputs is no list")
    records = [_record(one, "an output") for one in cast("list[Any]", asked)]
    names = [one.get("name") for one in records]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise RefusedError(400, "each of the outputs must have a name of its own")
    own = [_record(one.get("parameters") or {}, "parameters") for one in records]
    pairs = zip(names, own, strict=True)
    binary = {str(name) for name, its in pairs if its.get("binary_data", everything) is True}
    return [str(name) for name in names], frozenset(binary)


def _tensor(one: Mapping[str, Any], rest: memoryview) -> tuple[str, NDArray[Any], int]:
    """Return name and array of an input, and how many bytes of the binary data it took."""
    name = one.get("name")
    if not isinstance(name, str):
        raise RefusedError(400, "an input has no name")
    kind, shape = DATATYPES.get(str(one.get("datatype"))), one.get("shape")
    if kind is None:
        raise RefusedError(
            400, f"input '{name}' has datatype {one.get('datatype')!r}; there is "
            f"{', '.join(DATATYPES)}"
        )  # fmt: skip
    if not _is_shape(shape):
        raise RefusedError(
            400, f"the shape of input '{name}' is no list of at most {_AXES} sizes from 0 to "
            f"{_EXTENT}"
        )  # fmt: skip
    extents = cast("list[int]", shape)
    # numpy refuses an array that it could not address, also where another extent is 0.
    if math.prod(extent or 1 for extent in extents) > _MOST:
        raise RefusedError(400, f"the shape {extents} of input '{name}' is too large")
    count = math.prod(extents)
    size = _record(one.get("parameters") or {}, "parameters").get("binary_data_size")
    if size is None:
        return name, _of_json(name, one.get("data"), kind, extents, count), 0
    expected = count * np.dtype(kind).itemsize
    if size != expected or size > len(rest):
        raise RefusedError(
            400, f"input '{name}' of shape {extents} takes {expected} bytes; binary_data_size is "
            f"{size!r}, and {len(rest)} bytes are left"
        )  # fmt: skip
    stored = np.dtype(np.uint8 if kind is np.bool_ else kind).newbyteorder("<")
    values = np.frombuffer(rest[:expected], stored, count)
    return name, values.astype(kind).reshape(extents), expected


def _is_shape(shape: Any) -> bool:
    if not isinstance(shape, list) or len(cast("list[Any]", shape)) > _AXES:
        return False
    return all(type(one) is int and 0 <= one <= _EXTENT for one in cast("list[Any]", shape))


def _of_json(
    name: str, data: Any, kind: type[np.generic], extents: Sequence[int], count: int
) -> NDArray[Any]:
    """Return the array of data in JSON, flat or nested."""
    if not isinstance(data, list):
        raise RefusedError(400, f"input '{name}' has no data")
    values = _flat(name, cast("list[Any]", data))
    if len(values) != count:
        raise RefusedError(400, f"input '{name}' has {len(values)} values for shape {extents}")
    # numpy would give each number the room of the longest text among them.
    if not set(map(type, values)) <= _TYPES[np.dtype(kind).kind]:
        raise RefusedError(400, f"input '{name}' has other values than {_NAMES[np.dtype(kind)]}")
    if np.issubdtype(kind, np.integer):
        bounds = np.iinfo(cast("Any", kind))
        if values and not bounds.min <= min(values) <= max(values) <= bounds.max:
            raise RefusedError(
                400, f"input '{name}' has values beyond {bounds.min} to {bounds.max}"
            )
        return np.array(values, kind).reshape(extents)
    with np.errstate(over="ignore"):
        return np.array(values, np.float64).astype(kind).reshape(extents)


def _flat(name: str, data: list[Any]) -> list[Any]:
    """Return the values of nested lists, all of one length at each depth."""
    while any(isinstance(one, list) for one in data):
        if len({len(one) if isinstance(one, list) else None for one in data}) > 1:
            raise RefusedError(400, f"input '{name}' has lists that differ in length")
        data = list(chain.from_iterable(data))
    return data


def _numbers(array: NDArray[Any]) -> list[Any]:
    """Return the values in a flat list; NaN and infinity, which JSON lacks, become None."""
    flat = array.ravel()
    if flat.dtype.kind != "f":
        return flat.tolist()
    wide = flat.astype(np.float64)
    # float32 numbers with the digits that they have, not those of their float64 copies.
    numbers = [float(str(one)) for one in flat] if flat.dtype != np.float64 else wide.tolist()
    return [
        number if known else None
        for number, known in zip(numbers, np.isfinite(wide).tolist(), strict=True)
    ]
