"""The source once more: is it still the one that the artifact was made from, and to the byte?

The settings of an export can be read off the artifact and its record: layers, score, names, open
axes, labels, preprocessing, opset and profile. So the source is exported again, unverified, and
the two files are compared.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import onnx
import onnx_ir as ir

from ...runtime.errors import GraftcamError
from ...runtime.spec import METADATA_KEY, Spec, Verification
from ..artifact.save import tool_versions
from .findings import Finding

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

    Model = torch.nn.Module | ExportedProgram | str | Path

# `exporter.export`, which this step cannot import.
Export: TypeAlias = Callable[..., Any]

_HASHES = {"graph_sha256": "graph", "weights_sha256": "weights"}


def check_again(
    artifact: Path, spec: Spec, model: Model, examples: Sequence[Any] | None, export: Export
) -> list[Finding]:
    """Export the source again as the artifact was, and compare hashes and bytes.

    Args:
        artifact: The file.
        spec: Its metadata.
        model: The source, as `export` takes it.
        examples: Example inputs of a module.
        export: The function that wrote the artifact: this step comes before it.
    """
    skipped = Finding("determinism", "", "skipped", reason="the source is another one")
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        path = Path(folder) / artifact.name
        try:
            settings = settings_of(artifact, spec, of_file=isinstance(model, (str, Path)))
            fresh = export(model, path, examples, verify=False, **settings).spec
        except GraftcamError as error:
            reason = f"the source cannot be exported as the artifact was: {error}"
            return [Finding("source", "", "fail", reason=reason), skipped]
        source = _compare_hashes(spec, fresh)
        if source.status != "pass":
            return [source, skipped if source.status == "fail" else _other_tools(spec)]
        return [source, _compare_bytes(artifact, path, spec, fresh)]


def check_labels(spec: Spec, labels: Sequence[str] | None) -> Finding:
    """Hold the artifact's class names against those that the source is known by."""
    if labels is None or spec.labels is None:
        whose = "source" if labels is None else "artifact"
        return Finding("labels", "", "skipped", reason=f"the {whose} has no class names")
    pairs = list(zip(spec.labels, labels, strict=False))
    wrong = [k for k, (have, want) in enumerate(pairs) if have != want]
    if not wrong and len(spec.labels) == len(labels):
        return Finding("labels", "", "pass")
    if not wrong:
        reason = f"{len(spec.labels)} labels, the source has {len(labels)}"
    else:
        first = wrong[0]
        reason = (
            f"class {first} is {spec.labels[first]!r} in the artifact and {labels[first]!r} in the "
            f"source ({len(wrong)} of {len(labels)} differ); give the right ones with --labels"
        )
    return Finding("labels", "", "fail", reason=reason)


def is_embedded(spec: Spec) -> bool:
    """Whether the graph takes pictures as they are, with its preprocessing inside."""
    return bool(spec.preprocess and spec.preprocess.embedded)


def settings_of(artifact: Path, spec: Spec, *, of_file: bool) -> dict[str, Any]:
    """The arguments of the `export` that wrote the artifact, verification aside."""
    transform, embedded = spec.preprocess, is_embedded(spec)
    if transform is not None and embedded:
        transform = replace(transform, input="", embedded=None)
    model = ir.load(artifact.resolve())
    graph, baked = model.graph, spec.layers[0].methods or {}
    names = [value.name or "" for value in graph.outputs]  # in the order asked for
    settings: dict[str, Any] = {
        "layers": [layer.name for layer in spec.layers],
        "output": None if spec.score.kind == "channel" else spec.score.output,
        "score": spec.score.kind,
        "class_axis": spec.score.class_axis or 1,
        "class_offset": spec.score.class_offset or 0,
        "methods": sorted(baked, key=lambda method: names.index(baked[method])),
        "head": spec.layers[0].head is not None,
        "activation": spec.score.activation,
        "labels": spec.labels,
        "preprocess": transform,
        "embed_preprocess": embedded,
        "name": spec.source.get("name"),
        "profile": spec.profile or "default",
        "input_gradients": spec.input_gradients is not None,
        "guided": spec.guided_gradients is not None,
    }
    if of_file:
        return settings
    inputs = [value for value in graph.inputs if value.name not in spec.own_inputs]
    shapes = [list(value.shape) for value in inputs if value.shape is not None]
    if embedded:  # the input's own name and open axes are gone
        shapes, inputs = [shape[:1] for shape in shapes], []
    return settings | {
        "opset": model.opset_imports[""],
        "dynamic_batch": any(shape and not isinstance(shape[0], int) for shape in shapes),
        "dynamic_size": any(not isinstance(extent, int) for s in shapes for extent in s[1:]),
        "input_names": [value.name for value in inputs] or None,
        "output_names": [v.name for v in graph.outputs if v.name not in spec.own_outputs],
    }


def _compare_hashes(spec: Spec, fresh: Spec) -> Finding:
    differing = [name for name in _HASHES if spec.source.get(name) != fresh.source[name]]
    if not differing:
        return Finding("source", "", "pass")
    if differing == ["graph_sha256"] and spec.tools != fresh.tools:
        return Finding("source", "graph", "skipped", reason=_tools(spec))
    reason = "; ".join(
        f"the {_HASHES[name]} of the source hash to {fresh.source[name][:12]}, the artifact was "
        f"made from {spec.source.get(name, 'nothing')[:12]}"
        for name in differing
    )
    return Finding("source", " and ".join(_HASHES[name] for name in differing), "fail",
                   reason=f"{reason}; export again")  # fmt: skip


def _other_tools(spec: Spec) -> Finding:
    return Finding("determinism", "", "skipped", reason=_tools(spec))


def _tools(spec: Spec) -> str:
    """Which packages the artifact was written with in other versions than these."""
    here = tool_versions()
    differing = [
        f"{name} {spec.tools.get(name, 'missing')} (here {here.get(name, 'missing')})"
        for name in sorted({*spec.tools, *here})
        if spec.tools.get(name) != here.get(name)
    ]
    return f"the artifact was written with {', '.join(differing)}"


def _compare_bytes(artifact: Path, again: Path, spec: Spec, fresh: Spec) -> Finding:
    if spec.tools != fresh.tools:
        return _other_tools(spec)
    digests = [_digest(path, record) for path, record in ((artifact, spec), (again, fresh))]
    if digests[0] == digests[1]:
        return Finding("determinism", "", "pass")
    part = "weights beside it" if digests[0][0] == digests[1][0] else "graph"
    reason = f"a second export of the same source gives other bytes, in the {part}"
    return Finding("determinism", part, "fail", reason=reason)


def _digest(path: Path, spec: Spec) -> tuple[str, str]:
    """SHA-256 of the graph, with no verdict in its record, and of the weights beside it."""
    model = onnx.load(path, load_external_data=False)
    record = replace(spec, verification=Verification("skipped", "none")).to_json()
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = record
    beside, weights = path.with_name(f"{path.name}.data"), hashlib.sha256()
    if beside.is_file():
        with beside.open("rb") as file:
            while chunk := file.read(1 << 24):
                weights.update(chunk)
    graph = hashlib.sha256(model.SerializeToString(deterministic=True))
    return graph.hexdigest(), weights.hexdigest()
