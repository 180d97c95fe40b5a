"""This module saves artifacts: the metadata, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Generator, Sequence
from importlib import metadata
from pathlib import Path

import onnx_ir as ir

from ...runtime.custody.digests import write_digests
from ...runtime.spec import METADATA_KEY, Spec
from ...runtime.writing import replace_file
from ..errors import WriteError
from ..graph.external_data import keep_beside
from .record import exchange_record

_TOOLS = ("graftcam", "torch", "torchvision", "timm", "onnx", "onnx-ir", "onnxscript")


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
    """Versions of the packages that are installed; by default those that shape the artifact."""
    versions: dict[str, str] = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


@contextlib.contextmanager
def staged(path: Path) -> Generator[Path]:
    """Give a place to write to; on success its files move to ``path``, else they are deleted.

    Raises:
        WriteError: The folder cannot be made or written.
    """
    made = not path.parent.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}; choose another place") from error
    try:
        yield folder / path.name
        # Weights and heads first: an artifact never points to a file that is not there.
        _move(sorted(folder.iterdir(), key=lambda part: part.name == path.name), path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # only if it is empty


def _move(parts: Sequence[Path], path: Path) -> None:
    """Move ``parts`` beside ``path``; if one cannot be moved, no new file stays there."""
    fresh: list[Path] = []
    try:
        for part in parts:
            place = path.with_name(part.name)
            if not place.exists():
                fresh.append(place)
            part.replace(place)
    except OSError as error:
        for place in fresh:
            place.unlink(missing_ok=True)
        raise WriteError(f"cannot write {path}: {error.strerror}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        WriteError: The folder cannot be made or written.
    """
    replace_file(path, text.encode("utf-8"), WriteError)


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
