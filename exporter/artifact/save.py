"""This module saves artifacts: the graph with its metadata, and large weights beside it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import onnx_ir as ir

from ...runtime.custody.digests import write_digests
from ...runtime.spec import METADATA_KEY, Spec
from ...runtime.version import __version__
from ..errors import WriteError
from ..graph.external_data import keep_beside
from .record import exchange_record

_TOOLS = ("torch", "torchvision", "timm", "onnx", "onnx-ir", "onnxscript")


def graph_hash(model: ir.Model) -> tuple[str, str]:
    """SHA-256 of the graph's structure and of its weights, before anything was added."""
    structure, weights = hashlib.sha256(), hashlib.sha256()
    graph = model.graph
    for node in graph:
        inputs = ",".join(v.name or "" if v else "" for v in node.inputs)
        outputs = ",".join(v.name or "" for v in node.outputs)
        structure.update(f"{node.domain}.{node.op_type}({inputs})->({outputs})".encode())
        for name, attribute in sorted(node.attributes.items()):
            value = attribute.value
            if isinstance(value, ir.TensorProtocol):
                value = hashlib.sha256(value.tobytes()).hexdigest()
            structure.update(f"{name}={value}".encode())
    for value in [*graph.inputs, *graph.outputs]:
        structure.update(f"{value.name}:{value.type}:{value.shape}".encode())
    for name, value in sorted(graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None:
            weights.update(f"{name}:{tensor.dtype}:{tensor.shape}".encode())
            weights.update(tensor.tobytes())
    return structure.hexdigest(), weights.hexdigest()


def tool_versions(packages: Sequence[str] = _TOOLS) -> dict[str, str]:
    """Versions of graftcam and of the packages that are installed.

    Args:
        packages: Which; by default those that shape the artifact.
    """
    versions = {"graftcam": __version__}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def save(model: ir.Model, spec: Spec, path: Path) -> int:
    """Write an artifact with its metadata and digests and return its size in bytes.

    Weights beyond 1.9 GB go to ``<name>.data`` beside it.
    """
    model.metadata_props[METADATA_KEY] = spec.to_json()
    try:
        keep_beside(model, path)
        ir.save(model, path)
        write_digests(path)
    except OSError as error:
        raise WriteError(f"cannot write {path.name}: {error.strerror}") from error
    return size_of(path)


def write_record(spec: Spec, path: Path) -> int:
    """Write another record into an artifact and return its size; graph and weights stay.

    The graph's bytes are not touched, so that what was verified is what ships.
    """
    try:
        exchange_record(path, spec.to_json())
    except OSError as error:
        raise WriteError(f"cannot write {path.name}: {error.strerror}") from error
    return size_of(path)


def size_of(path: Path) -> int:
    """Bytes of an artifact, weights beside it included."""
    parts = [path, path.with_name(f"{path.name}.data")]
    return sum(part.stat().st_size for part in parts if part.exists())
